import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pytest
from factories import a_cell, digest_of_file, write_wheel
from tiny_index import serving

from matrixci.errors import ExitCode, ResolverError
from matrixci.locks.resolver import (
    HARNESS,
    Lock,
    Pin,
    Request,
    Resolver,
    Unsatisfiable,
    closure,
    parse_lock,
)
from matrixci.model import Subject

DATA = Path(__file__).parents[1] / "data"
REAL_LOCK = (DATA / "resolver_lock.txt").read_text(encoding="utf-8")
PLATFORM = "x86_64-manylinux_2_36"

ATTRS = "attrs==26.1.0 \\\n    --hash=sha256:c6\n    # via pytest\n"
OK = (0, ATTRS, "")


def said(name: str) -> str:
    """Return what the resolver really said, on its standard error."""
    return (DATA / f"resolver/{name}.txt").read_text(encoding="utf-8").partition("\n\n")[2]


NO_SOLUTION = (1, "", said("no-such-version"))
UNREACHABLE = (2, "", said("backend-unreachable"))


def a_request(*requires: str, **fields: object) -> Request:
    plain = Request(
        requires=requires or ("attrs",),
        python="3.12",
        platform=PLATFORM,
        torch_backend=None,
        as_of=None,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


class FakeUv:
    """An executable in the place of uv; it notes each call and answers as it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "uv"
        self.program.write_text(
            f"""#!/bin/sh
cd {folder}
case " $* " in *" --torch-backend "*) which=backend ;; *) which=plain ;; esac
echo "$which UV_HTTP_RETRIES=$UV_HTTP_RETRIES $*" >>calls
cat >>stdin
. ./$which.delay
cat $which.out
cat $which.err >&2
exit $(cat $which.status)
""",
            encoding="utf-8",
        )
        self.program.chmod(0o755)
        self.answer("plain", *OK)
        self.answer("backend", *OK)

    def answer(self, which: str, status: int, out: str, err: str, delay: str = "") -> None:
        texts = {"status": str(status), "out": out, "err": err, "delay": delay}
        for part, text in texts.items():
            (self.folder / f"{which}.{part}").write_text(text, encoding="utf-8")

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def stdin(self) -> list[str]:
        return (self.folder / "stdin").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = FakeUv(folder)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(fake.program))
    monkeypatch.delenv("UV_HTTP_RETRIES", raising=False)
    return fake


def ask(
    cache: Path, *requests: Request, fresh: bool = False, as_of: date | None = None
) -> list[Lock | Unsatisfiable]:
    """Have a new resolver answer the requests, side by side."""

    async def answers() -> list[Lock | Unsatisfiable]:
        resolver = Resolver(cache, PLATFORM, as_of, fresh=fresh)
        try:
            return list(await asyncio.gather(*(resolver.answer(each) for each in requests)))
        finally:
            await resolver.close()

    return asyncio.run(answers())


# What the resolver prints becomes pins


def test_a_real_answer_is_read() -> None:
    pins = {pin.name: pin for pin in parse_lock(REAL_LOCK)}
    assert {name: pin.version for name, pin in pins.items()} == {
        "accelerate": "1.15.0",
        "cuda-toolkit": "13.2.2",
        "my-own": "1.0+local",
        "numpy": "1.26.4",
        "nvidia-cublas": "13.4.1.3",
        "packaging": "26.3",
        "pytest": "9.2.0",
        "torch": "2.15.0",
        "triton": "3.9.0",
        "typing-extensions": "4.16.0",
    }
    assert list(pins) == sorted(pins)
    assert all(value.startswith("sha256:") for pin in pins.values() for value in pin.hashes)
    assert [len(pin.hashes) for pin in pins.values()] == [2, 1, 1, 2, 2, 2, 2, 2, 2, 2]
    assert pins["numpy"].via == ("accelerate", "transformers")
    assert pins["nvidia-cublas"].via == ("cuda-toolkit", "nvidia-cudnn-cu13", "nvidia-cusolver")
    assert pins["accelerate"].via == ()
    assert [name for name, pin in pins.items() if pin.url] == ["my-own"]


@pytest.mark.parametrize(
    ("text", "name", "pinned", "url"),
    [
        ("a==1", "a", "1", None),
        ("Foo.Bar_baz==1.0.post1 \\\n    --hash=sha256:0", "foo-bar-baz", "1.0.post1", None),
        ("torch==2.15.0+cpu", "torch", "2.15.0+cpu", None),
        ("pytest[dev,testing]==9.2.0", "pytest", "9.2.0", None),
        ("colorama==0.4.6 ; sys_platform == 'win32'", "colorama", "0.4.6", None),
        ("a==1  # via b", "a", "1", None),
        (
            "a @ file:///srv/my%20dist/a-1!2.0-py3-none-any.whl",
            "a",
            "1!2.0",
            "file:///srv/my%20dist/a-1!2.0-py3-none-any.whl",
        ),
        (
            "a @ https://host.example/a-2-py3-none-any.whl#sha256=00 \\\n    --hash=sha256:00",
            "a",
            "2",
            "https://host.example/a-2-py3-none-any.whl#sha256=00",
        ),
    ],
)
def test_every_form_of_a_line_is_read(text: str, name: str, pinned: str, url: str | None) -> None:
    (pin,) = parse_lock(text)
    assert (pin.name, pin.version, pin.url) == (name, pinned, url)


def test_comments_options_and_blank_lines_are_no_pins() -> None:
    text = "# made by uv\n--index-url https://host.example/simple\n\na==1\n    # via b\n\nb==2\n"
    assert [pin.name for pin in parse_lock(text)] == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    ["a>=1", "a", "a==1,==2", "???", "a @ https://host.example/a-1.tar.gz", "a @ file:///srv/a/"],
)
def test_a_line_that_pins_nothing_is_refused(line: str) -> None:
    with pytest.raises(ResolverError, match="has a line that is not understood: ") as caught:
        parse_lock(f"b==1\n{line}\n")
    assert line in str(caught.value)


def test_a_lock_is_read_again_as_it_was_written() -> None:
    pins = tuple(replace(pin, via=()) for pin in parse_lock(REAL_LOCK) if pin.url is None)
    assert parse_lock(Lock(pins=pins, torch_backend=None).text) == pins


def test_a_wheel_of_our_own_is_installed_from_the_folder_of_wheels() -> None:
    (own,) = (pin for pin in parse_lock(REAL_LOCK) if pin.url)
    assert own.line().startswith("my-own==1.0+local \\\n    --hash=sha256:db9a")
    assert own.install_line("/run/wheels").splitlines()[0] == (
        "my-own @ file:///run/wheels/my_own-1.0%2Blocal-py3-none-any.whl \\"
    )


def test_the_digest_is_of_what_is_installed_and_from_where() -> None:
    pins = parse_lock(REAL_LOCK)
    lock = Lock(pins=pins, torch_backend=None)
    other_hash = (replace(pins[0], hashes=("sha256:00",)), *pins[1:])
    digests = {
        lock.digest,
        replace(lock, torch_backend="cpu").digest,
        replace(lock, pins=pins[1:]).digest,
        replace(lock, pins=other_hash).digest,
    }
    assert len(digests) == 4
    other_via = (replace(pins[0], via=("x",)), *pins[1:])
    assert replace(lock, pins=other_via, fallback=True).digest == lock.digest


def test_a_closure_has_all_that_its_roots_need() -> None:
    def pin(name: str, *via: str) -> Pin:
        return Pin(name=name, version="1", url=None, hashes=(), via=via)

    pins = [pin("torch"), pin("b", "a"), pin("a", "torch"), pin("c", "b", "x"), pin("x")]
    assert closure(pins, {"torch"}) == {"torch", "a", "b", "c"}
    assert closure(pins, {"x", "absent"}) == {"x", "c"}
    assert closure(pins, set()) == set()
    cycle = [pin("a", "b"), pin("b", "a")]
    assert closure(cycle, {"a"}) == {"a", "b"}


# pip takes a lock as a constraints file


def pip_install(folder: Path, lock: Lock) -> subprocess.CompletedProcess[str]:
    constraints = folder / "constraints.txt"
    constraints.write_text(lock.text, encoding="utf-8")
    options = ["--dry-run", "--no-index", "--isolated", "--disable-pip-version-check"]
    options += [f"--find-links={folder}", f"--target={folder / 'target'}", "-c", str(constraints)]
    argv = [sys.executable, "-m", "pip", "install", *options, "tiny"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize("right", [True, False])
def test_pip_takes_a_lock_as_constraints_and_checks_its_hashes(
    tmp_path: Path, *, right: bool
) -> None:
    write_wheel(tmp_path, "tiny-2.0")
    wheel = write_wheel(tmp_path, "tiny-1.0")
    digest = digest_of_file(wheel) if right else "0" * 64
    hashes = (f"sha256:{digest}",)
    pin = Pin(name="tiny", version="1.0", url="file:///elsewhere/tiny.whl", hashes=hashes, via=())
    done = pip_install(tmp_path, Lock(pins=(pin,), torch_backend=None))
    if right:
        assert done.returncode == 0, done.stderr
        assert "Would install tiny-1.0" in done.stdout
    else:
        assert done.returncode == 1
        assert "DO NOT MATCH THE HASHES" in done.stderr


# What uv is asked


def test_uv_is_asked_for_exactly_this(uv: FakeUv, tmp_path: Path) -> None:
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


def test_a_cell_is_resolved_with_its_subject_and_what_the_checks_need(
    uv: FakeUv, tmp_path: Path
) -> None:
    subject = Subject(name="toy", spec="toy", requirement="toy>=1")
    cell = a_cell("3.11", requires=("numpy<2", "torch"), torch_backend=None)

    async def resolve() -> Lock | Unsatisfiable:
        return await Resolver(tmp_path, PLATFORM, None, fresh=False).resolve(cell, subject)

    answer = asyncio.run(resolve())
    assert isinstance(answer, Lock)
    assert answer.versions == {"attrs": "26.1.0"}
    assert uv.stdin == ["toy>=1", "numpy<2", "torch", *HARNESS]
    assert "--python-version 3.11" in uv.calls[0]


def test_a_request_that_many_have_is_asked_once(uv: FakeUv, tmp_path: Path) -> None:
    answers = ask(tmp_path, a_request(), a_request(), a_request(python="3.13"), a_request())
    assert len(uv.calls) == 2
    assert answers[0] == answers[1] == answers[3]


# Answers are kept


@pytest.mark.parametrize("answer", [OK, NO_SOLUTION])
def test_an_answer_is_kept_for_ten_minutes(
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
    assert ask(tmp_path, a_request()) == first  # and the new answer is kept again
    assert len(uv.calls) == 2


def test_an_answer_as_of_a_day_is_kept_for_ever(uv: FakeUv, tmp_path: Path) -> None:
    request = a_request(as_of=date(2026, 1, 1))
    first = ask(tmp_path, request, as_of=date(2026, 1, 1))
    age(tmp_path, 3 * 365 * 86400)
    assert ask(tmp_path, request, as_of=date(2026, 1, 1)) == first
    assert len(uv.calls) == 1


def test_fresh_uses_no_kept_answer_and_keeps_its_own(uv: FakeUv, tmp_path: Path) -> None:
    ask(tmp_path, a_request())
    uv.answer("plain", 0, "attrs==27.1.0\n", "")
    (fresh,) = ask(tmp_path, a_request(), fresh=True)
    assert isinstance(fresh, Lock)
    assert fresh.versions == {"attrs": "27.1.0"}
    assert ask(tmp_path, a_request()) == [fresh]
    assert len(uv.calls) == 2


def test_no_answer_is_not_kept(uv: FakeUv, tmp_path: Path) -> None:
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
def test_a_kept_answer_that_is_damaged_is_ignored(
    uv: FakeUv, tmp_path: Path, content: bytes
) -> None:
    first = ask(tmp_path, a_request())
    (kept,) = tmp_path.glob("*.json")
    kept.write_bytes(content)
    assert ask(tmp_path, a_request()) == first
    assert len(uv.calls) == 2
    assert json.loads(kept.read_bytes())["pins"]  # and it is whole again
    assert list(tmp_path.glob("*.*")) == [kept]


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
def test_an_answer_is_kept_for_its_request_alone(changed: dict[str, object]) -> None:
    assert replace(a_request(), **changed).key() != a_request().key()  # type: ignore[arg-type]


def test_an_answer_is_kept_for_its_index_and_its_resolver_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = a_request().key()
    with monkeypatch.context() as patch:
        patch.setenv("UV_DEFAULT_INDEX", "https://host.example/simple")
        assert a_request().key() != here
    with monkeypatch.context() as patch:
        patch.setattr("matrixci.locks.resolver.distribution_version", lambda _: "0.0")
        assert a_request().key() != here
    assert a_request().key() == here


# The backend's index may not be there


@pytest.mark.parametrize(
    "answer", [UNREACHABLE, (2, "", said("unavailable")), (1, "", said("refused-403"))]
)
def test_a_backend_out_of_reach_falls_back_to_the_default_index(
    uv: FakeUv, tmp_path: Path, answer: tuple[int, str, str]
) -> None:
    uv.answer("backend", *answer)
    with_backend, without = ask(tmp_path, a_request(torch_backend="cpu"), a_request())
    assert isinstance(with_backend, Lock)
    assert isinstance(without, Lock)
    assert (with_backend.fallback, with_backend.torch_backend) == (True, None)
    assert (without.fallback, without.torch_backend) == (False, None)
    assert with_backend.digest == without.digest  # so both have one image
    assert [call.split()[0] for call in uv.calls].count("plain") == 1


def test_a_backend_out_of_reach_is_tried_once(uv: FakeUv, tmp_path: Path) -> None:
    uv.answer("backend", *UNREACHABLE)

    async def one_after_the_other() -> None:
        resolver = Resolver(tmp_path, PLATFORM, None, fresh=False)
        for python in ("3.10", "3.11", "3.12"):
            answer = await resolver.answer(a_request(python=python, torch_backend="cpu"))
            assert isinstance(answer, Lock)
            assert answer.fallback
        other = await resolver.answer(a_request(torch_backend="cu126"))
        assert isinstance(other, Lock)

    asyncio.run(one_after_the_other())
    assert sum(call.startswith("backend") for call in uv.calls) == 2  # cpu once, cu126 once


def test_a_backend_that_answers_needs_no_fallback(uv: FakeUv, tmp_path: Path) -> None:
    (lock,) = ask(tmp_path, a_request(torch_backend="cpu"))
    assert isinstance(lock, Lock)
    assert (lock.torch_backend, lock.fallback) == ("cpu", False)
    uv.answer("backend", *NO_SOLUTION)
    assert ask(tmp_path, a_request(torch_backend="cpu"), fresh=True) == [
        Unsatisfiable(reason="there is no torch==99", detail=NO_SOLUTION[2])
    ]
    assert len(uv.calls) == 2


def test_a_proof_after_the_fallback_is_a_proof(uv: FakeUv, tmp_path: Path) -> None:
    uv.answer("backend", *UNREACHABLE)
    uv.answer("plain", *NO_SOLUTION)
    (answer,) = ask(tmp_path, a_request(torch_backend="cpu"))
    assert isinstance(answer, Unsatisfiable)


# No answer is never a proof


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
def test_an_index_that_does_not_answer_is_no_proof(
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
def test_a_resolver_that_fails_is_no_proof(
    uv: FakeUv, tmp_path: Path, answer: tuple[int, str, str]
) -> None:
    status, out, err = answer
    delay = "kill -9 $$" if status < 0 else ""
    uv.answer("plain", max(status, 0), out, err, delay)
    with pytest.raises(ResolverError):
        ask(tmp_path, a_request())


def test_a_resolver_that_does_not_end_is_ended(
    uv: FakeUv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixci.locks.resolver._TIME_LIMIT", 0.2)
    uv.answer("plain", *OK, delay="sleep 60")
    began = time.monotonic()
    with pytest.raises(ResolverError, match=r"didn't answer within 0 s"):
        ask(tmp_path, a_request())
    assert time.monotonic() - began < 10


# Two questions beside that of a cell


def tools(cache: Path) -> Lock:
    return asyncio.run(Resolver(cache, PLATFORM, None, fresh=False).tools("3.13"))


def test_the_installer_in_a_build_is_the_uv_that_is_here(uv: FakeUv, tmp_path: Path) -> None:
    assert tools(tmp_path).versions == {"attrs": "26.1.0"}
    assert uv.stdin == [f"uv=={version('uv')}"]
    assert "--python-version 3.13" in uv.calls[0]


def test_an_index_without_this_uv_is_told(uv: FakeUv, tmp_path: Path) -> None:
    uv.answer("plain", *NO_SOLUTION)
    with pytest.raises(ResolverError, match=r"doesn't have the uv that is used here: there is no"):
        tools(tmp_path)


@pytest.mark.parametrize(
    ("answer", "kind"), [(OK, Lock), (UNREACHABLE, type(None)), (NO_SOLUTION, Unsatisfiable)]
)
def test_what_is_tried_in_the_place_of_a_cell_has_an_answer_or_none(
    uv: FakeUv, tmp_path: Path, answer: tuple[int, str, str], kind: type
) -> None:
    uv.answer("plain", *answer)
    resolver = Resolver(tmp_path, PLATFORM, None, fresh=False)
    cell = a_cell("3.10", torch_backend=None)
    assert isinstance(asyncio.run(resolver.probe(["torch==99"], cell)), kind)
    assert uv.stdin == ["torch==99"]
    assert "--python-version 3.10 --python-platform" in uv.calls[0]


def test_what_is_tried_for_any_platform_is_without_dependencies(uv: FakeUv, tmp_path: Path) -> None:
    resolver = Resolver(tmp_path, PLATFORM, None, fresh=False)
    asyncio.run(resolver.probe(["torch==99"], a_cell(), universal=True))
    (call,) = uv.calls
    assert "--universal --no-deps" in call
    assert "--python-platform" not in call
    assert "--torch-backend" not in call


# The real uv, against an index of our own


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "index"
    folder.mkdir()
    write_wheel(folder, "base-1.0")
    write_wheel(folder, "base-2.0")
    write_wheel(folder, "toy_one-1.0", ["base<2"])
    write_wheel(folder, "newer-3.0", python=">=3.13")
    write_wheel(folder, "compiled-1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    settings = {
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_HTTP_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_")):
            monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with serving(folder) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        yield folder


def test_the_real_resolver_gives_a_lock_with_hashes(wheels: Path, tmp_path: Path) -> None:
    own = write_wheel(tmp_path, "my_own-1.0+local", ["toy-one"])
    (lock,) = ask(tmp_path / "locks", a_request(f"my-own @ {own.as_uri()}", "base"))
    assert isinstance(lock, Lock)
    assert lock.versions == {"base": "1.0", "my-own": "1.0+local", "toy-one": "1.0"}
    files = {"base": wheels / "base-1.0-py3-none-any.whl", "my-own": own}
    for pin in lock.pins:
        if pin.name in files:
            assert pin.hashes == (f"sha256:{digest_of_file(files[pin.name])}",)
    assert {pin.name: pin.via for pin in lock.pins}["base"] == ("toy-one",)


@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize(
    ("requires", "reason"),
    [
        (("toy-one", "base>=2"), "toy-one needs base<2, and base>=2 is required"),
        (("base<2", "base>=2"), "base<2 and base>=2 exclude each other"),
        (("base==9",), "there is no base==9"),
        (("absent",), "absent is not in the package index"),
        (("newer",), "newer==3.0 needs Python >=3.13"),
        (("compiled",), "no wheel of compiled for CPython 3.12"),
    ],
)
def test_the_real_resolver_proves_that_there_is_no_lock(
    tmp_path: Path, requires: tuple[str, ...], reason: str
) -> None:
    (proof,) = ask(tmp_path / "locks", a_request(*requires))
    assert isinstance(proof, Unsatisfiable)
    assert proof.reason == reason
    assert "No solution found" in proof.detail


@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "The package index refuses: 401 Unauthorized"),
        (403, "The package index refuses: 403 Forbidden"),
        (500, "The package index could not be asked: Failed to fetch: the index"),
        (None, "The package index could not be asked: Failed to fetch: the index"),
    ],
)
def test_with_the_real_resolver_an_index_that_does_not_answer_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int | None, told: str
) -> None:
    if status is None:
        monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        with pytest.raises(ResolverError) as caught:
            ask(tmp_path / "locks", a_request("base"))
    else:
        with serving(tmp_path, status) as address:
            monkeypatch.setenv("UV_DEFAULT_INDEX", address)
            with pytest.raises(ResolverError) as caught:
                ask(tmp_path / "locks", a_request("base"))
    assert str(caught.value).startswith(told)
    assert "127.0.0.1" not in str(caught.value)
