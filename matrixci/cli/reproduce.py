"""The command `reproduce`: run a cell of a stored run again, or one check of it."""

import asyncio
import codecs
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, assert_never

import typer
from rich.text import Text

from matrixci.cli.checks_folder import checks_folder
from matrixci.cli.console import console, print_note
from matrixci.cli.option_groups import with_option_groups
from matrixci.cli.options import WORK_DIR, RequireLimitsOption, RunOption, WorkDirOption
from matrixci.engine.client import Engine
from matrixci.engine.image_references import WorkDirId
from matrixci.engine.limits import check_limits
from matrixci.errors import ExitCode
from matrixci.execution.reproduce import (
    ChecksChoice,
    Reproduction,
    image_of,
    open_shell,
    prepare_reproduction,
    run_again,
)
from matrixci.execution.work_dir_use import in_use
from matrixci.history.run_names import named_run
from matrixci.images.buildx import BuildError
from matrixci.model import CellOutcome, CellResult, CheckOutcome, Reason, now
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS, STYLES
from matrixci.runs.folder import new_run_id, read_run
from matrixci.util.files import write_whole
from matrixci.util.invocation import called
from matrixci.util.text import in_line, printable
from matrixci.verdict.judge import judge_cell

_KEPT = "docker logs {0}; docker cp {0}:/matrixci/results .; remove it with: {1}"
_HINT = (
    "shell in the cell's container, without a time limit: `check` runs its checks, "
    "`check CHECK...` some of them, `exit` leaves"
)


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions:
    """Options of `reproduce`."""

    run: RunOption = None
    shell: Annotated[
        bool, typer.Option("--shell", help="Open a shell in the container instead.")
    ] = False
    keep: Annotated[bool, typer.Option("--keep", help="Keep the container afterwards.")] = False
    checks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of checks to run instead of the run's."),
    ] = None
    work_dir: WorkDirOption = WORK_DIR
    require_limits: RequireLimitsOption = False


@with_option_groups
def reproduce(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="Cell id.")],
    check: Annotated[
        str | None,
        typer.Argument(metavar="[CHECK]", help="Check id or glob. Default: all that ran."),
    ] = None,
    *,
    options: ReproduceOptions,
) -> None:
    """Run a cell of a stored run again, with the same lock, image, sandbox and checks."""
    work_dir = options.work_dir
    stored = read_run(named_run(work_dir, options.run))
    choice = ChecksChoice(
        given=None if options.checks is None else checks_folder(options.checks),
        named=lambda named: checks_folder(Path(named) if named else None),
    )
    reproduction = prepare_reproduction(stored, cell, check, choice, new_run_id(now()))
    reproduction = replace(
        reproduction,
        keep=options.keep,
        require_limits=options.require_limits,
        sandbox=replace(reproduction.sandbox, folder=WorkDirId.of(work_dir).id),
    )
    with in_use(work_dir):
        code = asyncio.run(_reproduce(reproduction, work_dir, shell=options.shell))
    raise typer.Exit(code)


async def _reproduce(reproduction: Reproduction, work_dir: Path, *, shell: bool) -> int:
    folder = work_dir / "reproductions" / reproduction.id
    write_whole(folder / "run.json", reproduction.run.model_dump_json(indent=1))
    engine = await Engine.connect()
    if limits := check_limits(engine.facts, engine.host, required=reproduction.require_limits):
        _say(f"note: {limits}")
    if shell and reproduction.remark is not None:
        _say(f"note: {reproduction.remark}")
    try:
        image = await image_of(engine, reproduction, work_dir, folder, _say)
    except BuildError as error:
        return _print_result(reproduction, _blocked(reproduction, str(error)), folder)
    if shell:
        _say(_HINT)
        return await open_shell(engine, reproduction, image, terminal=sys.stdin.isatty())
    screen = _Screen()
    log = folder / f"{reproduction.before.cell.id}.log"
    result, kept = await run_again(engine, reproduction, image, log, screen.take)
    screen.end()
    if kept is not None:
        _say(f"kept the container: {_KEPT.format(kept, called('clean'))}")
    write_whole(folder / f"{reproduction.before.cell.id}.json", result.model_dump_json(indent=1))
    return _print_result(reproduction, result, folder)


def _blocked(reproduction: Reproduction, message: str) -> CellResult:
    return CellResult(
        run=reproduction.id,
        cell=reproduction.before.cell,
        outcome=CellOutcome.BLOCKED,
        reason=Reason.BUILD,
        message=message,
    )


class _Screen:
    """Prints the output of a container with control characters made visible."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take(self, piece: bytes) -> None:
        self._write(self._decoder.decode(piece))

    def end(self) -> None:
        self._write(self._decoder.decode(b"", final=True))

    def _write(self, text: str) -> None:
        lines = text.replace("\r\n", "\n").split("\n")
        sys.stdout.write("\n".join(_shown(line) for line in lines))
        sys.stdout.flush()


def _shown(line: str) -> str:
    return "\t".join(map(printable, line.split("\t")))


def _print_result(reproduction: Reproduction, result: CellResult, folder: Path) -> int:
    """Print the new result next to the one in the run, and return the exit code."""
    today = now().date()
    again = judge_cell(result, reproduction.run.known_issues, today)
    before = judge_cell(reproduction.before, reproduction.run.known_issues, today)
    earlier = {check.id: check.outcome for check in before.checks}
    out = console()
    out.print()
    for check in again.checks:
        was = earlier.get(check.id)
        text = Text(f"{CHECK_GLYPHS[check.outcome]} {check.outcome}  {in_line(check.id)}")
        text.append(f"  (in the run: {was or 'not run'})", style="dim")
        for line in [*check.reason.splitlines(), *check.message.splitlines()]:
            if check.outcome is not CheckOutcome.PASSED:
                text.append(f"\n    {in_line(line)}")
        out.print(text, soft_wrap=True)
    cell = again.cell.id
    text = Text(f"{CELL_GLYPHS[again.outcome]} {cell}: {again.outcome}", STYLES[again.outcome])
    text.append(f" ({again.reason})" if again.reason else "", style="default")
    if reproduction.only is None:
        text.append(f"; in the run: {before.outcome}", style="default")
    if reproduction.remark is not None:
        text.append(f"; {in_line(reproduction.remark)}", style="default")
    for line in again.message.splitlines():
        text.append(f"\n    {in_line(line)}", style="default")
    out.print(text, soft_wrap=True)
    _say(f"log and result: {folder}")
    return _exit_code(again.outcome)


def _exit_code(outcome: CellOutcome) -> ExitCode:
    match outcome:
        case CellOutcome.PASSED | CellOutcome.PARTIAL:
            return ExitCode.READY
        case CellOutcome.FAILED | CellOutcome.BLOCKED | CellOutcome.UNSATISFIABLE:
            return ExitCode.FAILURES
        case CellOutcome.ERROR | CellOutcome.MISSING:
            return ExitCode.INFRASTRUCTURE
        case CellOutcome.CANCELLED:
            return ExitCode.INTERRUPTED
        case _ as never:
            assert_never(never)


def _say(text: str) -> None:
    print_note(in_line(text))
