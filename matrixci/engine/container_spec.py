"""The description of a container to run, and of how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from matrixci.engine.gpu import GpuAccess

USER_ID: Final = 65532
MOUNT_POINT: Final = "/matrixci"


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """Command, files and limits of one container."""

    image: str
    command: Sequence[str]
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    files: bytes = field(repr=False)
    """A tar archive, extracted at MOUNT_POINT before the start."""
    results: str
    """The path below MOUNT_POINT that is collected after the end."""
    memory: int
    tmp_size: int
    log_size: int
    result_size: int
    """Sizes in bytes; `result_size` limits the collected archive."""
    pids: int
    cpus: float
    time_limit: float
    gpu: GpuAccess | None
    no_output_timeout: float | None = None
    """Kill the container after this many seconds without new output; None: never."""
    keep: bool = False
    """Leave the container on the engine for inspection, until `clean` removes it."""
    interactive: bool = False
    """Keep its standard input open."""
    terminal: bool = False
    require_limits: bool = False
    """Do not start the container if the engine would not enforce all of its limits."""


@dataclass(frozen=True, kw_only=True)
class ContainerEnd:
    """Exit status and output of a container."""

    exit_status: int
    oom_killed: bool
    timed_out: bool
    started: datetime
    ended: datetime
    silent: bool = False
    """It was killed because it printed nothing for too long."""
    archive: bytes | None = field(repr=False)
    """The collected path as a tar archive; None if it is missing or too large."""
    kept: str | None = None
    """Id of a container that was left on the engine."""
    unenforced: tuple[str, ...] = ()
    """The limits that the engine did not enforce."""
