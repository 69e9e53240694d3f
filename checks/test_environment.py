"""Checks that the declared versions are installed, and that they are compatible."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from typing import TYPE_CHECKING

import pytest
from support.claims import applies_to, imported, installed, refute, reported, subject
from support.requirements import (
    distributions,
    normalised,
    requirements_of,
    same_version,
    unmet,
    versions,
)

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.requirements import Requirement
    from support.claims import Cell


def own_distribution() -> importlib.metadata.Distribution:
    """Return the subject's distribution."""
    if not installed(subject()):
        refute(expected=f"{subject()} is installed", seen="it is not installed")
    return importlib.metadata.distribution(subject())


def test_python_is_as_declared(cell: Cell) -> None:
    """The running Python is the declared one."""
    runs = f"{sys.version_info.major}.{sys.version_info.minor}"
    declared = cell.axes.get("python")
    if declared is None:
        pytest.skip("the matrix has no axis named python")
    if declared != runs:
        refute(expected=f"Python {declared}", seen=f"Python {runs} at {sys.executable}")


def test_lock_is_installed(cell: Cell) -> None:
    """The locked versions are installed."""
    there = versions()
    wrong = [
        f"{name} {version}: {there.get(normalised(name), 'nothing')} is installed"
        for name, version in cell.lock.items()
        if not same_version(there.get(normalised(name), "0"), version)
    ]
    if not cell.lock:
        refute(expected="the cell has a lock", seen="it is empty")
    if wrong:
        refute(expected="the locked versions are installed", seen="\n".join(wrong))


def test_declared_requirements_are_met(cell: Cell) -> None:
    """The requirements that the axes declare are met by the installed versions."""
    from packaging.requirements import Requirement

    there = versions()
    declared = [Requirement(text) for text in cell.requires]
    here = [each for each in declared if each.marker is None or each.marker.evaluate()]
    wrong = [problem for each in here if (problem := unmet(each, there))]
    if wrong:
        refute(expected=f"{', '.join(cell.requires)}", seen="\n".join(wrong))


@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_imported_version_is_the_installed_one(module: str) -> None:
    """The imported version of numpy and torch is the installed one."""
    applies_to(module)
    interpreter = imported(module)
    observation = reported(
        interpreter.run(f"import {module}\nreport([{module}.__version__, {module}.__file__])"),
        expected=f"{module} has a version",
    )
    seen, file = observation.value
    declared = importlib.metadata.version(module)
    # Only one of the two versions may have the local part of a build.
    if not same_version(seen, declared, local=False):
        refute(
            expected=f"{module} {declared}, the version of its distribution",
            seen=f"{module} {seen} from {file}",
            script=f"import {module}; print({module}.__version__, {module}.__file__)",
        )


def test_torch_build_is_as_declared(cell: Cell) -> None:
    """The build of torch fits the cell's device."""
    applies_to("torch")
    source = "import torch\nreport([torch.__version__, torch.version.cuda, torch.version.hip])"
    observation = reported(imported("torch").run(source), expected="torch reports its build")
    version, cuda, hip = observation.value
    seen = f"torch {version}, CUDA {cuda}, ROCm {hip}"
    script = "import torch; print(torch.__version__, torch.version.cuda, torch.version.hip)"
    wanted = wanted_build(cell)
    if wanted == "gpu" and cuda is None and hip is None:
        refute(expected="a build for a GPU", seen=seen, script=script)
    if wanted == "cpu" and (cuda is not None or hip is not None):
        refute(expected="a build for the CPU only", seen=seen, script=script)
    if wanted not in {"gpu", "cpu", "any"} and wanted != cuda:
        refute(expected=f"a build for CUDA {wanted}", seen=seen, script=script)


def wanted_build(cell: Cell) -> str:
    """Return the wanted build: "cpu", "gpu", "any", or a version of CUDA."""
    backend = cell.torch_backend
    if backend is None or cell.torch_fallback:  # the build of the default index supports any device
        return "gpu" if cell.device == "cuda" else "any"
    if number := re.fullmatch(r"cu(\d+)(\d)", backend):
        return f"{number[1]}.{number[2]}"
    return "cpu" if backend == "cpu" else "gpu"


def test_python_is_in_range() -> None:
    """The running Python is in the range that the subject declares."""
    from packaging.specifiers import SpecifierSet

    declared = own_distribution().metadata["Requires-Python"]
    runs = ".".join(map(str, sys.version_info[:3]))
    if declared and not SpecifierSet(declared).contains(runs, prereleases=True):
        refute(expected=f"Python {declared}, as {subject()} requires", seen=f"Python {runs}")


def test_subject_requirements_are_met() -> None:
    """The requirements of the subject are met by the installed versions."""
    there = versions()
    wrong = [
        problem
        for requirement in requirements_of(own_distribution())
        if (problem := unmet(requirement, there))
    ]
    if wrong:
        refute(expected=f"the requirements of {subject()} are met", seen="\n".join(wrong))


