"""The data model of a run: the JSON contract between steps and between machines.

These types contain everything that later steps need, so a report needs only the files of a run. All
times are UTC, all durations are seconds, and all sizes are bytes.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
)

from matrixci.util.invocation import Caller

SCHEMA_VERSION: Final = 1


def now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


class Frozen(BaseModel):
    """Base of immutable models that refuse unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Share = Callable[[dict[str, str]], dict[str, str]]
"""Returns one shared object for all equal mappings; passed as validation context."""


def _shared(mapping: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    """Return the shared mapping, because equal mappings of thousands of cells take gigabytes."""
    share: Share | None = info.context
    return mapping if share is None else share(mapping)


_NO_METRICS: Final[
    dict[str, float]
] = {}  # never modified, so that all checks without metrics can share it

# Many cells repeat the same names, so each name is stored once.
Name = Annotated[str, AfterValidator(sys.intern)]
Metrics = Annotated[dict[str, float], AfterValidator(lambda metrics: metrics or _NO_METRICS)]
Versions = Annotated[dict[str, str], AfterValidator(_shared)]


class CheckOutcome(StrEnum):
    """Outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"
    KNOWN_ISSUE = "known-issue"
    UNEXPECTED_PASS = "unexpected-pass"  # noqa: S105 - the "pass" of a check
    FLAKY = "flaky"
    SKIPPED = "skipped"
    MISSING = "missing"


class CellOutcome(StrEnum):
    """Outcome of a cell."""

    PASSED = "passed"
    PARTIAL = "partial"
    FAILED = "failed"
    UNSATISFIABLE = "unsatisfiable"
    BLOCKED = "blocked"
    ERROR = "error"
    CANCELLED = "cancelled"
    MISSING = "missing"


class Reason(StrEnum):
    """Reason for the outcome of a cell."""

    CHECKS = "checks"
    OOM = "oom"
    TIMED_OUT = "timed-out"
    EXIT_STATUS = "exit-status"
    NO_RESULT = "no-result"
    INVALID_RESULT = "invalid-result"
    FOREIGN_RESULT = "foreign-result"
    NO_CHECKS = "no-checks"
    INCOMPLETE = "incomplete"
    NOT_AS_DECLARED = "not-as-declared"
    RESOLVER = "resolver"
    INDEX = "index"
    BASE = "base"
    BUILD = "build"
    ENGINE = "engine"
    MISSING_HARDWARE = "missing-hardware"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"


class Need(StrEnum):
    """Hardware that a check needs and a machine may lack."""

    GPU = "gpu"


class Severity(StrEnum):
    """Whether a failing check makes its cell fail."""

    ERROR = "error"
    WARNING = "warning"


class StepName(StrEnum):
    """The steps of a cell, in order."""

    RESOLVE = "resolve"
    WAIT_BUILD = "wait-build"
    BUILD = "build"
    WAIT_RUN = "wait-run"
    START = "start"
    CHECKS = "checks"
    COLLECT = "collect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a cell, with its start and end."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: StepName
    began: AwareDatetime
    ended: AwareDatetime

    @property
    def seconds(self) -> float:
        """Duration of the step, in seconds."""
        # The clock may have been set back during the step.
        return max(0.0, (self.ended - self.began).total_seconds())


class Cell(Frozen):
    """One combination of axis values, with its requirements and settings."""

    id: str
    axes: dict[str, str] = Field(description="axis name to value name, in the order of the matrix")
    python: str = Field(description="version of Python, as X.Y")
    requires: tuple[str, ...] = Field(
        description="requirements in addition to the subject, PEP 508"
    )
    environment: dict[str, str] = Field(description="environment variables of the container")
    torch_backend: str | None = Field(
        description="value for uv's --torch-backend; None: default index"
    )
    base: str | None = Field(description="base image with Python; None: the base image of the run")
    gpu: bool = Field(description="whether the container requests a GPU")
    imports: tuple[str, ...] = Field(
        default=(),
        description="modules that users import from the subject; empty: the checks detect them",
    )


class Subject(Frozen):
    """The package under test."""

    name: str = Field(description="normalised distribution name")
    spec: str = Field(description="the subject as given by the user, without credentials")
    requirement: str = Field(
        description="input for the resolver: a requirement or the path of a wheel"
    )
    wheel: str | None = Field(default=None, description="file name of the wheel; None: not a wheel")
    digest: str | None = Field(default=None, description="SHA-256 of the wheel, in hex")
    commit: str | None = Field(
        default=None,
        description="commit that the wheel was built from, with +dirty if tracked files differ",
    )


class OwnWheel(Frozen):
    """A wheel built or downloaded for a requirement with a URL, other than the subject."""

    name: str = Field(description="normalised distribution name")
    spec: str = Field(description="the requirement as in the cells, without credentials")
    origin: str = Field(
        description="the URL of the source, with its commit and without credentials"
    )
    requirement: str = Field(description="input for the resolver in place of `spec`")
    wheel: str = Field(description="file name of the wheel")
    digest: str = Field(description="SHA-256 of the wheel, in hex")
    commit: str | None = Field(
        default=None,
        description="commit that the wheel was built from, with +dirty if files were changed",
    )


class LockRecord(Frozen):
    """The lock of a cell. The file contains the exact requirements with hashes."""

    digest: str = Field(description="SHA-256 of backend and requirement lines, in hex")
    file: str = Field(description="path of the lock, relative to the run folder")
    versions: Versions = Field(description="normalised distribution name to version")
    torch_backend: str | None = Field(
        description="the torch backend that was used; None: default index"
    )
    fallback: bool = Field(description="whether the requested backend's index could not be reached")


class BaseOrigin(StrEnum):
    """Origin of a base image."""

    REGISTRY = "registry"
    ASSEMBLED = "assembled"


class ImageRecord(Frozen):
    """The image of a cell."""

    tag: str
    id: str = Field(description="id of the image in the engine")
    base: str = Field(description="name of the base image with Python")
    base_digest: str
    base_origin: BaseOrigin
    reused: bool = Field(description="whether the image existed before the run")
    pulled: str | None = Field(
        default=None,
        description="name of the image in the registry that it was pulled from; None: built",
    )
    log: str | None = Field(
        default=None, description="path of the build log, relative to the run folder"
    )


class Attestation(Frozen):
    """The installed software, as reported by the container."""

    python: str = Field(description="version of Python that ran the checks, as X.Y.Z")
    machine: str
    distributions: Versions = Field(description="normalised distribution name to version")
    modules: dict[str, str | None] = Field(
        description="module to its __version__ after import; None: the import failed"
    )
    torch_cuda: str | None = Field(
        description="CUDA version that torch was built for; None: no CUDA or no torch"
    )
    gpus: int = Field(description="number of GPUs that torch can use")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Result of one check in one cell, before and after judgement."""

    # A dataclass takes a tenth of the memory of a BaseModel, and runs may have 100,000 of these.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Annotated[
        Name, Field(description="node id of pytest, relative to the folder with the checks")
    ]
    claim: Annotated[Name, Field(description="first line of the docstring of the check")]
    outcome: CheckOutcome
    reason: Annotated[
        str,
        Field(
            description="short reason for the outcome: a signal, a skip reason, a known issue, ..."
        ),
    ] = ""
    need: Annotated[Need | None, Field(description="hardware that a skipped check lacked")] = None
    reference: str | None = None
    severity: Annotated[
        Severity,
        Field(description="warning: a failure is reported but does not make the cell fail"),
    ] = Severity.ERROR
    message: Annotated[str, Field(description="the error message, in one paragraph")] = ""
    detail: Annotated[str, Field(description="traceback and captured output, limited in size")] = ""
    metrics: Metrics = field(default_factory=dict)
    line: Annotated[
        int | None, Field(description="line of the check in its file, from 1; None: unknown")
    ] = None
    began: AwareDatetime | None = None
    ended: AwareDatetime | None = None

    @property
    def seconds(self) -> float | None:
        """Duration of the check in seconds, or None if it is unknown."""
        if self.began is None or self.ended is None:
            return None
        return max(0.0, (self.ended - self.began).total_seconds())


