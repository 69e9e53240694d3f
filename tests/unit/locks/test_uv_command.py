import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from fake_uv import DATA, OK, PLATFORM, FakeUv, a_request, ask, install_fake_uv, said

from matrixci.errors import ExitCode, ResolverError


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    return install_fake_uv(tmp_path, monkeypatch)


def test_the_command_line_of_uv(uv: FakeUv, tmp_path: Path) -> None:
    request = a_request("numpy<2", "torch", torch_backend="cu126", as_of=date(2026, 1, 31))
    ask(tmp_path / "locks", request)
    assert uv.stdin == ["numpy<2", "torch"]
    (call,) = uv.calls
    assert call == (
        "backend UV_HTTP_RETRIES=0 pip compile - --quiet --no-header "
        f"--python {sys.executable} --python-version 3.12 --python-platform {PLATFORM} "
        "--only-binary :all: --generate-hashes --annotation-style line "
        "--torch-backend cu126 --exclude-newer 2026-01-31 --no-config"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"requires": ("attrs", "numpy")},
        {"python": "3.13"},
        {"platform": "aarch64-manylinux_2_36"},
        {"torch_backend": "cpu"},
        {"as_of": date(2026, 1, 1)},
    ],
)
def test_each_field_of_a_request_is_part_of_its_key(changed: dict[str, object]) -> None:
    assert replace(a_request(), **changed).key() != a_request().key()  # type: ignore[arg-type]


def test_index_settings_and_uv_version_are_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = a_request().key()
    with monkeypatch.context() as patch:
        patch.setenv("UV_DEFAULT_INDEX", "https://host.example/simple")
        assert a_request().key() != here
    with monkeypatch.context() as patch:
        patch.setattr("matrixci.locks.uv_command.uv_version", lambda: "0.0")
        assert a_request().key() != here
    assert a_request().key() == here


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("refused-401", 1),
        ("refused-403", 1),
        ("unavailable", 2),
        ("unreachable", 2),
        ("backend-unreachable", 2),
    ],
)
def test_an_unavailable_index_is_an_error_and_not_a_proof(
    uv: FakeUv, tmp_path: Path, name: str, status: int
) -> None:
    uv.answer("plain", status, "", said(name))
    with pytest.raises(ResolverError) as caught:
        ask(tmp_path, a_request())
    head = (DATA / f"resolver/{name}.txt").read_text(encoding="utf-8").splitlines()[1]
    assert f"error: {caught.value}" == head
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    assert ".example" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        (2, "", "error: Couldn't parse requirement in `-` at position 0\n"),
        (1, "", "error: Distribution not found at: file:///srv/a-1-py3-none-any.whl\n"),
        (101, "", "thread 'main' panicked"),
        (-9, "", ""),
        (0, "what is this?\n", ""),
    ],
)
def test_a_crash_of_uv_is_an_error_and_not_a_proof(
    uv: FakeUv, tmp_path: Path, answer: tuple[int, str, str]
) -> None:
    status, out, err = answer
    delay = "kill -9 $$" if status < 0 else ""
    uv.answer("plain", max(status, 0), out, err, delay)
    with pytest.raises(ResolverError):
        ask(tmp_path, a_request())


def test_uv_is_stopped_at_the_time_limit(
    uv: FakeUv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixci.locks.uv_command.TIME_LIMIT", 0.2)
    uv.answer("plain", *OK, delay="sleep 60")
    began = time.monotonic()
    with pytest.raises(ResolverError, match=r"did not finish the resolution within 0 s"):
        ask(tmp_path, a_request())
    assert time.monotonic() - began < 10
