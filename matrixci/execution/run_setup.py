"""Run settings stored in run.json, so that any cell can be rebuilt later."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from packaging.version import Version

from matrixci.images.image_settings import ImageRequest, ImageSettings
from matrixci.locks.lock import Lock
from matrixci.locks.own_wheels import OwnWheelResolver
from matrixci.locks.resolver import Resolver
from matrixci.matrix.definition import Matrix
from matrixci.model import BaseOrigin, Cell, CellLimits, OwnWheel, Setup
from matrixci.sandbox.container import ENVIRONMENT
from matrixci.sandbox.files import Sources
from matrixci.util.resources import data_folder

_GLIBC: Final = "manylinux_2_36"  # glibc of the base images' Debian release


def setup_of(matrix: Matrix, checks: Sources, base_origin: BaseOrigin | None) -> Setup:
    """Return the settings that all containers and images of a run share.

    Args:
        matrix: the matrix.
        checks: the checks and the harness that runs them.
        base_origin: where base images must come from; None: anywhere.
    """
    return Setup(
        limits=CellLimits.model_validate(matrix.limits.model_dump(exclude={"min_free_disk"})),
        environment=dict(ENVIRONMENT),
        system=matrix.base.os,
        python=matrix.base.python,
        precompile=matrix.precompile,
        base_origin=base_origin,
        checks=None if checks.folder == data_folder("checks") else str(checks.folder),
        checks_digest=checks.digest,
    )


def resolver_of(
    work_dir: Path,
    architecture: str,
    as_of: date | None,
    *,
    fresh: bool,
    wheels: Sequence[OwnWheel] = (),
) -> Resolver:
    """Return a resolver for containers of an architecture.

    Args:
        work_dir: the folder of the answer cache.
        architecture: as the kernel names it.
        as_of: ignore releases published after this day.
        fresh: ignore cached answers.
        wheels: the wheels built for requirements with a URL.
    """
    platform = f"{architecture}-{_GLIBC}"
    return OwnWheelResolver(work_dir / "locks", platform, as_of, fresh=fresh, wheels=wheels)


def image_settings(
    setup: Setup,
    cells: Sequence[Cell],
    wheels: Mapping[str, Path],
    jobs: int,
    *,
    keep_wheels: bool = True,
) -> ImageSettings:
    """Return the settings that all images of a run share.

    Args:
        setup: the run's settings.
        cells: all cells of the run.
        wheels: SHA-256 to file of the wheels that we built.
        jobs: maximum number of builds at a time.
        keep_wheels: keep wheels on the engine for other builds.
    """
    newest = max((cell.python for cell in cells), key=Version)
    return ImageSettings(
        system=setup.system,
        tools_python=newest,
        tools_base=_python_base(setup, newest),
        precompile=setup.precompile,
        wheels=wheels,
        jobs=jobs,
        keep_wheels=keep_wheels,
        time_limit=setup.limits.build_timeout,
    )


def image_request(setup: Setup, cell: Cell, lock: Lock) -> ImageRequest:
    """Return the inputs of a cell's image."""
    return ImageRequest(
        lock=lock,
        python=cell.python,
        base=cell.base or _python_base(setup, cell.python),
        base_is_own=cell.base is not None,
    )


def _python_base(setup: Setup, python: str) -> str:
    return setup.python.replace("{python}", python)
