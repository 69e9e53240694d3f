"""The container in which a cell's checks run: what it is told, what it gets, and its limits."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matrixci.engine.container_spec import ContainerEnd, ContainerSpec
from matrixci.engine.gpu import GpuAccess
from matrixci.engine.labels import PROJECT_LABEL
from matrixci.matrix.issue_scope import matches_cell
from matrixci.model import SCHEMA_VERSION, Cell, CellLimits, KnownIssue, LockRecord
from matrixci.sandbox import evidence
from matrixci.sandbox import files as container_files

ENVIRONMENT: Final[Mapping[str, str]] = {
    "HOME": "/tmp/home",  # noqa: S108 (a file system of the container's own)
    "TMPDIR": "/tmp",  # noqa: S108
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What is set in every container."""

NONCE_BYTES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What the containers of a run have in common."""

    run: str
    subject: str
    """Normalised name of the distribution."""
    checks: container_files.Sources
    select: str | None
    """Which checks run, as pytest's -k."""
    only: Sequence[str] | None
    """Exact ids of the checks that run; None: all that are selected."""
    limits: CellLimits
    environment: Mapping[str, str]
    require_limits: bool = False
    folder: str = ""
    """Id of the work directory: the label by which `clean` finds what is left of its runs."""
    known_issues: Sequence[KnownIssue] = ()
    """Checks of which it is known that they fail aren't run once more."""

    def told(self, cell: Cell, lock: LockRecord) -> dict[str, object]:
        """Return what a container is told of its cell, under a nonce of its own."""
        return {
            "schema": SCHEMA_VERSION,
            "nonce": secrets.token_hex(NONCE_BYTES),
            "run": self.run,
            "cell": cell.id,
            "axes": cell.axes,
            "device": "cuda" if cell.gpu else "cpu",
            "subject": self.subject,
            "builtin": self.checks.are_builtin,
            "package": self.checks.package,
            "requires": list(cell.requires),
            "lock": lock.versions,
            "torch_backend": cell.torch_backend,
            "torch_fallback": lock.fallback,
            "select": self.select,
            "only": None if self.only is None else list(self.only),
            "imports": list(cell.imports),
            "known": [
                issue.check
                for issue in self.known_issues
                if matches_cell(issue, cell, lock.versions)
            ],
            "limits": {
                "check_seconds": self.limits.check_timeout,
                "cell_seconds": self.limits.cell_timeout,
                "reruns": self.limits.reruns,
            },
        }

    def container(
        self, cell: Cell, told: Mapping[str, object], image: str, gpu: GpuAccess | None
    ) -> ContainerSpec:
        """Return the container of a cell.

        Args:
            cell: the cell.
            told: what `told` has returned for it.
            image: the image's tag.
            gpu: how the engine hands out its GPUs, where the cell asks for one and there is one.
        """
        return ContainerSpec(
            image=image,
            command=container_files.COMMAND,
            labels={
                f"{PROJECT_LABEL}.run": self.run,
                f"{PROJECT_LABEL}.cell": cell.id,
                f"{PROJECT_LABEL}.folder": self.folder,
            },
            environment={**self.environment, **cell.environment},
            files=container_files.pack(told, self.checks),
            results=container_files.RESULTS,
            memory=self.limits.memory,
            scratch=self.limits.tmp_size,
            log=self.limits.log_size,
            result=self.limits.result_size,
            pids=self.limits.pids,
            cpus=self.limits.cpus,
            time_limit=self.limits.cell_timeout,
            silence=self.limits.no_output_timeout,
            gpu=gpu,
            require_limits=self.require_limits,
        )

    def examine(
        self, cell: Cell, lock: LockRecord, told: Mapping[str, object], end: ContainerEnd
    ) -> evidence.Evidence:
        """Judge what a container left by the rule of evidence.

        Args:
            cell: the cell.
            lock: its lock.
            told: what the container was told.
            end: how it ended, with what it left.
        """
        return evidence.examine(
            container_files.unpack_results(end.archive, self.limits.result_size),
            evidence.Expected(run=self.run, nonce=str(told["nonce"]), cell=cell, lock=lock),
            evidence.Exit(
                status=end.exit_status,
                oom_killed=end.oom_killed,
                timed_out=end.timed_out,
                silent=end.silent,
            ),
        )
