"""Find a CPython on this machine, and copy it into a build context."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uv

from matrixci.errors import NoInterpreterError
from matrixci.util.subprocesses import run_process

EXCLUDED: Final = (
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "config-*",
    "site-packages",
)
"""Parts of the standard library that no container needs: its tests, editors, static library."""
_FACTS: Final = """
import json, sys, sysconfig
shared = sysconfig.get_config_var("Py_ENABLE_SHARED")
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "executable": getattr(sys, "_base_executable", sys.executable),
    "stdlib": sysconfig.get_path("stdlib"),
    "library": shared and sysconfig.get_config_var("INSTSONAME"),
    "libraries": sysconfig.get_config_var("LIBDIR"),
    "scheme": sysconfig.get_default_scheme(),
}))
"""
# The C library must be the one of the image that the interpreter is copied to.
_C_LIBRARY: Final = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|nsl|nss_\w+))\.so.*")


@dataclass(frozen=True, kw_only=True)
class HostInterpreter:
    """A CPython of this machine that can be copied into an image."""

    version: str
    executable: Path
    stdlib: Path
    library: Path | None


async def run_uv(arguments: Sequence[str]) -> str | None:
    """Return the output of a uv command, None if it fails or prints nothing."""
    environment = dict(os.environ)
    if pyenv := shutil.which("pyenv"):
        # uv stops at the first pyenv shim without a selected version, so select all of them.
        done = await run_process([pyenv, "versions", "--bare"])
        environment["PYENV_VERSION"] = ":".join(done.stdout.split())
    done = await run_process([uv.find_uv_bin(), *arguments], env=environment)
    return done.stdout.strip() or None if done.exit_status == 0 else None


UvCommand = Callable[[Sequence[str]], Awaitable[str | None]]


async def find_interpreter(version: str, run: UvCommand = run_uv) -> HostInterpreter:
    """Find a CPython X.Y that can be copied into an image.

    Some distributions patch Python to keep packages elsewhere; such an interpreter is not used.
    If there is no other, uv downloads one if it may.

    Args:
        version: X.Y.
        run: runs a uv command.

    Raises:
        NoInterpreterError: there is none.
    """
    unusable = []
    for extra in (["--system"], ["--managed-python"]):
        find = ["python", "find", "--no-project", *extra, version]
        found = await run(find)
        if found is None and extra == ["--managed-python"]:
            await run(["python", "install", version])
            found = await run(find)
        if found is None:
            continue
        interpreter = await describe(Path(found))
        if interpreter is not None:
            return interpreter
        unusable.append(found)
    skipped = f" (not usable: {', '.join(unusable)} keeps packages elsewhere)" if unusable else ""
    msg = (
        f"No registry answers, and this machine has no CPython {version} for a base image{skipped}."
        f"\nInstall one (uv python install {version}, or pyenv), or set base: in matrix.yaml."
    )
    raise NoInterpreterError(msg)


async def missing_interpreters(versions: Collection[str], run: UvCommand = run_uv) -> list[str]:
    """Return the versions X.Y of which this machine has no CPython; download nothing."""
    found = [await run(["python", "find", "--no-project", version]) for version in versions]
    return [version for version, path in zip(versions, found, strict=True) if path is None]


async def describe(executable: Path) -> HostInterpreter | None:
    """Return the facts about an interpreter, None if it cannot be copied."""
    done = await run_process([str(executable), "-I", "-c", _FACTS])
    if done.exit_status != 0:
        return None
    facts = json.loads(done.stdout)
    if facts["scheme"] != "posix_prefix":
        return None
    library = Path(facts["libraries"], facts["library"]) if facts["library"] else None
    return HostInterpreter(
        version=facts["version"],
        executable=Path(facts["executable"]).resolve(),
        stdlib=Path(facts["stdlib"]),
        library=library if library is None or library.exists() else None,
    )


def copy_interpreter(interpreter: HostInterpreter, context: Path) -> None:
    """Copy an interpreter and the libraries that it needs to usr/local in a build context."""
    prefix = context / "usr/local"
    minor = interpreter.version.rpartition(".")[0]
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib").mkdir()
    shutil.copy2(interpreter.executable, prefix / f"bin/python{minor}")
    for name in ("python3", "python"):
        (prefix / "bin" / name).symlink_to(f"python{minor}")
    stdlib = prefix / f"lib/python{minor}"
    shutil.copytree(
        interpreter.stdlib, stdlib, symlinks=True, ignore=shutil.ignore_patterns(*EXCLUDED)
    )
    (stdlib / "site-packages").mkdir()
    objects = [interpreter.executable, *interpreter.stdlib.glob("lib-dynload/*.so")]
    if interpreter.library is not None:
        objects.append(interpreter.library)
        shutil.copy2(interpreter.library, prefix / "lib")
    for library in needed_libraries(objects):
        if not (prefix / "lib" / library.name).exists():
            shutil.copy2(library, prefix / "lib")


def needed_libraries(objects: Sequence[Path]) -> list[Path]:
    """Return the shared libraries that programs and modules need, except the C library."""
    listed = subprocess.run(  # noqa: S603
        ["ldd", *map(str, objects)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = {Path(path) for path in re.findall(r"=> (/\S+) \(", listed)}
    return sorted(path for path in found if not _C_LIBRARY.fullmatch(path.name))
