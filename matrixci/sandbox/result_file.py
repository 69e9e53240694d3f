"""The result file that a container leaves: its lines, and what can be read of them.

Nothing in it is trusted. A line that is not as the contract has it ends the reading, and is told.
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
TOLD_CHARACTERS: Final = 200
MOST_LINES: Final = 10_000_000  # of a file of checks

Name = Annotated[str, Field(max_length=NAME_CHARACTERS)]


class Part(BaseModel):
    """What a line consists of: as the contract has it, to the letter."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Line(Part):
    """One line of the file."""

    at: AwareDatetime


class Header(Line):
    """Whose result this is."""

    kind: Literal["header"]
    schema_version: int = Field(alias="schema")
    nonce: Name
    run: Name
    cell: Name


class Attested(Line):
    """What the container says is installed."""

    kind: Literal["attestation"]
    python: str = Field(pattern=r"^\d+\.\d+\.\d+((a|b|rc)\d+)?\+?$")
    machine: Name
    distributions: dict[Name, Name]
    modules: dict[Name, Name | None]
    torch_cuda: Name | None
    gpus: int = Field(ge=0)


class CollectedCheck(Part):
    """A check that will report."""

    id: str = Field(min_length=1)
    claim: str
    reference: str | None
    severity: Literal["error", "warning"]
    line: int | None = Field(default=None, ge=1, le=MOST_LINES)


class Collected(Line):
    """Checks that will report. A long list takes several such lines."""

    kind: Literal["collected"]
    checks: tuple[CollectedCheck, ...]


class Begin(Line):
    """A check begins."""

    kind: Literal["begin"]
    id: str


def _reported(outcome: CheckOutcome) -> CheckOutcome:
    """Refuse an outcome that only the host assigns."""
    if outcome not in REPORTABLE:
        msg = f"{outcome} is not for a container to report"
        raise ValueError(msg)
    return outcome


ReportedOutcome = Annotated[CheckOutcome, AfterValidator(_reported)]


class End(Line):
    """What a check came to."""

    kind: Literal["end"]
    id: str
    outcome: ReportedOutcome
    reason: str = Field(max_length=500)
    need: Need | None
    message: str = Field(max_length=4_000)
    detail: str = Field(max_length=20_000)
    metrics: dict[str, FiniteFloat]


class Again(Line):
    """What a check that failed came to when it was run once more, alone.

    Without an outcome it was not run, or not to its end: the cell's time was over.
    """

    kind: Literal["again"]
    id: str
    outcome: ReportedOutcome | None


class Footer(Line):
    """All was done. Anything after it is foreign."""

    kind: Literal["footer"]
    checks: int
    ended: int


AnyLine = Header | Attested | Collected | Begin | End | Again | Footer
_LINE: Final[TypeAdapter[AnyLine]] = TypeAdapter(Annotated[AnyLine, Field(discriminator="kind")])


class BadLineError(Exception):
    """A line that is not as the contract has it, or has no place where it is."""


@dataclass
class ResultFile:
    """The records of a result file, up to its end or the first bad line."""

    header: Header | None = None
    attested: Attested | None = None
    collected: dict[str, CollectedCheck] | None = None
    begun: dict[str, Begin] = field(default_factory=dict)
    ended: dict[str, End] = field(default_factory=dict)
    again: dict[str, Again] = field(default_factory=dict)
    footer: Footer | None = None
    bad: str | None = None
    """what is wrong with the file, None where nothing is"""

    @property
    def running(self) -> str | None:
        """The check that began last and never ended."""
        return next((check for check in reversed(self.begun) if check not in self.ended), None)

    def take(self, line: AnyLine) -> None:
        """Keep one record.

        Raises:
            BadLineError: it has no place here.
        """
        if (self.header is None) != isinstance(line, Header):
            _refuse("the first line, and no other, is the header")
        if self.footer:
            _refuse("nothing comes after the footer")
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
            case Again():
                self._repeat(line)
            case Footer():
                self._close(line)

    def _attest(self, line: Attested) -> None:
        if self.attested or self.collected is not None:
            _refuse("the attestation comes once, before the checks")
        self.attested = line

    def _collect(self, line: Collected) -> None:
        if self.begun:
            _refuse("checks are collected before the first one begins")
        known = self.collected or {}
        self.collected = known | {check.id: check for check in line.checks}

    def _begin(self, line: Begin) -> None:
        if line.id not in (self.collected or {}) or line.id in self.begun:
            _refuse("a check that was not collected, or began before, begins")
        self.begun[line.id] = line

    def _end(self, line: End) -> None:
        if line.id not in self.begun or line.id in self.ended:
            _refuse("a check that never began, or ended before, ends")
        self.ended[line.id] = line

    def _repeat(self, line: Again) -> None:
        first = self.ended.get(line.id)
        if first is None or line.id in self.again:
            _refuse("a check that never ended, or was run again before, is run again")
        if first.outcome not in FAILING:
            _refuse("a check that did not fail is run again")
        self.again[line.id] = line

    def _close(self, line: Footer) -> None:
        if (line.checks, line.ended) != (len(self.collected or {}), len(self.ended)):
            _refuse("the footer does not count what is above it")
        self.footer = line


def read(raw: bytes) -> ResultFile:
    """Return what can be read of a result file; whatever the bytes, nothing is raised."""
    file = ResultFile()
    if len(raw) > FILE_BYTES:
        file.bad = f"it has more than {FILE_BYTES:,} bytes"
        return file
    number = 1
    *lines, rest = raw.split(b"\n")
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007 - told where it ends
            file.take(_parsed(line))
    except BadLineError as error:
        file.bad = f"line {number}: {error}"
        return file
    if rest:
        file.bad = f"line {len(lines) + 1}: it breaks off"
    return file


def _parsed(line: bytes) -> AnyLine:
    """Return the record of a line.

    Raises:
        BadLineError: it is too long, not UTF-8, not JSON, or not one of the contract's records.
    """
    if len(line) >= LINE_BYTES:
        _refuse(f"it has more than {LINE_BYTES:,} bytes")
    try:
        value = json.loads(line.decode("utf-8"))
        # Lone surrogates are JSON but no text: through UTF-8 once more, without them.
        clean = json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")
        return _LINE.validate_json(clean)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:TOLD_CHARACTERS]
        _refuse(f"{where}: {first['msg'][:TOLD_CHARACTERS]}")
    except RecursionError:
        _refuse("it is nested too deeply")
    except ValueError as error:  # not JSON, not UTF-8, an integer of too many digits
        _refuse(str(error)[:TOLD_CHARACTERS])


def _refuse(what: str) -> NoReturn:
    raise BadLineError(what)
