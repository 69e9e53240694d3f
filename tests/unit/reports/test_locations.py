"""Tests of the locations of findings in SARIF, annotations and JUnit."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from factories import a_check, a_result, a_run

from matrixci.model import (
    CellLimits,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    Reason,
    Setup,
)
from matrixci.reports import annotations as github
from matrixci.reports import junit, sarif
from matrixci.reports.report import Report
from matrixci.verdict.judge import judge

BEGAN = datetime(2026, 11, 21, 10, tzinfo=UTC)
FAILED = CheckOutcome.FAILED
FAILS = a_check("test_a.py::test_one", FAILED, claim="Loaders raise no errors.", line=12)
UNKNOWN = a_check("test_a.py::test_one", FAILED)


def setup(checks: str | None) -> Setup:
    limits = CellLimits(
        check_timeout=1,
        cell_timeout=1,
        build_timeout=1,
        memory=1,
        pids=1,
        cpus=1,
        tmp_size=1,
        log_size=1,
        result_size=1,
    )
    return Setup(
        limits=limits,
        environment={},
        system="debian",
        python="python:{python}",
        precompile=(),
        base_origin=None,
        checks=checks,
        checks_digest="00",
    )


def reported(
    check: CheckResult,
    folder: str | None = "ci/checks",
    *,
    result: CellResult | None = None,
    **of: object,
) -> Report:
    run = a_run(None, setup=setup(folder), **of)
    (cell,) = run.cells
    found = result or a_result(cell, CellOutcome.FAILED, (check,))
    judged = judge(run, {cell.id: found}, (), date(2026, 11, 21))
    return Report(judged=judged, folder="")


def sarif_results(report: Report) -> dict[str, Any]:
    (run,) = json.loads(sarif.render(report))["runs"]
    return {result["ruleId"]: result for result in run["results"]}


def places(report: Report) -> dict[str, tuple[str, int]]:
    """Return the file and line of each rule in SARIF."""
    found = {}
    for rule, result in sarif_results(report).items():
        where = result["locations"][0]["physicalLocation"]
        found[rule] = (where["artifactLocation"]["uri"], where["region"]["startLine"])
    return found


def annotated(report: Report) -> str:
    """Return the properties of the first annotation of a check or a cell."""
    lines = github.render(report).splitlines()
    found = [line for line in lines if line.startswith("::error") and "NOT READY" not in line]
    return found[0].split("::")[1].partition(",title=")[0]


def test_failure_is_at_the_line_of_its_check() -> None:
    report = reported(FAILS)
    assert places(report)[FAILS.id] == ("ci/checks/test_a.py", 12)
    assert annotated(report) == "error file=ci/checks/test_a.py,line=12"
    assert "Loaders raise no errors.\ntest_a.py:12\n" in junit.render(report)


def test_failure_without_a_line_is_at_its_file() -> None:
    report = reported(UNKNOWN)
    assert places(report)[UNKNOWN.id] == ("ci/checks/test_a.py", 1)
    assert annotated(report) == "error file=ci/checks/test_a.py"


@pytest.mark.parametrize(
    ("folder", "commit", "file"),
    [
        (None, "5b3de39", "checks/test_a.py"),
        (None, None, None),  # the built-in checks of an installed package
        ("./ci", None, "ci/test_a.py"),
        ("/elsewhere/checks", None, None),
        ("../checks", None, None),
    ],
)
def test_annotation_names_no_file_outside_of_the_repository(
    folder: str | None, commit: str | None, file: str | None
) -> None:
    report = reported(FAILS, folder, commit=commit)
    expected = (
        f"error file={file},line=12" if file else "error title=failed%3A test_a.py%3A%3Atest_one"
    )
    assert annotated(report) == expected
    assert places(report)[FAILS.id] == (file or "checks/test_a.py", 12)


def test_claim_and_outcome_are_one_sentence() -> None:
    text = sarif_results(reported(FAILS))[FAILS.id]["message"]["text"]
    assert text.startswith("Loaders raise no errors: failed in 1 cell: ")


def test_cell_that_ended_during_a_check_is_at_that_check() -> None:
    run = a_run()
    under_way = a_check(
        "test_b.py::test_big", CheckOutcome.MISSING, reason="never ended", began=BEGAN, line=7
    )
    never = a_check("test_b.py::test_next", CheckOutcome.MISSING, reason="never began", line=9)
    checks = (a_check(), under_way, never)
    result = a_result(run.cells[0], CellOutcome.FAILED, checks, reason=Reason.OOM)
    report = reported(FAILS, result=result)
    assert places(report)["cell/failed/oom"] == ("ci/checks/test_b.py", 7)
    assert annotated(report) == "error file=ci/checks/test_b.py,line=7"


def test_finding_without_a_check_is_at_the_matrix() -> None:
    run = a_run()
    result = a_result(run.cells[0], CellOutcome.BLOCKED, (), reason=Reason.BUILD)
    report = reported(FAILS, result=result, command=("matrix", "--matrix", "ci/matrix.yaml"))
    assert set(places(report).values()) == {("ci/matrix.yaml", 1)}
    assert annotated(report) == "error file=ci/matrix.yaml"
