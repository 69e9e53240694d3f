import asyncio
import json
import platform
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from matrixci.errors import BaseImageError, EngineError, ExitCode, NoInterpreterError
from matrixci.images import base_images as bases
from matrixci.images.base_images import (
    Base,
    Bases,
    Interpreter,
    find_interpreter,
    missing_interpreters,
)
from matrixci.model import BaseOrigin
from matrixci.util.invocation import called
from matrixci.util.stages import Remarks

T = TypeVar("T")
SYSTEM, PYTHON = "debian:bookworm-slim", "python:3.12-slim-bookworm"
NO_REGISTRY = "no registry answers for {}: base images are assembled here"


@dataclass
class FakeEngine:
    """Images that stand, a registry's images, and what was asked."""

    standing: set[str] = field(default_factory=set)
    registry: set[str] | None = None
    """None: no registry answers."""
    pulls: list[str] = field(default_factory=list)
    architecture: str = field(default_factory=platform.machine)

    @property
    def facts(self) -> "FakeEngine":
        return self

    def stand(self, name: str) -> Base:
        self.standing.add(name)
        return Base(name=name, digest=f"sha256:{name}", origin=BaseOrigin.ASSEMBLED)

    @property
    def images(self) -> "FakeEngine":
        return self

    async def digest(self, name: str) -> str | None:
        await asyncio.sleep(0)
        return f"sha256:{name}" if name in self.standing else None

    async def pull(self, name: str) -> bool:
        self.pulls.append(name)
        await asyncio.sleep(0)
        if self.registry is None:
            return False
        if name not in self.registry:
            msg = f"The registry has no image {name}"
            raise EngineError(msg)
        self.standing.add(name)
        return True


class AssembledHere(Bases):
    """Bases that assemble nothing, but note what they would."""

    assembled: list[str]
    _engine: FakeEngine  # type: ignore[assignment]

    async def _assemble_system(self) -> Base:
        self.assembled.append("system")
        return self._engine.stand("matrixci/system:x")

    async def _assemble_python(self, version: str) -> Base:
        await self._assembled_system()
        self.assembled.append(version)
        return self._engine.stand(f"matrixci/python:{version}")


def made(
    engine: FakeEngine, origin: BaseOrigin | None, logs: Path
) -> tuple[AssembledHere, list[str]]:
    said: list[str] = []
    here = AssembledHere(engine, origin, logs, Remarks(said.append))  # type: ignore[arg-type]
    here.assembled = []
    return here, said


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


# From a registry, or assembled


def test_an_image_of_the_registry_is_pulled_once(tmp_path: Path) -> None:
    engine = FakeEngine(registry={SYSTEM, PYTHON})
    here, said = made(engine, None, tmp_path)

    async def ask() -> list[Base]:
        return list(await asyncio.gather(*(here.python(PYTHON, "3.12") for _ in range(3))))

    expected = Base(name=PYTHON, digest=f"sha256:{PYTHON}", origin=BaseOrigin.REGISTRY)
    assert run(ask()) == [expected] * 3
    assert (engine.pulls, here.assembled, said) == ([PYTHON], [], [])


def test_an_image_that_stands_is_not_pulled(tmp_path: Path) -> None:
    engine = FakeEngine(standing={SYSTEM})
    here, _ = made(engine, None, tmp_path)
    assert run(here.system(SYSTEM)).origin is BaseOrigin.REGISTRY
    assert engine.pulls == []


@pytest.mark.parametrize("gone", ["matrixci/python:3.12", "matrixci/system:x"])
def test_a_base_that_vanished_is_made_anew(tmp_path: Path, gone: str) -> None:
    engine = FakeEngine()
    here, _ = made(engine, BaseOrigin.ASSEMBLED, tmp_path)

    async def ask() -> None:
        await here.system(SYSTEM)
        await here.python(PYTHON, "3.12")
        engine.standing.remove(gone)
        await here.system(SYSTEM)
        await here.python(PYTHON, "3.12")

    run(ask())
    assert gone in engine.standing
    anew = "system" if "system" in gone else "3.12"
    assert sorted(here.assembled) == sorted(["system", "3.12", anew])