class CellResult(Frozen):
    """Result of one cell, stored as one JSON file."""

    schema_version: int = Field(default=SCHEMA_VERSION, strict=True)
    run: str
    cell: Cell
    outcome: CellOutcome
    reason: Reason | None = None
    message: str = ""
    detail: str = Field(
        default="", description="complete output of the resolver if the cell is unsatisfiable"
    )
    lock: LockRecord | None = None
    image: ImageRecord | None = None
    sbom: str | None = Field(
        default=None,
        description="path of the CycloneDX SBOM of the image, relative to the run folder",
    )
    attestation: Attestation | None = None
    checks: tuple[CheckResult, ...] = ()
    steps: tuple[Step, ...] = ()
    log: str | None = Field(
        default=None, description="path of the log of the container, relative to the run folder"
    )
    unenforced: tuple[str, ...] | None = Field(
        default=None,
        description="limits that the engine did not enforce; None: no container, or unknown",
    )
    attempts: int = Field(
        default=1, ge=1, description="number of attempts; more than 1 after infrastructure failures"
    )
    reuse_key: str | None = None
    reused_from: str | None = Field(
        default=None, description="id of the earlier run that the result was reused from"
    )


class KnownIssue(Frozen):
    """An expected failure. If the check passes, that is an unexpected pass."""

    check: str = Field(description="check id, or a glob over check ids")
    where: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="axis to value or values of the affected cells; empty: every cell",
    )
    versions: dict[str, str] = Field(
        default_factory=dict,
        description="package to affected versions, as a specifier; empty: every version",
    )
    reference: str
    reason: str
    expires: date


