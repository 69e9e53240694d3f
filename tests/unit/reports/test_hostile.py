"""Hostile text from a container breaks no format and has no effect in it."""

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import hostile_runs
import pytest
import stored_runs
import xmlschema
from markdown_it import MarkdownIt

from matrixci.model import CellOutcome
from matrixci.reports import comparison, markdown, terminal
from matrixci.reports.formats import FORMATS
from matrixci.reports.report import Report, read_report
from matrixci.verdict.judged import (
    CellChange,
    Change,
    CheckChange,
    Comparison,
    JudgedRun,
    PackageChange,
)

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "junit.xsd")
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
ACTS = {"html_inline", "html_block", "link_open", "image", "s_open"}
SVG = "{http://www.w3.org/2000/svg}"
JUDGED = hostile_runs.the_run()
REPORT = Report(judged=JUDGED, folder=hostile_runs.EVIL)


def texts() -> Iterator[tuple[str, str]]:
    """Yield each report of the run with the name of its format."""
    for name, each in FORMATS.items():
        yield name, "".join(each.chunks(REPORT))
    for name, render in comparison.FORMATS.items():
        yield f"compare-{name}", render(REPORT)
    for name, made in (
        ("matrix", terminal.render(REPORT)),
        ("readiness", terminal.render_readiness(REPORT)),
        ("compare", comparison.render_terminal(REPORT)),
    ):
        for width in (40, 80, 160):
            yield f"{name}-{width}", stored_runs.printed(made, width)


TEXTS = dict(texts())


def test_hostile_run_covers_every_kind_of_result() -> None:
    outcomes = {check.outcome for cell in JUDGED.cells for check in cell.checks}
    assert {"failed", "crashed", "known-issue", "unexpected-pass", "flaky", "missing"} <= outcomes
    assert len({cell.outcome for cell in JUDGED.cells}) > 4
    assert JUDGED.comparison
    assert JUDGED.comparison.cells


@pytest.mark.parametrize("name", TEXTS)
def test_no_control_character_is_left(name: str) -> None:
    allowed = "\n" if not name.endswith("json") else "\n\u202e\ufffe\u0085"
    rest = {char for char in TEXTS[name] if not char.isprintable()} - {*allowed, "\u200b"}
    if name in {"json", "compare-json"}:  # unchanged data, escaped by JSON
        rest -= {"\u202e", "\ufffe", "\x85"}
    assert not rest


@pytest.mark.parametrize(
    "name", [name for name in TEXTS if not name.endswith("html")]
)  # no log has a page
def test_no_line_is_a_runner_command(name: str) -> None:
    text = TEXTS[name]
    assert "##[" not in text
    if "github" not in name:
        commands = [line for line in text.splitlines() if line.lstrip().startswith("::")]
        assert not [line for line in commands if re.match(r"\s*::[\w-]+( [^:]*)?::", line)]


@pytest.mark.parametrize("name", [name for name in TEXTS if "github" in name])
def test_each_annotation_is_one_expected_command(name: str) -> None:
    for line in TEXTS[name].splitlines():
        assert re.fullmatch(
            r"::(notice|warning|error) (file=[^:,]+,(line=\d+,)?)?title=[^:,]+::.*", line
        )
        message = re.sub("%0A", "\n", line.partition("::")[2].partition("::")[2])
        assert not re.search(r"(^|\n)\s*::", message)


@pytest.mark.parametrize("name", ["junit", "compare-junit"])
def test_junit_is_valid(name: str) -> None:
    SCHEMA.validate(io.StringIO(TEXTS[name]))
    root = ET.fromstring(TEXTS[name])  # noqa: S314 - made here
    for suite in root.iter("testsuite"):
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[kind]) == sum(case.find(tag) is not None for case in cases)


def test_json_report_equals_the_judged_run() -> None:
    assert JudgedRun.model_validate_json(TEXTS["json"]) == JUDGED
    assert Comparison.model_validate_json(TEXTS["compare-json"]) == JUDGED.comparison