def test_torch_extra_is_met() -> None:
    """The requirements of the subject's torch extra are met by the installed versions."""
    there = versions()
    distribution = own_distribution()
    if "torch" not in (distribution.metadata.get_all("Provides-Extra") or []):
        pytest.skip(f"{subject()} has no torch extra")
    requirements = list(requirements_of(distribution, "torch"))
    here = [each for each in requirements if normalised(each.name) in there]
    if not here:
        pytest.skip("no package of the torch extra is installed")
    if wrong := [problem for each in here if (problem := unmet(each, there))]:
        refute(expected=f"the torch extra of {subject()} is met", seen="\n".join(wrong))


def test_installed_requirements_are_met() -> None:
    """The requirements of all installed distributions are met."""
    there = versions()
    wrong = [
        f"{name}: {problem}"
        for name, distribution in distributions().items()
        for requirement in requirements_of(distribution)
        if (problem := unmet(requirement, there))
    ]
    if wrong:
        refute(
            expected="the requirements of all installed distributions are met",
            seen="\n".join(wrong),
        )


TABLE = """\
from transformers.dependency_versions_table import deps
report(deps)
"""


def own_table() -> dict[str, Requirement]:
    """Return the table of version ranges of Transformers, by name; skip if there is none."""
    from packaging.requirements import Requirement

    applies_to("transformers")
    observation = imported("transformers").run(TABLE)
    if observation.raised and "ModuleNotFoundError" in observation.raised.bases:
        pytest.skip("the installed release has no table of version ranges")
    reported(observation, expected="the release has a table of version ranges")
    return {normalised(name): Requirement(text) for name, text in observation.value.items()}


def test_table_agrees_with_metadata() -> None:
    """The version ranges in Transformers' own table are those of its metadata."""
    table = own_table()
    distribution = importlib.metadata.distribution("transformers")
    declared = {normalised(each.name): each.specifier for each in requirements_of(distribution)}
    for requirement in requirements_of(distribution, "torch"):
        declared.setdefault(normalised(requirement.name), requirement.specifier)
    from packaging.specifiers import SpecifierSet

    declared["python"] = SpecifierSet(distribution.metadata["Requires-Python"] or "")
    wrong = [
        f"{name}: {table[name].specifier or 'any version'} in the table, "
        f"{specifier or 'any version'} in the metadata"
        for name, specifier in sorted(declared.items())
        if name in table and table[name].specifier != specifier
    ]
    if wrong:
        refute(
            expected="the same range in the table and in the metadata",
            seen="\n".join(wrong),
            script=TABLE,
        )


@pytest.mark.parametrize("optional", ["datasets", "jinja2", "peft", "sentencepiece"])
def test_optional_package_is_in_range(optional: str) -> None:
    """An installed optional package is in the version range of the release."""
    applies_to(optional)
    requirement = own_table().get(optional)
    if requirement is None:
        pytest.skip(f"the release has no version range for {optional}")
    if problem := unmet(requirement, versions()):
        refute(expected=str(requirement), seen=problem, script=TABLE)


COMMAND = """\
import contextlib, importlib.metadata, io, sys
[command] = importlib.metadata.entry_points(group="console_scripts", name="transformers")
sys.argv[:] = ["transformers", "env"]
printed, status = io.StringIO(), 0
with contextlib.redirect_stdout(printed):
    try:
        command.load()()
    except SystemExit as end:
        status = end.code or 0
report([status, printed.getvalue()])
"""


@pytest.mark.severity("warning")
def test_environment_command_runs(tmp_path: Path) -> None:
    """`transformers env` prints the installed versions."""
    applies_to("transformers", "torch")
    entry_points = importlib.metadata.entry_points(group="console_scripts", name="transformers")
    if not list(entry_points):
        pytest.skip("the installed release has no `transformers` command")
    expected = "`transformers env` exits with status 0 and prints the versions"
    observation = imported("transformers").run(COMMAND, folder=tmp_path)
    shown = "import subprocess; print(subprocess.run(['transformers', 'env']))"
    status, printed = reported(observation, expected=expected, script=shown).value
    wanted = [importlib.metadata.version("transformers"), sys.version.split()[0]]
    if status != 0 or any(version not in printed for version in wanted):
        refute(expected=expected, seen=f"status {status}\n{printed}", script=shown)


ENFORCED = """\
from transformers.dependency_versions_check import pkgs_to_check_at_runtime as enforced
from transformers.dependency_versions_table import deps
report({name: deps[name] for name in enforced if name in deps})
"""


def test_enforced_ranges_hold() -> None:
    """The installed versions are in the ranges that Transformers enforces at import."""
    from packaging.requirements import Requirement

    applies_to("transformers")
    observation = imported("transformers").run(ENFORCED)
    if observation.raised and "ModuleNotFoundError" in observation.raised.bases:
        pytest.skip("the installed release has no table of enforced version ranges")
    reported(observation, expected="the release has a table of enforced version ranges")
    runs = {"python": ".".join(map(str, sys.version_info[:3]))}
    there = {**versions(), **runs}
    requirements = [Requirement(text) for text in observation.value.values()]
    optional = {"accelerate", "tokenizers"}  # checked by the release only if they are installed
    wrong = [
        problem
        for each in requirements
        if not (each.name in optional and each.name not in there)
        and (problem := unmet(each, there))
    ]
    if not requirements:
        refute(expected="the release enforces at least one range", seen="its table is empty")
    if wrong:
        refute(expected="the enforced ranges hold", seen="\n".join(wrong), script=ENFORCED)
