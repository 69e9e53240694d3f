"""The judged run as JSON. Its schema is matrixci/schema/report.schema.json.

Fields of a check that have their default value are left out, since most checks pass.
"""

import json
from collections.abc import Iterator
from typing import Final

from pydantic import TypeAdapter

from matrixci.model import CheckResult
from matrixci.reports.escape import json_text
from matrixci.reports.report import Report
from matrixci.verdict.judged import JudgedRun

_CHECKS: Final = TypeAdapter(tuple[CheckResult, ...])


def chunks(report: Report) -> Iterator[str]:
    """Yield the document in pieces, one for each cell."""
    judged = report.judged
    fields = list(JudgedRun.model_fields)
    for index, name in enumerate(fields):
        yield f"{',' if index else '{'}\n{json.dumps(name)}: "
        if name == "cells":
            yield from _cells(judged)
        else:
            yield json_text(_one(judged, name))
    yield "\n}\n"


def render(report: Report) -> str:
    """Return the document."""
    return "".join(chunks(report))


def _one(judged: JudgedRun, name: str) -> str:
    """Return one field as JSON."""
    whole = judged.model_dump_json(include={name})
    return whole.removeprefix(f'{{"{name}":').removesuffix("}")


def _cells(judged: JudgedRun) -> Iterator[str]:
    yield "["
    for index, cell in enumerate(judged.cells):
        # One cell at a time, so that only one cell's JSON is in memory.
        rest = cell.model_dump_json(exclude={"checks"}).removeprefix("{")
        checks = _CHECKS.dump_json(cell.checks, exclude_defaults=True).decode()
        yield json_text(f'{"," if index else ""}\n{{"checks":{checks},{rest}')
    yield "\n]"