@pytest.mark.parametrize("name", ["shields", "sarif", "compare-shields"])
def test_json_formats_are_valid(name: str) -> None:
    assert json.loads(TEXTS[name])


def test_sarif_names_no_file_outside_of_the_checks() -> None:
    (run,) = json.loads(TEXTS["sarif"])["runs"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert run["results"]
    for result in run["results"]:
        assert result["ruleId"] in rules
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert uri == "matrix.yaml" or uri.startswith("checks/")
        assert ".." not in uri.split("/")


def test_badge_contains_svg_shapes_only() -> None:
    root = ET.fromstring(TEXTS["badge"])  # noqa: S314 - made here
    assert {element.tag for element in root.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "title", "rect", "g", "text")
    }
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name}


@pytest.mark.parametrize("name", ["markdown", "compare-markdown"])
def test_markdown_contains_no_link_image_or_html(name: str) -> None:
    tokens = MARKDOWN.parse(TEXTS[name])
    children = [child for token in tokens for child in token.children or ()]
    assert not ACTS & {token.type for token in (*tokens, *children)}
    seen = "\n".join(child.content for child in children if child.type == "text")
    assert not re.search(r"@\w|#\d|://|www\.", seen)
    headings = [token for token in tokens if token.type == "heading_open"]
    assert {token.tag for token in headings} <= {"h1", "h2", "h3"}
    rows: list[int] = []
    for token in tokens:
        match token.type:
            case "table_open":
                rows = []
            case "tr_open":
                rows.append(0)
            case "td_open" | "th_open":
                rows[-1] += 1
            case "table_close":
                assert len(set(rows)) == 1
            case _:
                pass


def test_markdown_stays_below_the_limit_and_counts_what_is_left_out() -> None:
    judged = hostile_runs.the_run(count=400)
    text = markdown.render(Report(judged=judged, folder=hostile_runs.EVIL))
    assert len(text.encode()) < markdown.LIMIT
    assert re.search(r"… and \d+ more; the JSON report lists all of them", text)


def test_markdown_stays_below_the_limit_if_every_section_is_full() -> None:
    judged = hostile_runs.the_run(count=100)
    assert judged.comparison is not None
    long = tuple(f"{number} {'€' * 500}" for number in range(2000))
    changes = tuple(
        CellChange(
            cell=f"py3.12-{number}",
            change=Change.REGRESSED,
            before=CellOutcome.PASSED,
            after=CellOutcome.FAILED,
            checks=(CheckChange(check=text, change=Change.REGRESSED, before=None, after=None),),
            packages=(PackageChange(name=text, before=None, after=None),),
            metrics={text: (1.0, 2.0)},
        )
        for number, text in enumerate(long)
    )
    axes = {axis: (*values, *long) for axis, values in judged.run.axes.items()}
    down, *_ = axes
    (blocked,) = (cell for cell in judged.cells if cell.outcome is CellOutcome.BLOCKED)
    rows = tuple(
        blocked.model_copy(
            update={
                "cell": blocked.cell.model_copy(update={"axes": {**blocked.cell.axes, down: text}}),
                "message": text,
            }
        )
        for text in long
    )
    full = judged.model_copy(
        update={
            "run": judged.run.model_copy(update={"axes": axes}),
            "cells": (*judged.cells, *rows),
            "reasons": long,
            "remarks": long,
            "unverified": long,
            "known": judged.known * 2000,
            "gates": judged.gates * 200,
            "comparison": judged.comparison.model_copy(update={"cells": changes}),
        }
    )
    text = markdown.render(Report(judged=full, folder=hostile_runs.EVIL))
    count = text.count("the JSON report lists all of them")
    assert count >= 10
    assert len(text.encode()) < markdown.LIMIT


def test_no_file_outside_of_the_run_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("secret")
    folder = tmp_path / "runs/one"
    folder.mkdir(parents=True)
    report = read_report(JUDGED, folder)
    assert set(report.logs.values()) == {""}
    assert set(report.locks.values()) == {""}
    assert len(report.locks) == 3
