"""The compact data of a page: rows of indexes into tables of shared values.

A run of ten thousand cells has hundreds of thousands of checks, and nearly all of them pass. A
passed check takes one character; only the others take more.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from matrixci.outcomes import GREEN
from matrixci.reports.page.cell_row import cell_row, change_row, page_context
from matrixci.reports.page.rows import FIELDS, PageCell
from matrixci.reports.page.scale import SCALE
from matrixci.reports.page.tables import Budgets, PageTables
from matrixci.reports.page.trends import MOST_TRENDS, trends_document
from matrixci.reports.page.words import outcome_legend
from matrixci.reports.report import Report
from matrixci.verdict.judged import JudgedRun

_DEFAULT_BUDGETS: Final = Budgets()


@dataclass(frozen=True, kw_only=True)
class PageData:
    """The data of a page, and what it leaves out."""

    document: Mapping[str, object]
    left_out: tuple[str, ...]
    """what exceeded the page's budgets, each as "12 logs"; all of it is in the run's files"""


def page_data(report: Report, budgets: Budgets = _DEFAULT_BUDGETS) -> PageData:
    """Return the data of a report's page."""
    judged, tables = report.judged, PageTables(budgets)
    tables.message("")
    _add_logs(report, tables)
    cells = _cell_rows(report, tables)
    document = {
        **outcome_legend(),
        "axes": _axes(judged),
        "fields": FIELDS,
        **tables.as_document(),
        "cells": cells,
        "folder": report.folder,
        "compared": judged.comparison is not None,
        **trends_document(report.trends),
        "scale": SCALE,
    }
    left_out = tables.left_out()
    if (more := len(report.trends or ()) - MOST_TRENDS) > 0:
        left_out.append(f"{more} trends")
    return PageData(document=document, left_out=tuple(left_out))


def as_script(document: Mapping[str, object]) -> str:
    """Return data as JSON that is safe inside a script element, whatever its strings contain."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    # ASCII only (U+2028 and lone surrogates are escaped), and nothing that could end a script.
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _cell_rows(report: Report, tables: PageTables) -> list[PageCell]:
    judged, context = report.judged, page_context(report)
    rows = [cell_row(cell, context, tables) for cell in judged.cells]
    changes = {one.cell: one for one in judged.comparison.cells} if judged.comparison else {}
    # After all cells: a check removed from one cell may be described in full by another.
    return [
        row._replace(change=change_row(changes[row.id], tables)) if row.id in changes else row
        for row in rows
    ]


def _add_logs(report: Report, tables: PageTables) -> None:
    """Add the logs, those of cells that are not green first, since they are the ones read."""
    # Accessing a log reads its file, so only logs that fit the budget are accessed.
    known = frozenset(report.logs)
    for cell in sorted(report.judged.cells, key=lambda cell: cell.outcome in GREEN):
        if cell.cell.id in known:
            tables.logs.add(cell.cell.id, partial(report.logs.__getitem__, cell.cell.id), end=True)


def _axes(judged: JudgedRun) -> list[tuple[str, tuple[str, ...], list[str]]]:
    """Return each axis with its values and their titles."""
    only_gpu: dict[tuple[str, str], bool] = {}
    for cell in judged.cells if judged.run.had_no_gpu else ():
        for pair in cell.cell.axes.items():
            only_gpu[pair] = only_gpu.get(pair, True) and cell.cell.gpu
    return [
        (
            axis,
            values,
            [f"{v} (no GPU on this engine)" if only_gpu.get((axis, v)) else v for v in values],
        )
        for axis, values in judged.run.axes.items()
    ]
