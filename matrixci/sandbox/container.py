"""The container that runs the checks of a cell: its cell.json, files and limits."""

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
"""Environment variables of every container."""

NONCE_BYTES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Settings shared by all containers of a run."""

    run: str
    subject: str
    """Normalised name of the distribution."""
    checks: container_files.Sources
    select: str | None
    """Selected checks: an id, a glob, or an expression for pytest's -k."""
    only: Sequence[str] | None
    """Exact ids of the checks to run; None for all selected checks."""
    limits: CellLimits
    environment: Mapping[str, str]
    require_limits: bool = False
    folder: str = ""
    """Id of the work directory: a label, by which `clean` finds leftovers of its runs."""
    known_issues: Sequence[KnownIssue] = ()
    """Checks with a known issue are not rerun."""

    def cell_json(self, cell: Cell, lock: LockRecord) -> dict[str, object]:
        """Return the content of cell.json for a container, with a new nonce."""
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
        self, cell: Cell, cell_json: Mapping[str, object], image: str, gpu: GpuAccess | None
    ) -> ContainerSpec:
        """Return the specification of a cell's container.

        Args:
            cell: the cell.
            cell_json: content of cell.json.
            image: tag of the image.
            gpu: how the engine provides GPUs; None if the cell needs none or there is none.
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
            files=container_files.pack(cell_json, self.checks),
            results=container_files.RESULTS,
            memory=self.limits.memory,
            tmp_size=self.limits.tmp_size,
            log_size=self.limits.log_size,
            result_size=self.limits.result_size,
            pids=self.limits.pids,
            cpus=self.limits.cpus,
            time_limit=self.limits.cell_timeout,
            no_output_timeout=self.limits.no_output_timeout,
            gpu=gpu,
            require_limits=self.require_limits,
        )

    def examine(
        self, cell: Cell, lock: LockRecord, cell_json: Mapping[str, object], end: ContainerEnd
    ) -> evidence.Evidence:
        """Examine the results of a container by the rule of evidence.

        Args:
            cell: the cell.
            lock: the lock of the cell.
            cell_json: content of the container's cell.json.
            end: how the container ended, with its result files.
        """
        return evidence.examine(
            container_files.unpack_results(end.archive, self.limits.result_size),
            evidence.Expected(run=self.run, nonce=str(cell_json["nonce"]), cell=cell, lock=lock),
            evidence.Exit(
                status=end.exit_status,
                oom_killed=end.oom_killed,
                timed_out=end.timed_out,
                silent=end.silent,
            ),
        )
