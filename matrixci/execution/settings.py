"""Settings of a run: what the command and the matrix ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from matrixci.errors import RunFilesError
from matrixci.execution.run_setup import resolver_of, setup_of
from matrixci.images.build_cache import BuildCache
from matrixci.locks.own_wheels import StoredWheel
from matrixci.locks.resolver import Resolver
from matrixci.locks.subject import ResolvedSubject
from matrixci.matrix.definition import Matrix
from matrixci.model import BaseOrigin, Setup
from matrixci.sandbox.files import Sources, read_sources
from matrixci.util.files import keep_out_of_git


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """How cells are built and run, whichever cells they are."""

    jobs: int | None = None
    """Maximum number of cells at a time; None: as many as the engine's CPUs and memory allow."""
    fresh: bool = False
    """Do not use earlier locks and results."""
    base_origin: BaseOrigin | None = None
    """Where base images must come from; None: anywhere."""
    registry: str | None = None
    """Repository through which images are shared with other machines."""
    build_cache: BuildCache | None = None
    keep_wheels: bool = True
    """Keep wheels on the engine for other builds."""
    require_limits: bool = False
    """Refuse an engine that cannot enforce every limit of a container."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a run, apart from the selection of its cells."""

    matrix: Matrix
    subject: ResolvedSubject
    checks: Path
    work_dir: Path
    """Folder of runs, kept results and caches."""
    check_filter: str | None = None
    as_of: date | None = None
    checks_chosen: bool = True
    """Whether the matrix or the command names the checks; if not, they are the built-in ones."""
    own_wheels: tuple[StoredWheel, ...] = ()
    """Wheels built for requirements with a URL, except the subject's."""
    options: ExecutionOptions = field(default_factory=ExecutionOptions)

    @cached_property
    def sources(self) -> Sources:
        """The checks, read once, so that editing one during a run does not affect it."""
        return read_sources(self.checks)

    @property
    def wheels(self) -> Mapping[str, Path]:
        """SHA-256 to file of every wheel that we built, including the subject's."""
        own = {each.wheel.digest: each.path for each in self.own_wheels}
        subject = self.subject
        if subject.wheel is None or subject.subject.digest is None:
            return own
        return {**own, subject.subject.digest: subject.wheel}

    @cached_property
    def setup(self) -> Setup:
        """Settings that all containers and images of the run share."""
        return setup_of(self.matrix, self.sources, self.options.base_origin)


def resolver_for(settings: Settings, architecture: str) -> Resolver:
    """Return the resolver of a run.

    Args:
        settings: the run's settings.
        architecture: of the containers, as the kernel names it.

    Raises:
        RunFilesError: the cache folder cannot be created.
    """
    try:
        keep_out_of_git(settings.work_dir)
    except OSError as error:
        msg = f"The work directory {settings.work_dir} cannot be created: {error}"
        raise RunFilesError(msg) from error
    return resolver_of(
        settings.work_dir,
        architecture,
        settings.as_of,
        fresh=settings.options.fresh,
        wheels=[each.wheel for each in settings.own_wheels],
    )
