"""The judged run as JSON; its schema is matrixci/schema/report.schema.json.

What a check has no more to say of than the defaults is left out: most checks have passed.
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
    """Yield the document piece by piece, cell by cell."""
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
    """Return the JSON of one field."""
    whole = judged.model_dump_json(include={name})
    return whole.removeprefix(f'{{"{name}":').removesuffix("}")


def _cells(judged: JudgedRun) -> Iterator[str]:
    yield "["
    for index, cell in enumerate(judged.cells):
        # Nothing is validated here that wasn't on the way in, and each cell is let go of.
        rest = cell.model_dump_json(exclude={"checks"}).removeprefix("{")
        checks = _CHECKS.dump_json(cell.checks, exclude_defaults=True).decode()
        yield json_text(f'{"," if index else ""}\n{{"checks":{checks},{rest}')
    yield "\n]"
