import json
import os
import time
from datetime import date
from pathlib import Path

import pytest
from fake_uv import NO_SOLUTION, OK, UNREACHABLE, FakeUv, a_request, ask, install_fake_uv

from matrixci.errors import ResolverError
from matrixci.locks.lock import Lock


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    return install_fake_uv(tmp_path, monkeypatch)


@pytest.mark.parametrize("answer", [OK, NO_SOLUTION])
def test_an_answer_is_cached_for_ten_minutes(
    uv: FakeUv, tmp_path: Path, answer: tuple[int, str, str]
) -> None:
    uv.answer("plain", *answer)
    first = ask(tmp_path, a_request())
    assert ask(tmp_path, a_request()) == first
    assert len(uv.calls) == 1
    age(tmp_path, 590)
    assert ask(tmp_path, a_request()) == first
    assert len(uv.calls) == 1
    age(tmp_path, 610)
    assert ask(tmp_path, a_request()) == first
    assert len(uv.calls) == 2
    assert ask(tmp_path, a_request()) == first  # and the new answer is cached
    assert len(uv.calls) == 2


def test_an_answer_as_of_a_date_never_expires(uv: FakeUv, tmp_path: Path) -> None:
    request = a_request(as_of=date(2026, 1, 1))
    first = ask(tmp_path, request, as_of=date(2026, 1, 1))
    age(tmp_path, 3 * 365 * 86400)
    assert ask(tmp_path, request, as_of=date(2026, 1, 1)) == first
    assert len(uv.calls) == 1


def test_fresh_ignores_cached_answers_but_stores_new_ones(uv: FakeUv, tmp_path: Path) -> None:
    ask(tmp_path, a_request())
    uv.answer("plain", 0, "attrs==27.1.0\n", "")
    (fresh,) = ask(tmp_path, a_request(), fresh=True)
    assert isinstance(fresh, Lock)
    assert fresh.versions == {"attrs": "27.1.0"}
    assert ask(tmp_path, a_request()) == [fresh]
    assert len(uv.calls) == 2


def test_an_error_is_not_cached(uv: FakeUv, tmp_path: Path) -> None:
    uv.answer("plain", *UNREACHABLE)
    with pytest.raises(ResolverError):
        ask(tmp_path, a_request())
    uv.answer("plain", *OK)
    assert isinstance(ask(tmp_path, a_request())[0], Lock)


def age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    for path in folder.glob("*.json"):
        os.utime(path, (then, then))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"5",
        b'"text"',
        b"{}",
        b'{"reason": "no"}',
        b'{"reason": "no", "detail": "", "more": 1}',
        b'{"pins": 5, "torch_backend": null}',
        b'{"pins": [5], "torch_backend": null}',
        b'{"pins": [[]], "torch_backend": null}',
        b'{"pins": [{"name": "a"}], "torch_backend": null}',
        b"[" * 5000,
    ],
)
def test_a_damaged_cached_answer_is_ignored(uv: FakeUv, tmp_path: Path, content: bytes) -> None:
    first = ask(tmp_path, a_request())
    (kept,) = tmp_path.glob("*.json")
    kept.write_bytes(content)
    assert ask(tmp_path, a_request()) == first
    assert len(uv.calls) == 2
    assert json.loads(kept.read_bytes())["pins"]  # and it is written again
    assert list(tmp_path.glob("*.*")) == [kept]