def test_where_no_registry_answers_all_is_assembled_and_that_is_said_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    here, said = made(engine, None, tmp_path)

    async def ask() -> list[Base]:
        return [
            *await asyncio.gather(
                here.python("python:3.12", "3.12"), here.python("python:3.13", "3.13")
            ),
            await here.system(SYSTEM),
        ]

    assert {base.origin for base in run(ask())} == {BaseOrigin.ASSEMBLED}
    assert sorted(here.assembled) == ["3.12", "3.13", "system"]
    assert len(engine.pulls) == 1
    assert said == [NO_REGISTRY.format(engine.pulls[0])]


def test_assembled_by_choice_asks_no_registry(tmp_path: Path) -> None:
    engine = FakeEngine(standing={PYTHON}, registry={PYTHON})
    here, _ = made(engine, BaseOrigin.ASSEMBLED, tmp_path)
    assert run(here.python(PYTHON, "3.12")).origin is BaseOrigin.ASSEMBLED
    assert engine.pulls == []


def test_a_registry_by_choice_is_never_replaced(tmp_path: Path) -> None:
    here, _ = made(FakeEngine(), BaseOrigin.REGISTRY, tmp_path)
    with pytest.raises(BaseImageError, match=f"No registry answers for {PYTHON}") as caught:
        run(here.python(PYTHON, "3.12"))
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    assert here.assembled == []


def test_a_registry_that_refuses_is_told_and_nothing_is_assembled(tmp_path: Path) -> None:
    here, _ = made(FakeEngine(registry=set()), None, tmp_path)
    with pytest.raises(BaseImageError, match=f"The registry has no image {PYTHON}"):
        run(here.python(PYTHON, "3.12"))
    assert here.assembled == []


@pytest.mark.parametrize("origin", [None, *BaseOrigin])
def test_an_image_that_a_cell_names_is_never_replaced(
    tmp_path: Path, origin: BaseOrigin | None
) -> None:
    here, _ = made(FakeEngine(registry={"own:1"}), origin, tmp_path)
    assert run(here.named("own:1")).name == "own:1"
    with pytest.raises(BaseImageError, match="The registry has no image own:2"):
        run(here.named("own:2"))
    without, _ = made(FakeEngine(), origin, tmp_path)
    with pytest.raises(BaseImageError, match="No registry answers for own:1, the base image that"):
        run(without.named("own:1"))
    assert here.assembled == without.assembled == []


# Assembling: the parts that need no engine


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return a function that puts a program of shell lines on PATH, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return put


APT = """\
trixie|http://mirror.example/debian|/usr/share/keyrings/new.gpg
bookworm-security|http://security.example|/usr/share/keyrings/a.gpg
bookworm|http://mirror.example/debian|/usr/share/keyrings/a.gpg
bookworm|http://other.example/debian|
sid|http://mirror.example/sid|$(SIGNED_BY)
"""


@pytest.mark.parametrize(
    ("release", "source"),
    [
        ("bookworm", ("http://mirror.example/debian", "/usr/share/keyrings/a.gpg")),
        ("sid", ("http://mirror.example/sid", "")),
    ],
)
def test_the_mirror_is_the_one_that_apt_has(
    programs: Callable[[str, str], Path], release: str, source: tuple[str, str]
) -> None:
    programs("apt-get", f"cat <<'END'\n{APT}END")
    assert run(bases._package_source(release)) == source


@pytest.mark.parametrize(("release", "shown"), [("jammy", "jammy"), ("", "this system")])
def test_a_release_that_apt_does_not_have_is_told(
    programs: Callable[[str, str], Path], release: str, shown: str
) -> None:
    programs("apt-get", f"cat <<'END'\n{APT}END")
    with pytest.raises(BaseImageError, match=f"apt has no source for {shown}, "):
        run(bases._package_source(release))


@pytest.mark.parametrize(("user", "tool"), [(1000, True), (0, False)])
def test_without_root_or_debootstrap_it_is_told_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: Callable[[str, str], Path],
    user: int,
    *,
    tool: bool,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    if tool:
        programs("debootstrap", "exit 0")
    else:
        monkeypatch.setenv("PATH", "/nonexistent")
    here = Bases(FakeEngine(), None, tmp_path, Remarks(print))  # type: ignore[arg-type]
    with pytest.raises(BaseImageError) as caught:
        run(here._debootstrap(tmp_path, "bookworm"))
    first, second = str(caught.value).splitlines()
    assert "debootstrap and root are needed" in first
    assert second.startswith(f"Run {called('matrix', '--install-engine')} as root, or name a ")


