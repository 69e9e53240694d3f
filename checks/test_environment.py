"""The environment: what is declared is what is installed, and it fits together."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from typing import TYPE_CHECKING

import pytest
from claims import (
    applies_to,
    imported,
    installed,
    refute,
    reported,
    subject,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from claims import Cell
    from packaging.requirements import Requirement


def normalised(name: str) -> str:
    """Return a distribution's name as locks have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions() -> dict[str, importlib.metadata.Distribution]:
    """Return what is installed, by normalised name; the first on the path counts."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normalised(name), distribution)
    return found


def same_version(one: str, other: str, *, local: bool = True) -> bool:
    """Tell whether two versions are the same one, with or without their local parts."""
    from packaging.version import Version

    first, second = Version(one), Version(other)
    return first == second if local else first.public == second.public


def unmet(requirement: Requirement, there: Mapping[str, str]) -> str | None:
    """Say why a requirement isn't met by what is installed; None where it is."""
    version = there.get(normalised(requirement.name))
    if version is None:
        return f"{requirement}: not installed"
    if requirement.url is None and not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement}: {version} is installed"
    return None


def requirements_of(
    distribution: importlib.metadata.Distribution, extra: str = ""
) -> Iterator[Requirement]:
    """Yield what a distribution requires here: without an extra, or by that extra alone."""
    from packaging.requirements import Requirement

    for text in distribution.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        by_extra = marker is not None and not always and marker.evaluate({"extra": extra})
        if by_extra if extra else always:
            yield requirement


def versions() -> dict[str, str]:
    """Return name to version of what is installed."""
    return {name: distribution.version for name, distribution in distributions().items()}


def own_distribution() -> importlib.metadata.Distribution:
    """Return the subject's distribution."""
    if not installed(subject()):
        refute(expected=f"{subject()} is installed", seen="it is not")
    return importlib.metadata.distribution(subject())


def test_python_is_as_declared(cell: Cell) -> None:
    """The declared Python is the one that runs."""
    runs = f"{sys.version_info.major}.{sys.version_info.minor}"
    declared = cell.axes.get("python")
    if declared is None:
        pytest.skip("the matrix has no axis named python")
    if declared != runs:
        refute(expected=f"Python {declared}", seen=f"Python {runs} at {sys.executable}")


def test_lock_is_installed(cell: Cell) -> None:
    """The locked versions are the installed ones."""
    there = versions()
    wrong = [
        f"{name} {version}: {there.get(normalised(name), 'nothing')} is installed"
        for name, version in cell.lock.items()
        if not same_version(there.get(normalised(name), "0"), version)
    ]
    if not cell.lock:
        refute(expected="the cell has a lock", seen="it is empty")
    if wrong:
        refute(expected="what is installed is what is locked", seen="\n".join(wrong))


def test_declared_requirements_are_met(cell: Cell) -> None:
    """The requirements that the axes declare are met by what is installed."""
    from packaging.requirements import Requirement

    there = versions()
    declared = [Requirement(text) for text in cell.requires]
    here = [one for one in declared if one.marker is None or one.marker.evaluate()]
    wrong = [problem for one in here if (problem := unmet(one, there))]
    if wrong:
        refute(expected=f"{', '.join(cell.requires)}", seen="\n".join(wrong))


@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_imported_version_is_the_installed_one(module: str) -> None:
    """What is imported is the version that is installed."""
    applies_to(module)
    interpreter = imported(module)
    observation = reported(
        interpreter.run(f"import {module}\nreport([{module}.__version__, {module}.__file__])"),
        expected=f"{module} has a version",
    )
    seen, file = observation.value
    declared = importlib.metadata.version(module)
    # A build's local part may be in one of the two alone.
    if not same_version(seen, declared, local=False):
        refute(
            expected=f"{module} {declared}, as its distribution says",
            seen=f"{module} {seen} from {file}",
            script=f"import {module}; print({module}.__version__, {module}.__file__)",
        )


def test_torch_build_is_as_declared(cell: Cell) -> None:
    """The build of torch is the one for the cell's device."""
    applies_to("torch")
    source = "import torch\nreport([torch.__version__, torch.version.cuda, torch.version.hip])"
    observation = reported(imported("torch").run(source), expected="torch tells its build")
    version, cuda, hip = observation.value
    seen = f"torch {version}, CUDA {cuda}, ROCm {hip}"
    script = "import torch; print(torch.__version__, torch.version.cuda, torch.version.hip)"
    wanted = wanted_build(cell)
    if wanted == "gpu" and cuda is None and hip is None:
        refute(expected="a build for a GPU", seen=seen, script=script)
    if wanted == "cpu" and (cuda is not None or hip is not None):
        refute(expected="a build for the CPU alone", seen=seen, script=script)
    if wanted not in {"gpu", "cpu", "any"} and wanted != cuda:
        refute(expected=f"a build for CUDA {wanted}", seen=seen, script=script)


