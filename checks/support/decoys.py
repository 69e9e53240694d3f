"""Decoys: fake packages of frameworks that must not be imported.

Libraries detect a framework with `find_spec` and the distribution's metadata. Without a
`.dist-info` folder they would not detect the decoy, and every check would pass for the wrong
reason. So a decoy has both, and the checks verify first that it is detected.

A decoy records that it is executed, and by which modules. That also works in a process started by
the import, and if it is executed without the import system.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "2.99.0"  # invented: high enough for any lower bound
SEEN = "MATRIXCI_DECOYS_SEEN"  # variable with the file that the decoys write to


class Manner(enum.Enum):
    """Behaviour of a decoy when it is executed."""

    INERT = "inert"
    RAISES_NUMPY_ABI = "raises the NumPy ABI error"
    ABORTS = "aborts"


# Writes a single line, so that several processes can write at once.
WITNESS = f"""\
def _witness(name):
    import json, os, sys

    place = os.environ.get({SEEN!r})
    if place is None:
        return
    links, frame = [], sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith("importlib") and "probe_inside" not in frame.f_code.co_filename:
            links.append(f"{{module}}:{{frame.f_lineno}} in {{frame.f_code.co_name}}")
        frame = frame.f_back
    argv = list(getattr(sys, "orig_argv", sys.argv))
    line = {{"name": name, "pid": os.getpid(), "argv": argv, "chain": links[::-1]}}
    file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, json.dumps(line).encode() + b"\\n")
    os.close(file)


"""

# Has every public name, so that the importer continues and the rest is observed as well.
INERT = """\
class _Meta(type):
    def __getattr__(cls, name):
        return __getattr__(name)


class _Anything(metaclass=_Meta):
    def __init__(self, *args, **kwargs):
        pass


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    return _Meta(name, (_Anything,), {})
"""

# Output and error of a build for NumPy 1.x under NumPy 2.x.
RAISES_NUMPY_ABI = """\
import sys

print(
    "A module that was compiled using NumPy 1.x cannot be run in NumPy 2 as it may crash.\\n"
    "AttributeError: _ARRAY_API not found",
    file=sys.stderr,
)
raise ImportError("numpy.core._multiarray_umath failed to import")
"""

ABORTS = """\
import os

os.abort()
"""

# Package to the submodules that are imported by name.
FRAMEWORKS = {
    "tensorflow": ("keras", "python"),
    "keras": ("layers", "models"),
    "tf_keras": ("layers", "models"),
    "jax": ("numpy", "random", "tree_util"),
    "jaxlib": ("xla_extension",),
    "flax": ("linen", "core", "traverse_util"),
}


def make_decoys(folder: Path, *names: str, manner: Manner = Manner.INERT) -> Path:
    """Create decoys of the named frameworks in a folder, to be put first on sys.path."""
    for name in names:
        package = folder / name
        package.mkdir(parents=True)
        source = f'{_witness(name)}{_source(manner)}\n__version__ = "{VERSION}"\n'
        (package / "__init__.py").write_text(source)
        for submodule in FRAMEWORKS[name]:
            source = f"{_witness(f'{name}.{submodule}')}{INERT}"
            (package / f"{submodule}.py").write_text(source)
        add_metadata(folder, name)
    return folder


def _witness(name: str) -> str:
    return f"{WITNESS}_witness({name!r})\n"


def _source(manner: Manner) -> str:
    if manner is Manner.RAISES_NUMPY_ABI:
        return RAISES_NUMPY_ABI
    return ABORTS if manner is Manner.ABORTS else INERT


def add_metadata(folder: Path, name: str, version: str = VERSION) -> None:
    """Add the metadata of an installed distribution."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "INSTALLER").write_text("pip\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    kept = [f"{info.name}/{file}" for file in ("METADATA", "INSTALLER", "WHEEL", "top_level.txt")]
    files = [f"{name}/{file.name}" for file in sorted((folder / name).glob("*.py"))]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, *kept]))


# For probes: which decoys are not detected, and why.
DETECTED = """\
import importlib.metadata, importlib.util

def undetected(folder, names):
    problems = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or not str(spec.origin).startswith(folder):
            problems.append(f"find_spec({name!r}) gives {spec and spec.origin}")
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"importlib.metadata knows no distribution {name!r}")
    return problems
"""

# For probes: the lines written by decoys, in any process.
WITNESSED = f"""\
import json, os

def witnessed():
    place = os.environ[{SEEN!r}]
    if not os.path.exists(place):
        return []
    with open(place, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
"""
