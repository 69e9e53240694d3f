"""A report as the compact data of a page: rows of indexes into tables of what cells share.

A run of ten thousand cells has hundreds of thousands of checks, nearly all of which passed. A
check is a character; only one that didn't pass is more. What rows mean is said by their fields.
"""

import json
import math
import shlex
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Final

from matrixci.history.trend import Trend
from matrixci.model import CellOutcome, CellResult, CheckOutcome, CheckResult, LockRecord
from matrixci.outcomes import GREEN, is_warning
from matrixci.reports.page.pool import Pool, Texts
from matrixci.reports.page.rows import CellRow, ChangeRow, CheckRow, DeviationRow
from matrixci.reports.page.scale import SCALE, length
from matrixci.reports.page.words import CHECK_CODES, link_of, outcome_words
from matrixci.reports.report import Report
from matrixci.util.text import in_line, printable
from matrixci.verdict.judged import CellChange, JudgedCell
from matrixci.verdict.reproduce_command import words_of_check
from matrixci.verdict.versions import headline_versions

MESSAGES: Final = 5_000_000
DETAILS: Final = 3_000_000
LOCKS: Final = 6_000_000
LOGS: Final = 6_000_000
"""Characters that the texts of one kind may take in a page, together some 20 MB."""

_LONGEST_LINE: Final = 2_000
_LONGEST_MESSAGE: Final = 16_000
_LONGEST_DETAIL: Final = 40_000
_LONGEST_LOCK: Final = 400_000
_LONGEST_LOG: Final = 66_000
_LONGEST_TREND: Final = 60
_MOST_TRENDS: Final = 50_000
_MOST_FIGURES: Final = 100_000

_GONE: Final = CheckOutcome.MISSING
_DURATION: Final = "seconds"
_CELL: Final = "\0"


