"""Parser of results.jsonl, the result file of a container.

Nothing in it is trusted. Reading stops at the first invalid line, which is reported.
"""

import json
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, NoReturn

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

from matrixci.model import CheckOutcome, Need
from matrixci.outcomes import FAILING, REPORTABLE

FILE_BYTES: Final = 32 * 1024 * 1024
LINE_BYTES: Final = 64 * 1024
NAME_CHARACTERS: Final = 200
ERROR_CHARACTERS: Final = 200
MOST_LINES: Final = 10_000_000  # of a file with checks

Name = Annotated[str, Field(max_length=NAME_CHARACTERS)]


class Part(BaseModel):
    """Part of a line, validated strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Line(Part):
    """One line of the file."""

    at: AwareDatetime


class Header(Line):
    """The run, the cell and the container that the file belongs to."""

    kind: Literal["header"]
    schema_version: int = Field(alias="schema")
    nonce: Name
    run: Name
    cell: Name


class Attested(Line):
    """Installed versions, as reported by the container."""

    kind: Literal["attestation"]
    python: str = Field(pattern=r"^\d+\.\d+\.\d+((a|b|rc)\d+)?\+?$")
    machine: Name
    distributions: dict[Name, Name]
    modules: dict[Name, Name | None]
    torch_cuda: Name | None
    gpus: int = Field(ge=0)


class CollectedCheck(Part):
    """A check that is going to report."""

    id: str = Field(min_length=1)
    claim: str
    reference: str | None
    severity: Literal["error", "warning"]
    line: int | None = Field(default=None, ge=1, le=MOST_LINES)


class Collected(Line):
    """Checks that are going to report; a long list is split over several lines."""

    kind: Literal["collected"]
    checks: tuple[CollectedCheck, ...]


class Begin(Line):
    """The start of a check."""

    kind: Literal["begin"]
    id: str


def _reported(outcome: CheckOutcome) -> CheckOutcome:
    """Return an outcome; raise ValueError if only the host assigns it."""
    if outcome not in REPORTABLE:
        msg = f"a container cannot report {outcome}"
        raise ValueError(msg)
    return outcome


ReportedOutcome = Annotated[CheckOutcome, AfterValidator(_reported)]


class End(Line):
    """The result of a check."""

    kind: Literal["end"]
    id: str
    outcome: ReportedOutcome
    reason: str = Field(max_length=500)
    need: Need | None
    message: str = Field(max_length=4_000)
    detail: str = Field(max_length=20_000)
    metrics: dict[str, FiniteFloat]


class Rerun(Line):
    """The outcome of a failed check when it was rerun alone.

    The outcome is None if the cell's time was too short for the rerun.
    """

    kind: Literal["rerun"]
    id: str
    outcome: ReportedOutcome | None


class Footer(Line):
    """The last line, written when all checks are done."""

    kind: Literal["footer"]
    checks: int
    ended: int


AnyLine = Header | Attested | Collected | Begin | End | Rerun | Footer
_LINE: Final[TypeAdapter[AnyLine]] = TypeAdapter(Annotated[AnyLine, Field(discriminator="kind")])


class BadLineError(Exception):
    """A line that is invalid or out of order."""


@dataclass
class ResultFile:
    """The records of a result file, up to its end or the first invalid line."""

    header: Header | None = None
    attested: Attested | None = None
    collected: dict[str, CollectedCheck] | None = None
    begun: dict[str, Begin] = field(default_factory=dict)
    ended: dict[str, End] = field(default_factory=dict)
    reruns: dict[str, Rerun] = field(default_factory=dict)
    footer: Footer | None = None
    bad: str | None = None
    """why the file is invalid, or None"""

    @property
    def running(self) -> str | None:
        """The check that started last and never ended."""
        return next((check for check in reversed(self.begun) if check not in self.ended), None)

    def add(self, line: AnyLine) -> None:
        """Add one record.

        Raises:
            BadLineError: the record is out of order.
        """
        if (self.header is None) != isinstance(line, Header):
            _refuse("the header must be the first line, and only the first")
        if self.footer:
            _refuse("there is a line after the footer")
        match line:
            case Header():
                self.header = line
            case Attested():
                self._attest(line)
            case Collected():
                self._collect(line)
            case Begin():
                self._begin(line)
            case End():
                self._end(line)
            case Rerun():
                self._rerun(line)
            case Footer():
                self._close(line)

    def _attest(self, line: Attested) -> None:
        if self.attested or self.collected is not None:
            _refuse("the attestation must come once, before the checks")
        self.attested = line

    def _collect(self, line: Collected) -> None:
        if self.begun:
            _refuse("a check was collected after the first one started")
        known = self.collected or {}
        self.collected = known | {check.id: check for check in line.checks}

    def _begin(self, line: Begin) -> None:
        if line.id not in (self.collected or {}) or line.id in self.begun:
            _refuse("a check started that was not collected or has already started")
        self.begun[line.id] = line

    def _end(self, line: End) -> None:
        if line.id not in self.begun or line.id in self.ended:
            _refuse("a check ended that never started or has already ended")
        self.ended[line.id] = line

    def _rerun(self, line: Rerun) -> None:
        first = self.ended.get(line.id)
        if first is None or line.id in self.reruns:
            _refuse("a check was rerun that never ended or has already been rerun")
        if first.outcome not in FAILING:
            _refuse("a check was rerun that did not fail")
        self.reruns[line.id] = line

    def _close(self, line: Footer) -> None:
        if (line.checks, line.ended) != (len(self.collected or {}), len(self.ended)):
            _refuse("the counts of the footer are wrong")
        self.footer = line


def read(raw: bytes) -> ResultFile:
    """Parse a result file; invalid bytes raise no exception."""
    file = ResultFile()
    if len(raw) > FILE_BYTES:
        file.bad = f"it is larger than {FILE_BYTES:,} bytes"
        return file
    number = 1
    *lines, rest = raw.split(b"\n")
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007 - used after the loop
            file.add(_parsed(line))
    except BadLineError as error:
        file.bad = f"line {number}: {error}"
        return file
    if rest:
        file.bad = f"line {len(lines) + 1}: it is incomplete"
    return file


def _parsed(line: bytes) -> AnyLine:
    """Parse a line.

    Raises:
        BadLineError: it is too long, not UTF-8, not JSON, or not a known record.
    """
    if len(line) >= LINE_BYTES:
        _refuse(f"it is longer than {LINE_BYTES:,} bytes")
    try:
        value = json.loads(line.decode("utf-8"))
        # JSON may contain lone surrogates, which are not text. Encoding to UTF-8 drops them.
        clean = json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")
        return _LINE.validate_json(clean)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:ERROR_CHARACTERS]
        _refuse(f"{where}: {first['msg'][:ERROR_CHARACTERS]}")
    except RecursionError:
        _refuse("it is nested too deeply")
    except ValueError as error:  # not JSON, not UTF-8, an integer of too many digits
        _refuse(str(error)[:ERROR_CHARACTERS])


def _refuse(what: str) -> NoReturn:
    raise BadLineError(what)