class Enforcement(StrEnum):
    """Whether an unmet gate blocks the release."""

    ADVISORY = "advisory"
    REQUIRED = "required"


class ReleaseGates(Frozen):
    """The conditions for a release."""

    require: tuple[dict[str, tuple[str, ...]], ...] = Field(
        default=({},),
        description="list of mappings from axis to values; matching cells must be green",
    )
    new_failures: int = Field(
        default=0,
        ge=0,
        description="maximum number of failing checks that are not known issues or in the baseline",
    )
    gpu: Enforcement = Field(
        default=Enforcement.ADVISORY,
        description="whether evidence from a GPU is required or advisory",
    )
    bounds: tuple[str, ...] = Field(
        default=("python",),
        description="axes whose oldest and newest value must each have a green cell",
    )
    disappeared_checks: int = Field(
        default=0, ge=0, description="maximum number of checks of the baseline that this run lacks"
    )


class EngineFacts(Frozen):
    """The container engine that the run used."""

    version: str
    buildx: str
    architecture: str
    cpus: int
    memory: int = Field(description="memory of the host, in bytes")
    storage: str
    gpu: str | None = Field(description="how a GPU is attached; None: no GPU")
    unenforced: tuple[str, ...] = Field(
        default=(), description="limits that the engine cannot enforce"
    )
    security: tuple[str, ...] = Field(
        default=(),
        description="security options of the engine, such as seccomp, apparmor or rootless",
    )


class CellLimits(Frozen):
    """Resource limits of a cell. Times are in seconds, sizes in bytes."""

    check_timeout: float
    cell_timeout: float
    build_timeout: float
    memory: int
    pids: int
    cpus: float
    tmp_size: int
    log_size: int
    result_size: int
    reruns: int = 0
    no_output_timeout: float | None = Field(
        default=None, description="maximum seconds without output; None: no limit"
    )