def wanted_build(cell: Cell) -> str:
    """Return "cpu", "gpu", "any", or the version of CUDA that the build is to be for."""
    backend = cell.torch_backend
    if backend is None or cell.torch_fallback:  # the default index's build serves any device
        return "gpu" if cell.device == "cuda" else "any"
    if number := re.fullmatch(r"cu(\d+)(\d)", backend):
        return f"{number[1]}.{number[2]}"
    return "cpu" if backend == "cpu" else "gpu"


def test_python_is_in_range() -> None:
    """The Python that runs is one that the subject declares."""
    from packaging.specifiers import SpecifierSet

    declared = own_distribution().metadata["Requires-Python"]
    runs = ".".join(map(str, sys.version_info[:3]))
    if declared and not SpecifierSet(declared).contains(runs, prereleases=True):
        refute(expected=f"Python {declared}, as {subject()} requires", seen=f"Python {runs}")


def test_subject_requirements_are_met() -> None:
    """What the subject requires is installed, in the versions it requires."""
    there = versions()
    wrong = [
        problem
        for requirement in requirements_of(own_distribution())
        if (problem := unmet(requirement, there))
    ]
    if wrong:
        refute(expected=f"the requirements of {subject()} are met", seen="\n".join(wrong))


def test_torch_extra_is_met() -> None:
    """The installed torch and accelerate are in the ranges of the subject's torch extra."""
    there = versions()
    distribution = own_distribution()
    if "torch" not in (distribution.metadata.get_all("Provides-Extra") or []):
        pytest.skip(f"{subject()} has no torch extra")
    requirements = list(requirements_of(distribution, "torch"))
    here = [one for one in requirements if normalised(one.name) in there]
    if not here:
        pytest.skip("nothing of the torch extra is installed")
    if wrong := [problem for one in here if (problem := unmet(one, there))]:
        refute(expected=f"the torch extra of {subject()} is met", seen="\n".join(wrong))


def test_installed_requirements_are_met() -> None:
    """What any installed distribution requires is installed, in the versions it requires."""
    there = versions()
    wrong = [
        f"{name}: {problem}"
        for name, distribution in distributions().items()
        for requirement in requirements_of(distribution)
        if (problem := unmet(requirement, there))
    ]
    if wrong:
        refute(expected="the requirements of all that is installed are met", seen="\n".join(wrong))


TABLE = """\
from transformers.dependency_versions_table import deps
report(deps)
"""


def own_table() -> dict[str, Requirement]:
    """Return the subject's own table of ranges, by name; skip where it has none."""
    from packaging.requirements import Requirement

    applies_to("transformers")
    observation = imported("transformers").run(TABLE)
    if observation.raised and "ModuleNotFoundError" in observation.raised.bases:
        pytest.skip("the installed release has no table of ranges")
    reported(observation, expected="the release tells its ranges")
    return {normalised(name): Requirement(text) for name, text in observation.value.items()}


def test_table_agrees_with_metadata() -> None:
    """The ranges in the table that Transformers carries are those of its metadata."""
    table = own_table()
    distribution = importlib.metadata.distribution("transformers")
    declared = {normalised(one.name): one.specifier for one in requirements_of(distribution)}
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
        refute(expected="one range for each requirement", seen="\n".join(wrong), script=TABLE)


@pytest.mark.parametrize("optional", ["datasets", "jinja2", "peft", "sentencepiece"])
def test_optional_package_is_in_range(optional: str) -> None:
    """An optional package that is installed is in the range that the release asks for."""
    applies_to(optional)
    requirement = own_table().get(optional)
    if requirement is None:
        pytest.skip(f"the release names no range for {optional}")
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
    """`transformers env`, which a bug report asks for, tells the installed versions."""
    applies_to("transformers", "torch")
    entry_points = importlib.metadata.entry_points(group="console_scripts", name="transformers")
    if not list(entry_points):
        pytest.skip("the installed release has no command of this name")
    expected = "`transformers env` ends with status 0 and names the versions"
    observation = imported("transformers").run(COMMAND, folder=tmp_path)
    shown = "import subprocess; print(subprocess.run(['transformers', 'env']))"
    status, printed = reported(observation, expected=expected, script=shown).value
    told = [importlib.metadata.version("transformers"), sys.version.split()[0]]
    if status != 0 or any(version not in printed for version in told):
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
        pytest.skip("the installed release has no table of the ranges that it enforces")
    reported(observation, expected="the release tells which ranges it enforces")
    runs = {"python": ".".join(map(str, sys.version_info[:3]))}
    there = {**versions(), **runs}
    requirements = [Requirement(text) for text in observation.value.values()]
    optional = {"accelerate", "tokenizers"}  # the release looks at them only if they are there
    wrong = [
        problem
        for one in requirements
        if not (one.name in optional and one.name not in there) and (problem := unmet(one, there))
    ]
    if not requirements:
        refute(expected="the release enforces at least one range", seen="its table is empty")
    if wrong:
        refute(expected="the enforced ranges hold", seen="\n".join(wrong), script=ENFORCED)
