"""Comparison of the attested versions of a container with the declared and locked ones."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from matrixci.model import Attestation, Cell, LockRecord
from matrixci.sandbox.result_file import Attested

# A backend that pins torch's build: cu130 is CUDA 13.0.
CUDA_BACKEND: Final = re.compile(r"cu(\d+)")

# Modules that are imported, because another build than the distribution's may be found first.
MODULES: Final = ("numpy", "torch")


def stored(line: Attested | None) -> Attestation | None:
    """Return an attestation as it is stored in the cell's result."""
    if line is None:
        return None
    return Attestation(
        python=line.python,
        machine=line.machine,
        distributions=line.distributions,
        modules=line.modules,
        torch_cuda=line.torch_cuda,
        gpus=line.gpus,
    )


def differences(attested: Attested, cell: Cell, lock: LockRecord) -> list[str]:
    """Return how the attested versions differ from those that the cell declares and locks."""
    return [
        *_python_differences(attested, cell),
        *_requirement_differences(attested, cell),
        *_module_differences(attested),
        *_torch_differences(attested, cell, lock),
        *_lock_differences(attested.distributions, lock.versions),
    ]


def _python_differences(attested: Attested, cell: Cell) -> Iterator[str]:
    minor = ".".join(attested.python.split(".")[:2])
    if minor != cell.python:
        yield f"Python is {attested.python}, not {cell.python}"


def _requirement_differences(attested: Attested, cell: Cell) -> Iterator[str]:
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": attested.machine,
        "platform_system": "Linux",
        "python_full_version": attested.python,
        "python_version": cell.python,
        "sys_platform": "linux",
    }
    for requires in cell.requires:
        requirement = Requirement(requires)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        installed = attested.distributions.get(canonicalize_name(requirement.name))
        if installed is None:
            yield f"{requires} is declared, {requirement.name} is not installed"
            continue
        version = _version(installed)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            yield f"{requires} is declared, {installed} is installed"


def _module_differences(attested: Attested) -> Iterator[str]:
    for module in MODULES:
        installed = attested.distributions.get(module)
        if installed is None:
            continue
        imported = attested.modules.get(module)
        if imported is None:
            yield f"{module} {installed} cannot be imported"
        elif not _same_build(installed, imported):
            yield f"{module} {installed} is installed, {imported} is imported"


def _torch_differences(attested: Attested, cell: Cell, lock: LockRecord) -> Iterator[str]:
    cuda = attested.torch_cuda
    if "torch" not in lock.versions or attested.modules.get("torch") is None:
        return  # not required, or reported as not importable
    if cell.gpu and cuda is None:
        yield "the cell requests a GPU, but torch is built without CUDA"
    if lock.fallback or lock.torch_backend is None:
        return
    pinned = CUDA_BACKEND.fullmatch(lock.torch_backend)
    if lock.torch_backend == "cpu" and cuda is not None:
        yield f"torch's backend is cpu, torch is built for CUDA {cuda}"
    elif pinned and (cuda or "").replace(".", "") != pinned[1]:
        yield f"torch's backend is {lock.torch_backend}, torch is built for CUDA {cuda or 'none'}"


def _lock_differences(installed: Mapping[str, str], locked: Mapping[str, str]) -> Iterator[str]:
    for name, version in locked.items():
        if name not in installed:
            yield f"{name} {version} is locked, but not installed"
        elif not _same_version(installed[name], version):
            yield f"{name} {version} is locked, {installed[name]} is installed"
    for name in sorted(installed.keys() - locked.keys()):
        yield f"{name} {installed[name]} is installed, but not locked"


def _same_version(one: str, other: str) -> bool:
    versions = _version(one), _version(other)
    return one == other if None in versions else versions[0] == versions[1]


def _same_build(distribution: str, module: str) -> bool:
    """Return whether a module belongs to its distribution; one may omit the local part (+cu130)."""
    installed, imported = _version(distribution), _version(module)
    if installed is None or imported is None:
        return distribution == module
    if installed.local and imported.local:
        return installed == imported
    return Version(installed.public) == Version(imported.public)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