def test_a_command_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    here = Bases(FakeEngine(), None, tmp_path, Remarks(print))  # type: ignore[arg-type]
    script = "for n in 1 2 3 4 5 6 7 8 9 10; do echo line $n; done; exit 3"
    with pytest.raises(BaseImageError) as caught:
        run(here._command(["sh", "-c", script], "system"))
    first, *end = str(caught.value).splitlines()
    assert first == "sh failed while a base image was assembled:"
    assert end == [f"line {number}" for number in range(3, 11)]
    assert (tmp_path / "base-system.log").read_text(encoding="utf-8").startswith("line 1\n")


@pytest.mark.parametrize("status", [0, 1])
def test_a_mirrors_credentials_stay_here(tmp_path: Path, status: int) -> None:
    here = Bases(FakeEngine(), None, tmp_path, Remarks(print))  # type: ignore[arg-type]
    command = ["sh", "-c", f"echo http://me:pw@mirror.example/debian; exit {status}"]
    for _ in range(2):
        if status:
            with pytest.raises(BaseImageError) as caught:
                run(here._command(command, "system"))
            assert "pw" not in str(caught.value)
        else:
            run(here._command(command, "system"))
    log = (tmp_path / "base-system.log").read_text(encoding="utf-8")
    assert log == "http://***@mirror.example/debian\n" * 2


# This machine's interpreters


def facts(**fields: object) -> str:
    plain = {
        "version": "3.12.1",
        "executable": "/opt/python/bin/python3.12",
        "stdlib": "/opt/python/lib/python3.12",
        "library": "",
        "libraries": "/opt/python/lib",
        "scheme": "posix_prefix",
    }
    return f"echo '{json.dumps({**plain, **fields})}'"


def test_an_interpreter_describes_itself(programs: Callable[[str, str], Path]) -> None:
    library = programs("libpython3.12.so.1.0", "")
    program = programs(
        "python", facts(library=library.name, libraries=str(library.parent), version="3.12.9")
    )
    assert run(bases._facts(program)) == Interpreter(
        version="3.12.9",
        executable=Path("/opt/python/bin/python3.12"),
        stdlib=Path("/opt/python/lib/python3.12"),
        library=library,
    )


@pytest.mark.parametrize(
    "script", [facts(scheme="deb_system"), facts(scheme="posix_local"), "exit 1"]
)
def test_an_interpreter_that_can_not_be_moved_is_none(
    programs: Callable[[str, str], Path], script: str
) -> None:
    assert run(bases._facts(programs("python", script))) is None


def test_a_library_that_is_not_there_is_none(programs: Callable[[str, str], Path]) -> None:
    program = programs("python", facts(library="libpython3.12.a"))
    found = run(bases._facts(program))
    assert found is not None
    assert found.library is None


def interpreter(version: str) -> Interpreter:
    return Interpreter(version=version, executable=Path("/x"), stdlib=Path("/y"), library=None)


@pytest.mark.parametrize(
    ("answers", "usable", "asked"),
    [
        ({"--system": "/a"}, {"/a"}, ["find --system"]),
        (
            {"--system": "/patched", "--managed-python": "/b"},
            {"/b"},
            ["find --system", "find --managed-python"],
        ),
        (
            {"installed": "/c"},
            {"/c"},
            ["find --system", "find --managed-python", "install", "find --managed-python"],
        ),
    ],
)
def test_an_interpreter_is_looked_for_here_first_and_then_fetched(
    monkeypatch: pytest.MonkeyPatch,
    answers: Mapping[str, str],
    usable: set[str],
    asked: list[str],
) -> None:
    calls: list[str] = []

    async def uv(arguments: list[str]) -> str | None:
        verb = arguments[1]
        extra = next((each for each in answers_known if each in arguments), "")
        calls.append(f"{verb} {extra}".strip())
        if extra == "--managed-python" and "install" in calls:
            return answers.get("installed")
        return answers.get(extra)

    async def look(executable: Path) -> Interpreter | None:
        return interpreter("3.12.1") if str(executable) in usable else None

    answers_known = ("--system", "--managed-python")
    monkeypatch.setattr(bases, "_uv", uv)
    monkeypatch.setattr(bases, "_facts", look)
    assert run(find_interpreter("3.12")) == interpreter("3.12.1")
    assert calls == asked


