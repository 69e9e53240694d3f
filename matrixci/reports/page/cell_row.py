"""Build the row of a cell and of its change against the baseline."""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from matrixci.model import CellOutcome, CellResult, CheckOutcome, CheckResult, LockRecord
from matrixci.outcomes import is_warning
from matrixci.reports.page.rows import PageCell, PageChange, PageDeviation
from matrixci.reports.page.scale import encode_duration
from matrixci.reports.page.tables import LONGEST_LINE, PageTables
from matrixci.reports.page.words import CHECK_CODES
from matrixci.reports.report import Report
from matrixci.util.text import in_line
from matrixci.verdict.judged import CellChange, JudgedCell
from matrixci.verdict.versions import headline_versions

_DURATION: Final = "seconds"


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """The parts of a report that the rows of its cells refer to."""

    axis_values: Mapping[str, Mapping[str, int]]
    """Position of each value of each axis."""
    headline: Mapping[str, str]
    """The version of the subject and of its companions that most cells have."""
    older: Mapping[str, Mapping[str, str]]
    """Cell id to the packages held back in it, each with the reason."""
    locks: Mapping[str, str]
    """Cell id to the text of its lock, which may be read from a file on access."""


def page_context(report: Report) -> PageContext:
    """Return the context of a report's cells."""
    run = report.judged.run
    return PageContext(
        axis_values={
            axis: {value: place for place, value in enumerate(values)}
            for axis, values in run.axes.items()
        },
        headline=headline_versions(report.judged),
        older=run.older,
        locks=report.locks,
    )


def cell_row(judged: JudgedCell, context: PageContext, tables: PageTables) -> PageCell:
    """Return the row of a cell, without its change against the baseline."""
    cell, result = judged.cell, judged.result
    record = result.lock if result else None
    return PageCell(
        id=cell.id,
        axes=tuple(
            values.get(cell.axes.get(axis, ""), -1) for axis, values in context.axis_values.items()
        ),
        outcome=str(judged.outcome),
        reason=_word(judged.reason),
        message=tables.message(judged.message),
        detail=tables.detail(result.detail if result else ""),
        gpu=cell.gpu,
        checks=tables.check_set(judged.checks, judged.reproduce),
        outcomes=tables.strings.add(_codes(judged.checks)),
        seconds="".join(encode_duration(check.began, check.ended) for check in judged.checks),
        deviations=tables.lists.add(_deviations(judged.checks, tables)),
        metrics=_metrics(judged.checks, tables),
        note=tables.strings.add(_version_note(judged, context)),
        command=tables.command(judged.reproduce, cell.id),
        requires=tables.lists.add(cell.requires),
        environment=tables.lists.add(tuple(cell.environment.items())),
        lock=_lock(cell.id, record, context, tables),
        log=tables.logs.index(cell.id),
        log_file=result.log if result else None,
        lock_file=record.file if record else None,
        image=_facts(_image_facts(result), tables),
        attestation=_facts(_attestation_facts(result), tables),
        steps=_steps(result),
        reused_from=result.reused_from if result else None,
        attempts=result.attempts if result else 1,
        sbom_file=result.sbom if result else None,
        change=None,
    )


def change_row(change: CellChange, tables: PageTables) -> PageChange:
    """Return the row of a cell's change against the baseline."""
    checks = (
        (tables.removed_check(one.check), str(one.change), _word(one.before), _word(one.after))
        for one in change.checks
    )
    packages = ((one.name, one.before, one.after) for one in change.packages)
    return PageChange(
        change=_word(change.change),
        before=_word(change.before),
        after=_word(change.after),
        checks=tables.lists.add(tuple(checks)),
        packages=tables.lists.add(tuple(packages)),
        python=change.python,
        metrics=tuple(
            (name, finite(before), finite(after))
            for name, (before, after) in change.metrics.items()
        ),
    )


