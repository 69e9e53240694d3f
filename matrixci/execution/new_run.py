"""The Run record of a new run."""

from collections.abc import Sequence
from importlib.metadata import version as distribution_version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrixci.execution.settings import Settings
from matrixci.locks.index_settings import recorded_settings
from matrixci.matrix.definition import Matrix
from matrixci.matrix.digest import matrix_digest
from matrixci.matrix.selection import SelectedCells
from matrixci.model import Run, now
from matrixci.runs.folder import new_run_id
from matrixci.util.git import commit_of
from matrixci.util.invocation import caller
from matrixci.util.redaction import redact


def companions(matrix: Matrix) -> tuple[str, ...]:
    """Return the normalised names of the packages that a matrix requires besides its subject."""
    names = [canonicalize_name(Requirement(text).name) for text in matrix.requires]
    return tuple(dict.fromkeys(names))


def new_run(settings: Settings, chosen: SelectedCells, command: Sequence[str]) -> Run:
    """Return the record of a run that begins now.

    Args:
        settings: the run's settings.
        chosen: its cells.
        command: the command line that starts such a run.
    """
    matrix = settings.matrix
    began = now()
    return Run(
        id=new_run_id(began),
        began=began,
        matrixci=distribution_version("matrixci"),
        commit=own_commit(),
        command=tuple(map(redact, command)),
        called_by=caller(),
        subject=settings.subject.subject,
        companions=companions(matrix),
        own_wheels=tuple(each.wheel for each in settings.own_wheels),
        as_of=settings.as_of,
        matrix_digest=matrix_digest(matrix),
        axes={axis: tuple(values) for axis, values in matrix.axes.items()},
        cells=chosen.cells,
        unselected=tuple(cell.id for cell in chosen.unselected),
        unselected_axes={cell.id: cell.axes for cell in chosen.unselected},
        tier=chosen.tier,
        check_filter=settings.check_filter,
        checks_chosen=settings.checks_chosen,
        known_issues=matrix.known_issues,
        gates=matrix.gates.to_model(),
        require_limits=settings.options.require_limits,
        resolver=f"uv {distribution_version('uv')}",
        index_settings=recorded_settings(),
        setup=settings.setup,
    )


def own_commit(package: Path = Path(__file__).parents[1]) -> str | None:
    """Return the commit of the checkout that matrixci runs from, +dirty if files are changed.

    An installed package has no commit, even if its environment is inside another repository.

    Args:
        package: the folder of the package.
    """
    return commit_of(package, "__init__.py")
