"""History tables for the terminal: runs, cells with streaks, checks with flips."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from matrixci.history.series import CellPoint, CellSeries, CheckSeries, package_changes
from matrixci.history.store import History, KeptRun
from matrixci.history.streaks import Flips, State, flips, streak, total
from matrixci.model import CheckOutcome
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS, STYLES
from matrixci.util.text import in_line, listed, rounded
from matrixci.verdict.judged import PackageChange

_GLYPHS: Final = 30
"""Maximum number of recent runs shown as symbols."""

_FLIPS: Final = ("runs", "flips", "same lock", "flaky")


def runs_table(runs: Sequence[KeptRun]) -> Table:
    """Return the runs as a table."""
    table = _table("run", "began", "subject", "cells", "verdict", "")
    for run in runs:
        notes = [f"as of {run.as_of}"] if run.as_of else []
        notes += [f"only checks that match {run.check_filter!r}"] if run.check_filter else []
        subject = f"{run.subject} {run.version}" if run.version else run.subject
        values = (run.id, _minute(run.began), subject, str(run.cells), run.verdict)
        table.add_row(*map(_text, values), _text(", ".join(notes)))
    return table


def cells_table(series: Sequence[CellSeries]) -> Table:
    """Return a table of the cells with their current state and since when they have it."""
    table = _table("cell", "now", "since", "run", "runs", "last green", "history")
    for one in series:
        found = streak(one.points)
        name = _text(one.cell if _one_subject(series) else f"{one.subject} {one.cell}")
        if found is None:
            table.add_row(name, _text("unknown"), "", "", "", "", _history(one.points))
            continue
        green = _day(found.last_green) if found.last_green else ""
        table.add_row(
            name,
            _outcome(found.latest),
            _text(_day(found.since)),
            _text(found.since.run),
            str(found.runs),
            _text(green),
            _history(one.points),
        )
    return table


def cell_story(history: History, series: CellSeries) -> Text:
    """Return the history of a cell: its streak, the packages that changed, and every run.

    Raises:
        HistoryError: the history cannot be read.
    """
    text = Text(in_line(f"{series.cell} · {series.subject}"), style="bold")
    if found := streak(series.points):
        since = f"{_day(found.since)} (run {found.since.run})"
        text.append(f"\n{found.state} since {since}, for {found.runs} runs", style="default")
        if found.last_green is not None:
            green = f"{_day(found.last_green)} (run {found.last_green.run})"
            both = found.last_green.lock is not None and found.since.lock is not None
            changes = package_changes(history, found.last_green.lock, found.since.lock)
            packages = _changes(changes) if both else "unknown (no lock)"
            text.append(f"\nlast green on {in_line(green)}", style="default")
            text.append(f"\npackages changed since: {in_line(packages)}", style="default")
        elif found.state is State.RED:
            text.append("\nno earlier green run is known", style="default")
    for point in series.points:
        text.append(f"\n  {in_line(point.run)}  ", style="default")
        text.append_text(_outcome(point))
        reason = "" if point.reason is None else f" ({point.reason})"
        partial = "" if point.whole else ", some checks only"
        version = f", {series.subject} {point.version}" if point.version else ""
        text.append(in_line(f"{reason}{partial}{version}"), style="dim")
    return text.append("\n")


def checks_table(series: Sequence[CheckSeries]) -> Table:
    """Return how often checks flipped, in each cell and in all, and how their metrics went."""
    table = _table("check", "cell", "now", *_FLIPS, "so far", "metrics")
    of_check: dict[str, list[Flips]] = {}
    for one in series:
        of_check.setdefault(one.check, []).append(flips(one.points))
    for check, found in of_check.items():
        cells = [one for one in series if one.check == check]
        for one, of_cell in zip(cells, found, strict=True):
            glyphs = [CHECK_GLYPHS[point.outcome] for point in one.points]
            metrics = [f"{name} {_went(values)}" for name, values in one.metrics().items()]
            name = one.cell if _one_subject(series) else f"{one.subject} {one.cell}"
            table.add_row(
                *map(_text, (check, name, _check(one.points[-1].outcome), *_counts(of_cell))),
                _text(_shortened(glyphs)),
                _text(", ".join(metrics)),
            )
        if len(cells) > 1:
            table.add_row(*map(_text, (check, "all", "", *_counts(total(found)))), style="bold")
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title)
    return table


def _text(value: str) -> Text:
    return Text(in_line(value))


def _outcome(point: CellPoint) -> Text:
    return Text(f"{CELL_GLYPHS[point.outcome]} {point.outcome}", style=STYLES[point.outcome])


def _history(points: Sequence[CellPoint]) -> Text:
    return Text(_shortened([CELL_GLYPHS[point.outcome] for point in points]))


def _check(outcome: CheckOutcome) -> str:
    return f"{CHECK_GLYPHS[outcome]} {outcome}"


def _shortened(glyphs: Sequence[str]) -> str:
    return ("…" if len(glyphs) > _GLYPHS else "") + "".join(glyphs[-_GLYPHS:])


def _counts(found: Flips) -> tuple[str, ...]:
    return str(found.runs), str(found.flips), str(found.of_same_lock), str(found.flaky)


def _went(values: Sequence[float]) -> str:
    """Say how a metric went: from the first to the last, and between which it was."""
    if len(set(values)) == 1:
        return rounded(values[0])
    first, last, least, most = map(rounded, (values[0], values[-1], min(values), max(values)))
    return f"{first} → {last} ({least} to {most})"


def _changes(changes: Sequence[PackageChange]) -> str:
    if not changes:
        return "none"
    return listed(f"{c.name} {c.before or '(none)'} → {c.after or '(none)'}" for c in changes)


def _one_subject(series: Sequence[CellSeries] | Sequence[CheckSeries]) -> bool:
    return len({one.subject for one in series}) == 1


def _day(point: CellPoint) -> str:
    return point.moment[:10]


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")