def finite(value: float) -> float | None:
    """Return a number with four significant digits, or None for infinity and NaN."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _codes(checks: Iterable[CheckResult]) -> str:
    # Nearly all checks pass, and comparing is much faster than a look-up by an enum's member.
    passed, code = CheckOutcome.PASSED, CHECK_CODES[CheckOutcome.PASSED]
    return "".join(code if one.outcome is passed else CHECK_CODES[one.outcome] for one in checks)


def _deviations(checks: Iterable[CheckResult], tables: PageTables) -> tuple[PageDeviation, ...]:
    passed = CheckOutcome.PASSED
    return tuple(
        PageDeviation(
            place=place,
            reason=tables.strings.add(check.reason[:LONGEST_LINE]),
            message=tables.message(check.message),
            detail=tables.detail(check.detail),
            need=_word(check.need),
            warns=int(is_warning(check)),
        )
        for place, check in enumerate(checks)
        if check.outcome is not passed
    )


def _metrics(checks: Iterable[CheckResult], tables: PageTables) -> int | None:
    """Return the index of the metrics of a cell's checks, or None if there are none."""
    rows: list[Hashable] = []
    for place, check in enumerate(checks):
        if not check.metrics:
            continue
        # Durations are in the row already.
        metrics = [(n, finite(value)) for n, value in check.metrics.items() if n != _DURATION]
        if metrics and tables.has_room_for(len(metrics)):
            rows.append((place, *metrics))
    return tables.lists.add(tuple(rows)) if rows else None


def _version_note(judged: JudgedCell, context: PageContext) -> str:
    """Describe where a cell's versions differ from those of most cells, and why."""
    if judged.outcome is CellOutcome.UNSATISFIABLE:
        return in_line(judged.message)
    lock = judged.result.lock if judged.result else None
    if lock is None:
        return ""
    older = context.older.get(judged.cell.id, {})
    differing = [
        f"{name} {locked} ({older[name]})" if older.get(name) else f"{name} {locked}"
        for name, version in context.headline.items()
        if (locked := lock.versions.get(name, version)) != version
    ]
    return in_line(", ".join(differing))


def _lock(
    cell_id: str, record: LockRecord | None, context: PageContext, tables: PageTables
) -> int | None:
    """Return the index of a cell's lock. Cells with the same digest share it."""
    if record is None or cell_id not in context.locks:
        return None
    return tables.locks.add(record.digest, partial(context.locks.__getitem__, cell_id))


def _facts(facts: Mapping[str, str], tables: PageTables) -> int | None:
    return tables.lists.add(tuple(facts.items())) if facts else None


def _image_facts(result: CellResult | None) -> dict[str, str]:
    image = result.image if result else None
    if image is None:
        return {}
    facts = {
        "image": image.tag,
        "digest": image.id,
        "base": image.base,
        "base digest": image.base_digest,
        "base from": str(image.base_origin),
        "existed before the run": "yes" if image.reused else "no",
        "pulled as": image.pulled or "",
        "build log": image.log or "",
    }
    return {name: value for name, value in facts.items() if value}


def _attestation_facts(result: CellResult | None) -> dict[str, str]:
    """Return the facts that the container reported, and those that differ from the lock."""
    attested = result.attestation if result else None
    if result is None or attested is None:
        return {}
    locked = result.lock.versions if result.lock else {}
    differing = {name for name, _ in attested.distributions.items() ^ locked.items()}
    return {
        "python": f"{attested.python} on {attested.machine}",
        "torch built for": f"CUDA {attested.torch_cuda}" if attested.torch_cuda else "CPU",
        "GPUs torch can use": str(attested.gpus),
        **{f"import {m}": v or "failed" for m, v in attested.modules.items()},
        "distributions": f"{len(attested.distributions)} installed",
        **{f"{n}, not as locked": attested.distributions.get(n, "-") for n in sorted(differing)},
    }


def _steps(result: CellResult | None) -> tuple[tuple[str, float, float], ...]:
    """Return each step with its start, relative to that of the first, and its length in seconds."""
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


def _word(value: object) -> str | None:
    return None if value is None else str(value)
