"""What the commands that begin a run are asked for: their options, read into settings and cells."""

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import typer
from rich.text import Text

from matrixci.cli.console import console
from matrixci.cli.options import BUILTIN, checks_folder
from matrixci.engine.endpoint import engine_endpoint
from matrixci.errors import EngineError, UsageError
from matrixci.execution.pipeline import Settings
from matrixci.images.build_cache import BuildCache
from matrixci.locks.own_wheels import WHEELS
from matrixci.locks.required_wheels import make_wheels, without_credentials
from matrixci.locks.subject import resolve_subject
from matrixci.locks.uv_settings import ignored_settings
from matrixci.matrix.cells import Chosen, Selection, choose
from matrixci.matrix.definition import Matrix
from matrixci.matrix.loader import load_matrix, refusal_of
from matrixci.model import BaseOrigin
from matrixci.runs.folder import forget_run
from matrixci.sandbox.check_filter import make_sure_of_filter, make_sure_of_match
from matrixci.util.resources import data_folder
from matrixci.util.text import did_you_mean, in_line, listed
from matrixci.verdict.judge import selected_nothing
from matrixci.verdict.judged import JudgedRun

_FIRST_WHEELS: Final = date(2013, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options that these commands have in common."""

    file: Path
    work_dir: Path
    subject: str | None
    cells: list[str] | None
    tier: str | None
    check: str | None
    checks: Path | None
    as_of: datetime | None
    base: BaseOrigin | None
    fresh: bool
    registry: str | None = None
    build_cache: BuildCache | None = None
    require_limits: bool = False


def asked(
    context: typer.Context, what: Asked, *, jobs: int | None = None
) -> tuple[Settings, Chosen]:
    """Return what a command asks for, and the cells of it.

    Args:
        context: of the command: what is left of its line are options named after the axes.
        what: the other options.
        jobs: cells under way at once.

    Raises:
        UsageError: the matrix, the selection, the subject or the checks are not there, or the
            filter of checks is none.
    """
    make_sure_of_filter(what.check or "")
    as_of = _as_of(what.as_of)
    _say_what_is_ignored()
    loaded = load_matrix(what.file)
    selection = Selection(
        axes=_axis_options(context, list(loaded.axes)),
        cells=tuple(what.cells or ()),
        tier=what.tier,
    )
    every = choose(loaded, selection)
    chosen = without_credentials(every)
    settings = Settings(
        matrix=loaded,
        subject=asyncio.run(
            resolve_subject(what.subject or loaded.subject, what.work_dir / "subjects")
        ),
        own_wheels=asyncio.run(make_wheels(every.cells, what.work_dir / WHEELS, _say)),
        checks=_checks(what, loaded),
        checks_chosen=what.checks is not None or loaded.checks is not None,
        work_dir=what.work_dir,
        check_filter=what.check,
        as_of=as_of,
        jobs=jobs,
        fresh=what.fresh,
        base_origin=what.base,
        registry=what.registry,
        build_cache=what.build_cache,
        require_limits=what.require_limits,
    )
    make_sure_of_match(what.check or "", settings.sources.files["checks"])
    return settings, chosen


def _as_of(given: datetime | None) -> date | None:
    """Return the day of --as-of.

    Raises:
        UsageError: the index has nothing that belongs to that day.
    """
    if given is None:
        return None
    day = given.date()
    # Both, since it may be tomorrow already where the user is.
    today = max(datetime.now(UTC).date(), datetime.now().astimezone().date())
    if day > today:
        msg = f"--as-of {day} is in the future. The newest possible day is today, {today}."
        raise UsageError(msg)
    if day < _FIRST_WHEELS:
        msg = f"--as-of {day} is too early: only wheels are installed, and the first are from 2013."
        raise UsageError(msg)
    return day


def _checks(what: Asked, matrix: Matrix) -> Path:
    """Return the folder of checks: the command's, the matrix's, or the built-in one.

    Raises:
        UsageError: it holds no checks; where the matrix names it, with its line.
    """
    if what.checks is not None or matrix.checks in {None, BUILTIN}:
        return checks_folder(what.checks)
    try:
        return checks_folder(what.file.parent / str(matrix.checks))
    except UsageError as error:
        raise refusal_of(what.file, "checks", str(error)) from None


def _say(text: str) -> None:
    console(stderr=True).print(Text(in_line(text)), soft_wrap=True)


def _say_what_is_ignored() -> None:
    if ignored := ignored_settings(Path.cwd()):
        text = f"ignored, because only matrix.yaml and the index decide a lock: {listed(ignored)}"
        _say(text)


def _axis_options(context: typer.Context, axes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read what is left of a command line as options named after the matrix's axes.

    Raises:
        UsageError: it is none, or has no value.
    """
    wanted: dict[str, list[str]] = {}
    own = [name for each in context.command.params for name in each.opts]
    rest = iter(context.args)
    for word in rest:
        name, given, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in axes:
            known = [*(f"--{axis}" for axis in axes), *own]
            msg = f"There is no option {word}; {did_you_mean(word, known)}"
            raise UsageError(msg)
        if not given:
            value = next(rest, "")
        if not value:
            msg = f"{word} needs a value of the axis {name}."
            raise UsageError(msg)
        wanted.setdefault(name, []).extend(value.split(","))
    return {name: tuple(values) for name, values in wanted.items()}


def refuse_empty_selection(judged: JudgedRun, folder: Path) -> None:
    """Forget a run whose selection of checks names none: it says nothing about the subject.

    Args:
        judged: the run.
        folder: where its files lie.

    Raises:
        UsageError: it is such a run.
    """
    if selected_nothing(judged):
        forget_run(folder)
        msg = f"No check matches --check {judged.run.check_filter}; the run is not kept."
        raise UsageError(msg)


def make_sure_of_engine() -> None:
    """Install and start an engine where none answers.

    Raises:
        EngineError: that failed; the script has said why.
    """
    endpoint = engine_endpoint()
    if not endpoint.is_local:
        told = f"--install-engine installs nothing: {endpoint.named_by} names {endpoint.host}"
        console(stderr=True).print(Text(told), soft_wrap=True)
        return
    argv = ["bash", str(data_folder("docker") / "engine.sh"), "install"]
    if subprocess.run(argv, env=endpoint.environment(), check=False).returncode != 0:  # noqa: S603
        msg = "No container engine could be installed."
        raise EngineError(msg)
