"""The JSON contract between the steps and between machines.

Everything that a later step needs is in these types, so a report is made from a run's files alone.
Nothing of the package is imported here. All instants are UTC; all durations are seconds.
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
    """Return the present instant, in UTC."""
    return datetime.now(UTC)


class Frozen(BaseModel):
    """Data that is never changed after it was made, and refuses what it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Share = Callable[[dict[str, str]], dict[str, str]]
"""Function that returns one shared mapping for all equal ones; passed as validation context."""


def _shared(mapping: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    """Return the shared copy of a mapping, because thousands of equal ones need gigabytes."""
    share: Share | None = info.context
    return mapping if share is None else share(mapping)


_NO_METRICS: Final[dict[str, float]] = {}  # what is frozen is never written to

# A run of many cells repeats its names in each of them; one copy serves them all.
Name = Annotated[str, AfterValidator(sys.intern)]
Metrics = Annotated[dict[str, float], AfterValidator(lambda metrics: metrics or _NO_METRICS)]
Versions = Annotated[dict[str, str], AfterValidator(_shared)]


class CheckOutcome(StrEnum):
    """Outcome of a check, as named in the reports."""

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
    """Outcome of a cell, as named in the reports."""

    PASSED = "passed"
    PARTIAL = "partial"
    FAILED = "failed"
    UNSATISFIABLE = "unsatisfiable"
    BLOCKED = "blocked"
    ERROR = "error"
    CANCELLED = "cancelled"
    MISSING = "missing"


class Reason(StrEnum):
    """Reason for the outcome of a cell, if the outcome alone does not explain it."""

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
    """What a check may need that a machine may lack."""

    GPU = "gpu"


class Severity(StrEnum):
    """Whether a failing check makes its cell fail."""

    ERROR = "error"
    WARNING = "warning"


class StepName(StrEnum):
    """The steps of a cell, in their order."""

    RESOLVE = "resolve"
    WAIT_BUILD = "wait-build"
    BUILD = "build"
    WAIT_RUN = "wait-run"
    START = "start"
    CHECKS = "checks"
    COLLECT = "collect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a cell, with when it began and ended."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: StepName
    began: AwareDatetime
    ended: AwareDatetime

    @property
    def seconds(self) -> float:
        """How long the step took."""
        # The clock may have been set back in between.
        return max(0.0, (self.ended - self.began).total_seconds())


class Cell(Frozen):
    """One combination of axis values, with all that follows from it."""

    id: str
    axes: dict[str, str] = Field(description="axis name to value name, in the matrix's order")
    python: str = Field(description="X.Y")
    requires: tuple[str, ...] = Field(description="requirements besides the subject, PEP 508")
    environment: dict[str, str] = Field(description="set in the cell's container")
    torch_backend: str | None = Field(description="as uv's --torch-backend; None: default index")
    base: str | None = Field(description="base image of the interpreter; None: the matrix's")
    gpu: bool = Field(description="the cell's container asks for a GPU")
    imports: tuple[str, ...] = Field(
        default=(), description="what users import of the subject; empty: the checks find it"
    )


class Subject(Frozen):
    """The package under test."""

    name: str = Field(description="normalised distribution name")
    spec: str = Field(description="as the user wrote it, credentials taken out")
    requirement: str = Field(description="what the resolver is given: a requirement or a wheel")
    wheel: str | None = Field(default=None, description="file name of the wheel, if it is one")
    digest: str | None = Field(default=None, description="SHA-256 of the wheel, in hex")
    commit: str | None = Field(
        default=None,
        description="of the repository that it was built from, +dirty where tracked files differ",
    )


class OwnWheel(Frozen):
    """A wheel built or fetched for a requirement with a URL, other than the subject."""

    name: str = Field(description="normalised distribution name")
    spec: str = Field(description="the requirement as the cells have it, credentials taken out")
    origin: str = Field(
        description="the URL that it was made from, at its commit, credentials taken out"
    )
    requirement: str = Field(description="what the resolver is given in place of `spec`")
    wheel: str = Field(description="file name of the wheel")
    digest: str = Field(description="SHA-256 of the wheel, in hex")
    commit: str | None = Field(
        default=None,
        description="of the repository or folder that it was built from, +dirty where files were "
        "changed",
    )


class LockRecord(Frozen):
    """The exact requirements of a cell; the lock file of the run has them with hashes."""

    digest: str = Field(description="SHA-256 of backend and requirement lines, in hex")
    file: str = Field(description="path within the run's folder")
    versions: Versions = Field(description="normalised name to version")
    torch_backend: str | None = Field(description="the backend that served, None: default index")
    fallback: bool = Field(description="the backend asked for could not be reached")


class BaseOrigin(StrEnum):
    """Origin of a base image."""

    REGISTRY = "registry"
    ASSEMBLED = "assembled"


class ImageRecord(Frozen):
    """The image of a cell."""

    tag: str
    id: str = Field(description="the engine's digest of the image")
    base: str = Field(description="name of the interpreter's base image")
    base_digest: str
    base_origin: BaseOrigin
    reused: bool = Field(description="whether it existed before this run")
    pulled: str | None = Field(
        default=None, description="the name under which a registry had it; None: not from there"
    )
    log: str | None = Field(default=None, description="path within the run's folder")


class Attestation(Frozen):
    """What the container itself says is installed."""

    python: str = Field(description="X.Y.Z of the interpreter that ran the checks")
    machine: str
    distributions: Versions = Field(description="normalised name to version")
    modules: dict[str, str | None] = Field(
        description="module to its __version__ as imported, None if the import failed"
    )
    torch_cuda: str | None = Field(description="CUDA version that torch was built for")
    gpus: int = Field(description="devices that torch can use")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Result of one check in one cell, before and after the verdict."""

    # No BaseModel: a run may have hundreds of thousands of these, and a tenth of the memory does.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Annotated[Name, Field(description="pytest's node id, relative to the folder of checks")]
    claim: Annotated[Name, Field(description="first line of the check's docstring")]
    outcome: CheckOutcome
    reason: Annotated[str, Field(description="signal, skip reason, known issue, ...")] = ""
    need: Annotated[Need | None, Field(description="what a skipped check lacked")] = None
    reference: str | None = None
    severity: Annotated[
        Severity, Field(description="a failing check of severity warning is only reported")
    ] = Severity.ERROR
    message: Annotated[str, Field(description="the evidence in one paragraph")] = ""
    detail: Annotated[str, Field(description="traceback and captured output, bounded")] = ""
    metrics: Metrics = field(default_factory=dict)
    line: Annotated[
        int | None, Field(description="line of the check in its file, from 1; None: not known")
    ] = None
    began: AwareDatetime | None = None
    ended: AwareDatetime | None = None

    @property
    def seconds(self) -> float | None:
        """Duration of the check, or None if unknown."""
        if self.began is None or self.ended is None:
            return None
        return max(0.0, (self.ended - self.began).total_seconds())


class CellResult(Frozen):
    """Result of one cell: a JSON file, written when the cell ends."""

    schema_version: int = Field(default=SCHEMA_VERSION, strict=True)
    run: str
    cell: Cell
    outcome: CellOutcome
    reason: Reason | None = None
    message: str = ""
    detail: str = Field(default="", description="all that the resolver said, where it refused")
    lock: LockRecord | None = None
    image: ImageRecord | None = None
    sbom: str | None = Field(
        default=None, description="CycloneDX of the image, in the run's folder"
    )
    attestation: Attestation | None = None
    checks: tuple[CheckResult, ...] = ()
    steps: tuple[Step, ...] = ()
    log: str | None = Field(default=None, description="the container's log, in the run's folder")
    unenforced: tuple[str, ...] | None = Field(
        default=None,
        description="limits that the cell's container ran without; None: no container, or unknown",
    )
    attempts: int = Field(
        default=1, ge=1, description="how often it was tried; more where the infrastructure failed"
    )
    reuse_key: str | None = None
    reused_from: str | None = Field(default=None, description="id of the run it comes from")


class KnownIssue(Frozen):
    """An expected failure, strict: where it passes, it is reported as fixed."""

    check: str = Field(description="check id, or a glob over check ids")
    where: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict, description="axis to value or values; empty: every cell"
    )
    versions: dict[str, str] = Field(
        default_factory=dict, description="package to version specifier; empty: every version"
    )
    reference: str
    reason: str
    expires: date


class Enforcement(StrEnum):
    """Whether a failed gate blocks the release."""

    ADVISORY = "advisory"
    REQUIRED = "required"


class ReleaseGates(Frozen):
    """The conditions of a release."""

    require: tuple[dict[str, tuple[str, ...]], ...] = Field(
        default=({},), description="axis to values; cells that match one of these must be green"
    )
    new_failures: int = Field(
        default=0, ge=0, description="failing checks, neither known nor in the baseline, allowed"
    )
    gpu: Enforcement = Field(
        default=Enforcement.ADVISORY, description="evidence from a GPU: required or advisory"
    )
    bounds: tuple[str, ...] = Field(
        default=("python",),
        description="axes whose oldest and newest value must each have a green cell",
    )
    disappeared_checks: int = Field(
        default=0, ge=0, description="checks that the baseline had and this run hasn't, allowed"
    )


class EngineFacts(Frozen):
    """The container engine that served the run."""

    version: str
    buildx: str
    architecture: str
    cpus: int
    memory: int = Field(description="bytes")
    storage: str
    gpu: str | None = Field(description="how a GPU is attached, None without a GPU")
    unenforced: tuple[str, ...] = Field(
        default=(), description="limits of a container that the engine cannot enforce"
    )
    security: tuple[str, ...] = Field(
        default=(), description="security options of the engine: seccomp, apparmor, rootless, ..."
    )


class CellLimits(Frozen):
    """What one cell may take; times are seconds, sizes bytes."""

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
        default=None, description="None: a container may stay silent"
    )


class Setup(Frozen):
    """What all containers and images of a run have in common: enough to make them again."""

    limits: CellLimits
    environment: dict[str, str] = Field(description="set in every container, under the cell's own")
    system: str = Field(description="base image of the operating system")
    python: str = Field(description="base image of the interpreter; {python} is replaced by X.Y")
    precompile: tuple[str, ...] = Field(description="statements run once while an image is built")
    base_origin: BaseOrigin | None = Field(description="required origin of base images; None: any")
    checks: str | None = Field(description="folder of checks, as the command named it")
    checks_digest: str = Field(description="SHA-256 of the checks and of what runs them, in hex")


class Run(Frozen):
    """All cells of one matrix at one time."""

    schema_version: int = Field(default=SCHEMA_VERSION, strict=True)
    id: str
    began: AwareDatetime
    ended: AwareDatetime | None = None
    matrixci: str = Field(description="version of matrixci")
    commit: str | None = Field(description="commit of the checkout, +dirty where it is changed")
    command: tuple[str, ...] = Field(description="argv that reproduces the run")
    called_by: Caller = Field(
        default=Caller.PROGRAM, description="how matrixci was called, for commands in reports"
    )
    subject: Subject
    companions: tuple[str, ...] = Field(
        default=(),
        description="normalised names of the matrix requirements besides the subject",
    )
    own_wheels: tuple[OwnWheel, ...] = Field(
        default=(), description="wheels made for requirements with a URL, other than the subject"
    )
    as_of: date | None
    matrix_digest: str
    axes: dict[str, tuple[str, ...]] = Field(description="axis to value names; the last is across")
    cells: tuple[Cell, ...] = Field(description="planned, in the table's order")
    unselected: tuple[str, ...] = Field(default=(), description="cells the command left out")
    unselected_axes: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="the axes of the cells that the command left out"
    )
    tier: str | None = Field(default=None, description="the matrix's tier that was asked for")
    check_filter: str | None = Field(
        default=None, description="which checks ran: an id, a glob, or words as pytest's -k"
    )
    checks_chosen: bool = Field(
        default=True, description="the matrix or the command names the checks that ran"
    )
    known_issues: tuple[KnownIssue, ...] = ()
    gates: ReleaseGates = ReleaseGates()
    engine: EngineFacts | None = Field(
        default=None, description="None: not begun, or cells ran on several: engines"
    )
    engines: tuple[EngineFacts, ...] = Field(
        default=(), description="where cells ran on several engines: each kind of them, once"
    )
    plan: str | None = Field(
        default=None, description="SHA-256 of the plan that the run is part of, in hex"
    )
    resolver: str = Field(description="uv and its version")
    index_settings: dict[str, str] = Field(
        default_factory=dict,
        description="variables and uv.toml that say where packages come from, without credentials",
    )
    older: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="cell to package that others have newer, to the reason"
    )
    interrupted: bool = False
    require_limits: bool = Field(
        default=False, description="a cell only ran where the engine enforced every limit"
    )
    setup: Setup | None = Field(default=None, description="None: made before it was recorded")

    @property
    def served_by(self) -> tuple[EngineFacts, ...]:
        """The engines that its cells ran on, as far as that is known."""
        return self.engines or ((self.engine,) if self.engine is not None else ())

    @property
    def unenforced(self) -> tuple[str, ...]:
        """The limits that some of its engines did not enforce."""
        every = (limit for engine in self.served_by for limit in engine.unenforced)
        return tuple(dict.fromkeys(every))

    @property
    def had_no_gpu(self) -> bool:
        """Whether none of its engines is known to hand out a GPU."""
        return bool(self.served_by) and all(engine.gpu is None for engine in self.served_by)