@pytest.mark.parametrize("patched", [True, False])
def test_where_there_is_no_interpreter_it_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, *, patched: bool
) -> None:
    async def uv(arguments: list[str]) -> str | None:
        return "/usr/bin/python3.12" if patched and "--system" in arguments else None

    async def look(_: Path) -> None:
        return None

    monkeypatch.setattr(bases, "_uv", uv)
    monkeypatch.setattr(bases, "_facts", look)
    with pytest.raises(BaseImageError) as caught:
        run(find_interpreter("3.12"))
    first, second = str(caught.value).splitlines()
    assert "this machine has no CPython 3.12 for a base image" in first
    assert ("/usr/bin/python3.12: keeps its packages in a place of its own" in first) == patched
    assert second.startswith("Install one (uv python install 3.12, or pyenv)")


def test_that_there_is_no_interpreter_is_found_out_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def find(version: str) -> Interpreter:
        asked.append(version)
        raise NoInterpreterError(version)

    monkeypatch.setattr(bases, "find_interpreter", find)

    async def ask_twice() -> list[BaseException | Base]:
        made = Bases(FakeEngine(), BaseOrigin.ASSEMBLED, tmp_path, Remarks(print))  # type: ignore[arg-type]
        try:
            return [
                (await asyncio.gather(made.python("p", "3.14"), return_exceptions=True))[0]
                for _ in range(2)
            ]
        finally:
            await made.close()

    assert [str(error) for error in run(ask_twice())] == ["3.14", "3.14"]
    assert asked == ["3.14"]


def test_missing_interpreters_are_told_and_none_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verbs: set[str] = set()

    async def uv(arguments: list[str]) -> str | None:
        verbs.add(arguments[1])
        return None if arguments[-1] == "3.14" else "/usr/bin/python"

    monkeypatch.setattr(bases, "_uv", uv)
    assert run(missing_interpreters(["3.12", "3.14"])) == ["3.14"]
    assert verbs == {"find"}


def test_a_base_image_that_is_assembled_is_a_stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stages: list[str] = []
    engine = FakeEngine()

    class Listening(Remarks):
        @contextmanager
        def stage(self, what: str) -> Iterator[None]:
            assert not engine.standing
            yield
            assert engine.standing
            stages.append(what)

    async def debootstrap(_: Bases, folder: Path, __: str) -> Path:
        return folder / "root.tar"

    async def import_root(_: Path, tag: str, __: Mapping[str, str]) -> None:
        engine.stand(tag)

    engine.import_root = import_root  # type: ignore[attr-defined]
    monkeypatch.setattr(Bases, "_debootstrap", debootstrap)
    here = Bases(engine, BaseOrigin.ASSEMBLED, tmp_path, Listening(print))  # type: ignore[arg-type]
    run(here.system(SYSTEM))
    run(here.system(SYSTEM))
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    assert stages == [f"base system ({release})"]


# Laying an interpreter out


def test_an_interpreter_is_laid_out_as_the_official_images_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, context = tmp_path / "here", tmp_path / "context"
    stdlib = here / "lib/python3.12"
    files = [
        "os.py",
        "json/decoder.py",
        "lib-dynload/_ssl.so",
        "unittest/mock.py",
        "__pycache__/os.pyc",
        "json/__pycache__/decoder.pyc",
        "test/test_os.py",
        "idlelib/idle.py",
        "config-3.12-x86_64-linux-gnu/libpython3.12.a",
        "site-packages/numpy/__init__.py",
    ]
    for name in files:
        (stdlib / name).parent.mkdir(parents=True, exist_ok=True)
        (stdlib / name).write_text(name, encoding="utf-8")
    executable, library = here / "bin/python3.12", here / "lib/libpython3.12.so.1.0"
    needed = here / "needed/libssl.so.3"
    for path in (executable, library, needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name, encoding="utf-8")
    executable.chmod(0o755)
    asked: list[Path] = []

    def libraries(objects: list[Path]) -> list[Path]:
        asked.extend(objects)
        return [needed]

    monkeypatch.setattr(bases, "_libraries", libraries)
    bases._lay_out(
        Interpreter(version="3.12.1", executable=executable, stdlib=stdlib, library=library),
        context,
    )
    local = context / "usr/local"
    laid = {str(path.relative_to(local)) for path in local.rglob("*") if not path.is_dir()}
    assert laid == {
        "bin/python",
        "bin/python3",
        "bin/python3.12",
        "lib/libpython3.12.so.1.0",
        "lib/libssl.so.3",
        "lib/python3.12/json/decoder.py",
        "lib/python3.12/lib-dynload/_ssl.so",
        "lib/python3.12/os.py",
        "lib/python3.12/unittest/mock.py",
    }
    assert (local / "lib/python3.12/site-packages").is_dir()
    assert (local / "bin/python").resolve() == local / "bin/python3.12"
    assert (local / "bin/python3.12").stat().st_mode & 0o111
    assert set(asked) == {executable, library, stdlib / "lib-dynload/_ssl.so"}