class PageData:
    """Gathers the rows of a report and the tables they point into."""

    def __init__(self, report: Report) -> None:
        """Take a report.

        `headline` is the version of the subject and its companions that most cells have.
        """
        self._report = report
        self._trend_runs: dict[str, int] = {}
        self._judged = report.judged
        self._checks: Pool[str] = Pool()
        self._check_rows: list[CheckRow] = []
        self._sets: Pool[tuple[str, ...]] = Pool()
        self._strings: Pool[str] = Pool()
        self._lists: Pool[tuple[Hashable, ...]] = Pool()
        self._messages = Texts(budget=MESSAGES, longest=_LONGEST_MESSAGE)
        self._details = Texts(budget=DETAILS, longest=_LONGEST_DETAIL)
        self._locks = Texts(budget=LOCKS, longest=_LONGEST_LOCK)
        self._logs = Texts(budget=LOGS, longest=_LONGEST_LOG)
        self._locked = frozenset(report.locks)
        self._figures = 0
        self.headline = headline_versions(self._judged)
        axes = self._judged.run.axes
        self._values = {axis: {v: i for i, v in enumerate(axes[axis])} for axis in axes}
        comparison = self._judged.comparison
        self._changes = {one.cell: one for one in comparison.cells} if comparison else {}

    def document(self) -> dict[str, object]:
        """Return the whole data of the page."""
        self._message("")
        self._take_logs()
        trends = self._trends()
        cells = [self._cell(cell) for cell in self._judged.cells]
        # Afterwards, for a check that is gone from one cell may be told in full by another.
        cells = [cell._replace(change=self._change(self._changes.get(cell.id))) for cell in cells]
        return {
            **outcome_words(),
            "axes": self._axes(),
            "fields": {
                "cell": CellRow._fields,
                "check": CheckRow._fields,
                "deviation": DeviationRow._fields,
                "change": ChangeRow._fields,
            },
            "checks": self._check_rows,
            "sets": [[self._checks.add(check) for check in checks] for checks in self._sets.items],
            "strings": self._strings.items,
            "lists": self._lists.items,
            "messages": self._messages.items,
            "details": self._details.items,
            "locks": self._locks.items,
            "logs": self._logs.items,
            "cells": cells,
            "folder": self._report.folder,
            "compared": self._judged.comparison is not None,
            "trends": trends,
            "trendRuns": list(self._trend_runs),
            "scale": SCALE,
        }

    def cuts(self) -> list[str]:
        """Say what there was no room for; to be asked when the document is made."""
        kinds = {
            "messages": self._messages,
            "tracebacks and outputs": self._details,
            "locks": self._locks,
            "logs": self._logs,
        }
        told = [f"{texts.left_out} {kind}" for kind, texts in kinds.items() if texts.left_out]
        many = len(self._report.trends or ()) - _MOST_TRENDS
        told += [f"{many} trends"] if many > 0 else []
        told += ["figures of some checks"] if self._figures > _MOST_FIGURES else []
        return told

    def _axes(self) -> list[tuple[str, tuple[str, ...], list[str]]]:
        """Return the axes with their values' names and titles."""
        no_gpu = self._judged.run.had_no_gpu
        asking: dict[tuple[str, str], bool] = {}
        for cell in self._judged.cells if no_gpu else ():
            for pair in cell.cell.axes.items():
                asking[pair] = asking.get(pair, True) and cell.cell.gpu
        return [
            (axis, values, [f"{v} (no GPU here)" if asking.get((axis, v)) else v for v in values])
            for axis, values in self._judged.run.axes.items()
        ]

    def _take_logs(self) -> None:
        """Take the logs of what isn't green first: these are the ones that are read."""
        # To ask for a log is to read its file, so only those are asked for that have room.
        known = frozenset(self._report.logs)
        for cell in sorted(self._judged.cells, key=lambda cell: cell.outcome in GREEN):
            if cell.cell.id in known:
                self._logs.add(
                    cell.cell.id, partial(self._report.logs.__getitem__, cell.cell.id), end=True
                )

    def _cell(self, judged: JudgedCell) -> CellRow:
        cell, result = judged.cell, judged.result
        outcomes, seconds, deviations, figures = self._checks_of(judged.checks)
        record = result.lock if result else None
        return CellRow(
            id=cell.id,
            axes=tuple(
                self._values[axis].get(cell.axes.get(axis, ""), -1) for axis in self._values
            ),
            outcome=str(judged.outcome),
            reason=str(judged.reason) if judged.reason else None,
            message=self._message(judged.message),
            detail=self._detail(result.detail if result else ""),
            gpu=cell.gpu,
            checks=self._set_of(judged.checks, judged.reproduce),
            outcomes=self._strings.add(outcomes),
            seconds=seconds,
            deviations=self._lists.add(deviations),
            figures=self._lists.add(figures) if figures else None,
            note=self._strings.add(self._note(judged)),
            command=self._command(judged),
            requires=self._lists.add(cell.requires),
            environment=self._lists.add(tuple(cell.environment.items())),
            lock=self._lock(cell.id, record),
            log=self._logs.index(cell.id),
            log_file=result.log if result else None,
            lock_file=record.file if record else None,
            image=self._image(result),
            attestation=self._attestation(result),
            steps=_steps(result),
            reused_from=result.reused_from if result else None,
            attempts=result.attempts if result else 1,
            sbom_file=result.sbom if result else None,
            change=None,
        )

    def _message(self, text: str) -> int | None:
        return self._messages.add(text, lambda: text)

    def _detail(self, text: str) -> int | None:
        return self._details.add(text, lambda: text) if text else None

    def _lock(self, cell_id: str, record: LockRecord | None) -> int | None:
        """Return the index of a cell's lock; cells of one digest have it in common."""
        if record is None or cell_id not in self._locked:
            return None
        return self._locks.add(record.digest, partial(self._report.locks.__getitem__, cell_id))

    def _set_of(self, checks: tuple[CheckResult, ...], command: Sequence[str]) -> int:
        """Return the index of a list of checks, which most cells have in common."""
        known = len(self._sets.items)
        index = self._sets.add(tuple(check.id for check in checks))
        if index == known:
            for check in checks:
                if self._checks.add(check.id) == len(self._check_rows):
                    self._check_rows.append(_check_row(check, command))
        return index

    def _checks_of(
        self, checks: tuple[CheckResult, ...]
    ) -> tuple[str, str, tuple[DeviationRow, ...], tuple[Hashable, ...]]:
        """Return a cell's checks: outcomes, durations, what didn't pass, and figures."""
        outcomes, seconds, deviations = [], [], []
        figures: list[Hashable] = []
        passed = CheckOutcome.PASSED
        for place, check in enumerate(checks):
            seconds.append(length(check.began, check.ended))
            if check.figures and (named := self._figures_of(check)):
                figures.append((place, *named))
            if check.outcome is passed:
                outcomes.append("p")
                continue
            outcomes.append(CHECK_CODES[check.outcome])
            deviations.append(
                DeviationRow(
                    place=place,
                    reason=self._strings.add(check.reason[:_LONGEST_LINE]),
                    message=self._message(check.message),
                    detail=self._detail(check.detail),
                    need=str(check.need) if check.need else None,
                    warns=int(is_warning(check)),
                )
            )
        return "".join(outcomes), "".join(seconds), tuple(deviations), tuple(figures)

    def _figures_of(self, check: CheckResult) -> list[tuple[str, float | None]]:
        """Return a check's figures, as long as there is room; how long it took is told anyway."""
        named = [(n, _finite(value)) for n, value in check.figures.items() if n != _DURATION]
        self._figures += len(named)
        return named if self._figures <= _MOST_FIGURES else []

    def _note(self, judged: JudgedCell) -> str:
        """Say where a cell's versions are not those of most, and why."""
        lock = judged.result.lock if judged.result else None
        if judged.outcome is CellOutcome.UNSATISFIABLE:
            return in_line(judged.message)
        if lock is None:
            return ""
        older = self._judged.run.older.get(judged.cell.id, {})
        differing = {
            name: lock.versions[name]
            for name, version in self.headline.items()
            if lock.versions.get(name, version) != version
        }
        return in_line(
            ", ".join(
                f"{name} {version} ({older[name]})" if older.get(name) else f"{name} {version}"
                for name, version in differing.items()
            )
        )

    def _command(self, judged: JudgedCell) -> int:
        """Return the index of a cell's command, in which a sign stands for the cell's id."""
        cell = judged.cell.id
        # The page puts the id in as it is: only one that a shell takes as one word may stand there.
        plain = _quoted(cell) == cell
        words = (_CELL if plain and word == cell else _quoted(word) for word in judged.reproduce)
        return self._lists.add(tuple(words))

    def _image(self, result: CellResult | None) -> int | None:
        image = result.image if result else None
        if image is None:
            return None
        facts = {
            "image": image.tag,
            "digest": image.id,
            "base": image.base,
            "base digest": image.base_digest,
            "base from": str(image.base_origin),
            "stood before the run": "yes" if image.reused else "no",
            "pulled as": image.pulled or "",
            "build log": image.log or "",
        }
        return self._lists.add(tuple((name, value) for name, value in facts.items() if value))

    def _attestation(self, result: CellResult | None) -> int | None:
        """Return the index of what the container said, with what differs from its lock."""
        said = result.attestation if result else None
        if result is None or said is None:
            return None
        locked = result.lock.versions if result.lock else {}
        differing = {name for name, _ in said.distributions.items() ^ locked.items()}
        facts = {
            "python": f"{said.python} on {said.machine}",
            "torch built for": f"CUDA {said.torch_cuda}" if said.torch_cuda else "CPU",
            "GPUs torch can use": str(said.gpus),
            **{f"import {m}": v or "failed" for m, v in said.modules.items()},
            "distributions": f"{len(said.distributions)} installed",
            **{f"{n}, not as locked": said.distributions.get(n, "-") for n in sorted(differing)},
        }
        return self._lists.add(tuple(facts.items()))

    def _change(self, change: CellChange | None) -> ChangeRow | None:
        if change is None:
            return None
        return ChangeRow(
            change=_word(change.change),
            before=_word(change.before),
            after=_word(change.after),
            checks=self._lists.add(
                tuple(
                    (self._gone(one.check), str(one.change), _word(one.before), _word(one.after))
                    for one in change.checks
                )
            ),
            packages=self._lists.add(
                tuple((one.name, one.before, one.after) for one in change.packages)
            ),
            python=change.python,
            figures=tuple(
                (name, _finite(before), _finite(after))
                for name, (before, after) in change.figures.items()
            ),
        )

    def _gone(self, check: str) -> int:
        """Return the index of a check that may be in none of the cells any more."""
        index = self._checks.add(check)
        if index == len(self._check_rows):
            self._check_rows.append(_check_row(CheckResult(id=check, claim="", outcome=_GONE), ()))
        return index

    def _trends(self) -> dict[str, object] | None:
        if self._report.trends is None:
            return None
        kept = list(self._report.trends.items())[:_MOST_TRENDS]
        return {key: self._trend(trend) for key, trend in kept}

    def _trend(self, trend: Trend) -> tuple[object, ...]:
        """Return outcomes, figures, and, where they are known, the numbers of their runs."""
        runs = self._trend_runs
        numbers = [runs.setdefault(one, len(runs)) for one in trend.runs[-_LONGEST_TREND:]]
        found = _trend(trend)
        return (*found, numbers) if numbers else found


