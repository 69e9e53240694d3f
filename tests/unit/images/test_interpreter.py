import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from matrixci.errors import NoInterpreterError
from matrixci.images.interpreter import (
    HostInterpreter,
    copy_interpreter,
    describe,
    find_interpreter,
    missing_interpreters,
    needed_libraries,
)

AddProgram = Callable[[str, str], Path]


def facts(**fields: object) -> str:
    """Return a script that prints the facts about an interpreter."""
    plain = {
        "version": "3.12.1",
        "executable": "/opt/python/bin/python3.12",
        "stdlib": "/opt/python/lib/python3.12",
        "library": "",
        "libraries": "/opt/python/lib",
        "scheme": "posix_prefix",
    }
    return f"echo '{json.dumps({**plain, **fields})}'"


def test_interpreter_describes_itself(programs: AddProgram) -> None:
    library = programs("libpython3.12.so.1.0", "")
    program = programs(
        "python", facts(library=library.name, libraries=str(library.parent), version="3.12.9")
    )
    assert asyncio.run(describe(program)) == HostInterpreter(
        version="3.12.9",
        executable=Path("/opt/python/bin/python3.12"),
        stdlib=Path("/opt/python/lib/python3.12"),
        library=library,
    )


@pytest.mark.parametrize(
    "script", [facts(scheme="deb_system"), facts(scheme="posix_local"), "exit 1"]
)
def test_interpreter_that_cannot_be_copied_is_rejected(programs: AddProgram, script: str) -> None:
    assert asyncio.run(describe(programs("python", script))) is None


def test_missing_library_is_ignored(programs: AddProgram) -> None:
    program = programs("python", facts(library="libpython3.12.a"))
    found = asyncio.run(describe(program))
    assert found is not None
    assert found.library is None


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ({"--system": "usable"}, ["find --system"]),
        (
            {"--system": "patched", "--managed-python": "usable"},
            ["find --system", "find --managed-python"],
        ),
        (
            {"installed": "usable"},
            ["find --system", "find --managed-python", "install", "find --managed-python"],
        ),
    ],
)
def test_interpreter_is_searched_here_before_it_is_downloaded(
    programs: AddProgram, answers: Mapping[str, str], calls: list[str]
) -> None:
    paths = {
        "usable": programs("usable", facts()),
        "patched": programs("patched", facts(scheme="deb_system")),
    }
    made: list[str] = []

    async def uv(arguments: Sequence[str]) -> str | None:
        extra = next((each for each in ("--system", "--managed-python") if each in arguments), "")
        made.append(f"{arguments[1]} {extra}".strip())
        if extra == "--managed-python" and "install" in made:
            extra = "installed"
        return str(paths[answers[extra]]) if extra in answers else None

    assert asyncio.run(find_interpreter("3.12", uv)).version == "3.12.1"
    assert made == calls


@pytest.mark.parametrize("patched", [True, False])
def test_missing_interpreter_is_reported(programs: AddProgram, *, patched: bool) -> None:
    program = programs("python3.12", facts(scheme="deb_system"))

    async def uv(arguments: Sequence[str]) -> str | None:
        return str(program) if patched and "--system" in arguments else None

    with pytest.raises(NoInterpreterError) as caught:
        asyncio.run(find_interpreter("3.12", uv))
    first, second = str(caught.value).splitlines()
    assert "this machine has no CPython 3.12 for a base image" in first
    assert (f"not usable: {program} keeps packages elsewhere" in first) == patched
    assert second.startswith("Install one (uv python install 3.12, or pyenv)")


def test_missing_interpreters_are_listed_without_a_download() -> None:
    verbs: set[str] = set()

    async def uv(arguments: Sequence[str]) -> str | None:
        verbs.add(arguments[1])
        return None if arguments[-1] == "3.14" else "/usr/bin/python"

    assert asyncio.run(missing_interpreters(["3.12", "3.14"], uv)) == ["3.14"]
    assert verbs == {"find"}


def test_interpreter_is_copied_to_the_layout_of_the_official_images(
    tmp_path: Path, programs: AddProgram
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
    programs("ldd", f'echo "$@" >{tmp_path}/called; echo "libssl.so.3 => {needed} (0x00007f03)"')
    copy_interpreter(
        HostInterpreter(version="3.12.1", executable=executable, stdlib=stdlib, library=library),
        context,
    )
    local = context / "usr/local"
    copied = {str(path.relative_to(local)) for path in local.rglob("*") if not path.is_dir()}
    assert copied == {
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
    objects = (tmp_path / "called").read_text(encoding="utf-8").split()
    assert set(objects) == {str(executable), str(library), str(stdlib / "lib-dynload/_ssl.so")}


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


def test_needed_libraries_exclude_the_c_library(programs: AddProgram) -> None:
    programs("ldd", f"cat <<'END'\n{LDD}END")
    assert needed_libraries([Path("/opt/python")]) == [
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
def test_parts_of_the_c_library_are_recognized(
    programs: AddProgram, name: str, *, of_libc: bool
) -> None:
    programs("ldd", f"echo '{name} => /lib/{name} (0x00007f00)'")
    assert (needed_libraries([Path("/opt/python")]) == []) == of_libc