LDD = """\
/opt/python:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibpython3.12.so.1.0 => /opt/lib/libpython3.12.so.1.0 (0x00007f00)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f01)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f02)
\tlibssl.so.3 => /usr/lib/x86_64-linux-gnu/libssl.so.3 (0x00007f03)
\tlibmissing.so.1 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f04)
_ssl.so:
\tlibssl.so.3 => /usr/lib/x86_64-linux-gnu/libssl.so.3 (0x00007f05)
\tlibcrypt.so.1 => /lib/x86_64-linux-gnu/libcrypt.so.1 (0x00007f06)
"""


def test_the_libraries_that_it_needs_go_with_it_but_never_the_c_library(
    programs: Callable[[str, str], Path],
) -> None:
    programs("ldd", f"cat <<'END'\n{LDD}END")
    assert bases._libraries([Path("/opt/python")]) == [
        Path("/lib/x86_64-linux-gnu/libcrypt.so.1"),
        Path("/opt/lib/libpython3.12.so.1.0"),
        Path("/usr/lib/x86_64-linux-gnu/libssl.so.3"),
    ]


@pytest.mark.parametrize(
    ("name", "of_libc"),
    [
        ("libc.so.6", True),
        ("libm.so.6", True),
        ("libdl.so.2", True),
        ("librt.so.1", True),
        ("libpthread.so.0", True),
        ("libutil.so.1", True),
        ("libresolv.so.2", True),
        ("libnsl.so.1", True),
        ("libnss_files.so.2", True),
        ("ld-linux-x86-64.so.2", True),
        ("ld-linux-aarch64.so.1", True),
        ("libcrypt.so.1", False),
        ("libcrypto.so.3", False),
        ("libmpdec.so.3", False),
        ("liblzma.so.5", False),
        ("libz.so.1", False),
    ],
)
def test_what_belongs_to_the_c_library_is_known(name: str, *, of_libc: bool) -> None:
    assert bool(bases._C_LIBRARY.fullmatch(name)) == of_libc


def test_an_assembled_image_is_another_where_what_it_is_made_of_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [bases._key("a", "b"), bases._key("a", "c"), bases._key("ab")]
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    keys.append(bases._key("a", "b"))
    monkeypatch.setattr(bases, "_LEFT_OUT", ("test",))
    keys.append(bases._key("a", "b"))
    (tmp_path / "base.Dockerfile").write_text("FROM other\n", encoding="utf-8")
    monkeypatch.setattr(bases, "data_folder", lambda _: tmp_path)
    keys.append(bases._key("a", "b"))
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch("[0-9a-f]{12}", key) for key in keys)
    assert bases._key("a", "b") == keys[-1]


# An engine elsewhere


@pytest.mark.parametrize("architecture", ["riscv64", "s390x"])
def test_for_an_engine_of_another_kind_nothing_is_assembled(
    tmp_path: Path, architecture: str
) -> None:
    here = Bases(FakeEngine(architecture=architecture), None, tmp_path, Remarks(print))  # type: ignore[arg-type]
    for ask in (here._assemble_system, lambda: here._assemble_python("3.12")):
        with pytest.raises(BaseImageError, match=f"the container engine is {architecture}"):
            run(ask())


@pytest.mark.parametrize(
    ("here", "there"), [("arm64", "aarch64"), ("AMD64", "x86_64"), ("x86_64", "x86_64")]
)
def test_names_of_one_architecture_are_one(here: str, there: str) -> None:
    assert bases._architecture(here) == bases._architecture(there)
