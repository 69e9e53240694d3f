import asyncio
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from factories import a_cell, digest_of_file, write_wheel
from fake_uv import (
    NO_SOLUTION,
    OK,
    PLATFORM,
    UNREACHABLE,
    FakeUv,
    a_request,
    ask,
    install_fake_uv,
    said,
)
from tiny_index import serving

from matrixci.errors import ResolverError
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.resolver import HARNESS_REQUIREMENTS, Resolver
from matrixci.model import Subject


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    return install_fake_uv(tmp_path, monkeypatch)


def test_a_cell_is_resolved_with_its_subject_and_the_harness(uv: FakeUv, tmp_path: Path) -> None:
    subject = Subject(name="toy", spec="toy", requirement="toy>=1")
    cell = a_cell("3.11", requires=("numpy<2", "torch"), torch_backend=None)

    async def resolve() -> Lock | Unsatisfiable:
        return await Resolver(tmp_path, PLATFORM, None, fresh=False).resolve(cell, subject)

    answer = asyncio.run(resolve())
    assert isinstance(answer, Lock)
    assert answer.versions == {"attrs": "26.1.0"}
    assert uv.stdin == ["toy>=1", "numpy<2", "torch", *HARNESS_REQUIREMENTS]
    assert "--python-version 3.11" in uv.calls[0]


def test_equal_requests_share_one_resolution(uv: FakeUv, tmp_path: Path) -> None:
    answers = ask(tmp_path, a_request(), a_request(), a_request(python="3.13"), a_request())
    assert len(uv.calls) == 2
    assert answers[0] == answers[1] == answers[3]


# An unreachable index of the torch backend


@pytest.mark.parametrize(
    "answer", [UNREACHABLE, (2, "", said("unavailable")), (1, "", said("refused-403"))]
)
def test_an_unreachable_backend_falls_back_to_the_default_index(
    uv: FakeUv, tmp_path: Path, answer: tuple[int, str, str]
) -> None:
    uv.answer("backend", *answer)
    with_backend, without = ask(tmp_path, a_request(torch_backend="cpu"), a_request())
    assert isinstance(with_backend, Lock)
    assert isinstance(without, Lock)
    assert (with_backend.fallback, with_backend.torch_backend) == (True, None)
    assert (without.fallback, without.torch_backend) == (False, None)
    assert with_backend.digest == without.digest  # so both use the same image
    assert [call.split()[0] for call in uv.calls].count("plain") == 1


def test_an_unreachable_backend_is_tried_once(uv: FakeUv, tmp_path: Path) -> None:
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


def test_a_reachable_backend_needs_no_fallback(uv: FakeUv, tmp_path: Path) -> None:
    (lock,) = ask(tmp_path, a_request(torch_backend="cpu"))
    assert isinstance(lock, Lock)
    assert (lock.torch_backend, lock.fallback) == ("cpu", False)
    uv.answer("backend", *NO_SOLUTION)
    assert ask(tmp_path, a_request(torch_backend="cpu"), fresh=True) == [
        Unsatisfiable(reason="there is no torch==99", detail=NO_SOLUTION[2])
    ]
    assert len(uv.calls) == 2


def test_a_cell_may_be_unsatisfiable_after_the_fallback(uv: FakeUv, tmp_path: Path) -> None:
    uv.answer("backend", *UNREACHABLE)
    uv.answer("plain", *NO_SOLUTION)
    (answer,) = ask(tmp_path, a_request(torch_backend="cpu"))
    assert isinstance(answer, Unsatisfiable)


# Requests that are not those of a cell


def tools(cache: Path) -> Lock:
    return asyncio.run(Resolver(cache, PLATFORM, None, fresh=False).tools("3.13"))


def test_an_image_build_installs_the_same_version_of_uv(uv: FakeUv, tmp_path: Path) -> None:
    assert tools(tmp_path).versions == {"attrs": "26.1.0"}
    assert uv.stdin == [f"uv=={version('uv')}"]
    assert "--python-version 3.13" in uv.calls[0]


def test_an_index_without_the_installed_uv_is_an_error(uv: FakeUv, tmp_path: Path) -> None:
    uv.answer("plain", *NO_SOLUTION)
    with pytest.raises(ResolverError, match=r"does not have the installed uv: there is no"):
        tools(tmp_path)


@pytest.mark.parametrize(
    ("answer", "kind"), [(OK, Lock), (UNREACHABLE, type(None)), (NO_SOLUTION, Unsatisfiable)]
)
def test_a_probe_has_an_answer_or_none(
    uv: FakeUv, tmp_path: Path, answer: tuple[int, str, str], kind: type
) -> None:
    uv.answer("plain", *answer)
    resolver = Resolver(tmp_path, PLATFORM, None, fresh=False)
    cell = a_cell("3.10", torch_backend=None)
    assert isinstance(asyncio.run(resolver.probe(["torch==99"], cell)), kind)
    assert uv.stdin == ["torch==99"]
    assert "--python-version 3.10 --python-platform" in uv.calls[0]


def test_a_universal_probe_leaves_dependencies_out(uv: FakeUv, tmp_path: Path) -> None:
    resolver = Resolver(tmp_path, PLATFORM, None, fresh=False)
    asyncio.run(resolver.probe(["torch==99"], a_cell(), universal=True))
    (call,) = uv.calls
    assert "--universal --no-deps" in call
    assert "--python-platform" not in call
    assert "--torch-backend" not in call


# The real uv with a test index


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


def test_the_real_uv_returns_a_lock_with_hashes(wheels: Path, tmp_path: Path) -> None:
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
def test_the_real_uv_proves_that_there_is_no_lock(
    tmp_path: Path, requires: tuple[str, ...], reason: str
) -> None:
    (proof,) = ask(tmp_path / "locks", a_request(*requires))
    assert isinstance(proof, Unsatisfiable)
    assert proof.reason == reason
    assert "No solution found" in proof.detail


@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "The package index refused access: 401 Unauthorized"),
        (403, "The package index refused access: 403 Forbidden"),
        (500, "Cannot query the package index: Failed to fetch: the index"),
        (None, "Cannot query the package index: Failed to fetch: the index"),
    ],
)
def test_the_real_uv_reports_an_unavailable_index_as_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int | None, message: str
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
    assert str(caught.value).startswith(message)
    assert "127.0.0.1" not in str(caught.value)