def as_script(document: Mapping[str, object]) -> str:
    """Return data as JSON that can stand in a script element whatever its strings hold."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    # Of ASCII alone (U+2028 and lone surrogates are escaped), and with nothing that ends a script.
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _check_row(check: CheckResult, command: Sequence[str]) -> CheckRow:
    words = words_of_check(command, check.id)
    return CheckRow(
        id=check.id[:_LONGEST_LINE],
        claim=check.claim[:_LONGEST_LINE],
        reference=check.reference,
        link=link_of(check.reference),
        command="".join(f" {_quoted(word)}" for word in words),
    )


def _quoted(word: str) -> str:
    return shlex.quote(printable(word))


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def _steps(result: CellResult | None) -> tuple[tuple[str, float, float], ...]:
    """Return a cell's steps with their beginning, from that of the first, and their length."""
    if result is None or not result.steps:
        return ()
    first = min(step.began for step in result.steps)
    return tuple(
        (
            str(step.name),
            max(0.0, round((step.began - first).total_seconds(), 3)),
            round(step.seconds, 3),
        )
        for step in result.steps
    )


def _trend(trend: Trend) -> tuple[tuple[str, ...], dict[str, list[float | None]]]:
    return trend.outcomes[-_LONGEST_TREND:], {
        name: [_finite(value) for value in values[-_LONGEST_TREND:]]
        for name, values in trend.figures.items()
    }


def _finite(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None