class Setup(Frozen):
    """Run settings stored in run.json, so that any cell can be rebuilt later."""

    limits: CellLimits
    environment: dict[str, str] = Field(
        description="environment variables of every container; cells may override them"
    )
    system: str = Field(description="base image of the operating system")
    python: str = Field(description="base image with Python; {python} is replaced by X.Y")
    precompile: tuple[str, ...] = Field(
        description="Python statements run once while an image is built"
    )
    base_origin: BaseOrigin | None = Field(description="required origin of base images; None: any")
    checks: str | None = Field(
        description="folder with the checks, as given on the command line; None: built-in checks"
    )
    checks_digest: str = Field(description="SHA-256 of the checks and the harness, in hex")


class Run(Frozen):
    """One run of the cells of a matrix."""

    schema_version: int = Field(default=SCHEMA_VERSION, strict=True)
    id: str
    began: AwareDatetime
    ended: AwareDatetime | None = None
    matrixci: str = Field(description="version of matrixci")
    commit: str | None = Field(description="commit of the checkout, with +dirty if it was changed")
    command: tuple[str, ...] = Field(description="arguments of the command that reproduces the run")
    called_by: Caller = Field(
        default=Caller.PROGRAM, description="how matrixci was called, for commands in reports"
    )
    subject: Subject
    companions: tuple[str, ...] = Field(
        default=(),
        description="normalised names of the packages that the matrix requires besides the subject",
    )
    own_wheels: tuple[OwnWheel, ...] = Field(
        default=(), description="wheels built for requirements with a URL, other than the subject"
    )
    as_of: date | None
    matrix_digest: str
    axes: dict[str, tuple[str, ...]] = Field(
        description="axis to value names; the last axis forms the columns of the table"
    )
    cells: tuple[Cell, ...] = Field(description="planned cells, in the order of the table")
    unselected: tuple[str, ...] = Field(
        default=(), description="ids of cells that were not selected"
    )
    unselected_axes: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="id to axis values, for cells that were not selected"
    )
    tier: str | None = Field(default=None, description="selected tier of the matrix; None: no tier")
    check_filter: str | None = Field(
        default=None,
        description="filter of checks: an id, a glob, or an expression as for pytest's -k",
    )
    checks_chosen: bool = Field(
        default=True,
        description="whether the matrix or the command names the checks; False: built-in default",
    )
    known_issues: tuple[KnownIssue, ...] = ()
    gates: ReleaseGates = ReleaseGates()
    engine: EngineFacts | None = Field(
        default=None, description="None: not started, or several engines (see `engines`)"
    )
    engines: tuple[EngineFacts, ...] = Field(
        default=(), description="the different engines, if cells ran on several"
    )
    plan: str | None = Field(
        default=None,
        description="SHA-256 of the plan that the run belongs to, in hex; None: no plan",
    )
    resolver: str = Field(description="name and version of the resolver")
    index_settings: dict[str, str] = Field(
        default_factory=dict,
        description="settings of the package index in variables and uv.toml, no credentials",
    )
    older: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="cell to package to reason, for packages that are newer in other cells",
    )
    interrupted: bool = False
    require_limits: bool = Field(
        default=False, description="whether cells ran only if the engine enforced every limit"
    )
    setup: Setup | None = Field(
        default=None, description="None: from a version that did not record it"
    )

    @property
    def served_by(self) -> tuple[EngineFacts, ...]:
        """The engines that the cells ran on, as far as known."""
        return self.engines or ((self.engine,) if self.engine is not None else ())

    @property
    def unenforced(self) -> tuple[str, ...]:
        """The limits that at least one of the engines did not enforce."""
        every = (limit for engine in self.served_by for limit in engine.unenforced)
        return tuple(dict.fromkeys(every))

    @property
    def had_no_gpu(self) -> bool:
        """Whether no engine of the run offers a GPU."""
        return bool(self.served_by) and all(engine.gpu is None for engine in self.served_by)
