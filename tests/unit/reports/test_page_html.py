import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from factories import a_cell, a_check, a_result, a_run
from page_demo import CLAIMS, FOLDER, GPU_CHECKS, START, STATE, demo_report
from page_hostile import ATTACKS, hostile_report
from page_large import large_report

from matrixci.history.trend import Trend, trend_key
from matrixci.model import CellOutcome, CheckOutcome, CheckResult
from matrixci.reports.page.data import as_script, page_data
from matrixci.reports.page.html import render
from matrixci.reports.page.pool import Pool, Texts
from matrixci.reports.page.tables import Budgets
from matrixci.reports.page.words import GATE_GLYPHS, link_of, outcome_legend
from matrixci.reports.report import Report
from matrixci.util.text import printable
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import (
    CellChange,
    Change,
    CheckChange,
    Comparison,
    GateOutcome,
    JudgedCell,
    JudgedRun,
    Verdict,
)

GOLDEN = Path(__file__).parent / "snapshots" / "page.txt"
VOID = {"meta", "br", "input", "link", "img", "hr", "base"}
TEMPLATES = files("matrixci.reports.page") / "templates"
SCRIPTS = sorted(path.name for path in TEMPLATES.iterdir() if path.name.endswith(".js"))


@dataclass
class Parsed(HTMLParser):
    """The elements and texts of a parsed page."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """elements with their text, in order"""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def parsed(page: str) -> Parsed:
    parser = Parsed()
    parser.feed(page)
    parser.close()
    assert not parser._open
    return parser


def data_of(page: str) -> dict[str, Any]:
    document = json.loads(parsed(page).text("script")[0])
    assert isinstance(document, dict)
    return document


def named(document: Mapping[str, Any], kind: str, row: list[Any]) -> dict[str, Any]:
    return dict(zip(document["fields"][kind], row, strict=True))


def cell_of(document: Mapping[str, Any], cell_id: str) -> dict[str, Any]:
    cells = [named(document, "cell", row) for row in document["cells"]]
    return next(cell for cell in cells if cell["id"] == cell_id)


def a_report(*checks: CheckResult, trends: Mapping[str, Trend] | None = None) -> Report:
    result = a_result(checks=checks)
    cell = JudgedCell(
        cell=result.cell,
        outcome=result.outcome,
        reason=None,
        message="",
        checks=checks,
        result=result,
        reproduce=("nox", "-s", "matrix", "--", "--cell", result.cell.id),
    )
    judged = JudgedRun(
        run=a_run([result.cell]), cells=(cell,), verdict=Verdict.READY, reasons=(), remarks=()
    )
    return Report(judged=judged, folder=FOLDER, trends=trends)


def test_page_loads_no_resources() -> None:
    page = parsed(render(demo_report()))
    assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & {
        t for t, _ in page.tags
    }
    for _, attributes in page.tags:
        assert not {"src", "srcset", "action", "style", "poster"} & attributes.keys()
        href = attributes.get("href") or "#"
        assert href.startswith(("#", "https://github.com/"))
    style = page.text("style")[0]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_cannot_run_text_or_use_the_network(name: str) -> None:
    script = (TEMPLATES / name).read_text(encoding="utf-8")
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser"
    assert not re.search(ways, script)
    assert not re.search(
        r"fetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import\(", script
    )
    assert "</script" not in script


def test_policy_allows_this_style_and_this_script_only() -> None:
    page = parsed(render(demo_report()))
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv"))
    _, script = page.text("script")
    assert policy == (
        f"default-src 'none'; script-src '{_hash(script)}'; "
        f"style-src '{_hash(page.text('style')[0])}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_every_script_is_in_the_page() -> None:
    script = parsed(render(demo_report())).text("script")[1]
    for name in SCRIPTS:
        assert (TEMPLATES / name).read_text(encoding="utf-8") in script


def test_hostile_strings_do_not_change_the_structure() -> None:
    text = render(hostile_report())
    page = parsed(text)
    assert len(page.all("script")) == len(page.text("script")) == 2
    assert not {"img", "svg", "iframe"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert not (attributes.get("href") or "").startswith("javascript")
    assert "49" not in page.text("h1")[0]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2028\u2029\u2066-\u2069]", text)
    text.encode("utf-8")  # fails for a lone surrogate


def test_hostile_strings_are_unchanged_in_the_data() -> None:
    text = render(hostile_report())
    script = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert script is not None
    assert not re.search(r"[<>&]|[^\x20-\x7e]", script[1])
    document = json.loads(script[1])
    assert {row[0] for row in document["checks"]} >= set(ATTACKS)
    assert {text for text, _ in document["messages"]} >= set(ATTACKS)


def test_page_is_deterministic() -> None:
    assert render(demo_report()) == render(demo_report())


def test_html_of_the_page_equals_its_snapshot(same_as: Callable[[Path, str], None]) -> None:
    page = parsed(render(demo_report()))
    lines = [
        f"{tag}: {' '.join(text.split())}"
        for tag, text in page.texts
        if tag not in {"script", "style"} and text.strip()
    ]
    seen = "\n".join(lines) + "\n"
    same_as(GOLDEN, seen)


def test_passed_check_takes_one_character() -> None:
    document = data_of(render(demo_report()))
    cell = cell_of(document, "py3.12-numpy2-cuda")
    codes = {row[0]: row[1] for row in document["checkOutcomes"]}
    ids = [document["checks"][index][0] for index in document["sets"][cell["checks"]]]
    words = [codes[code] for code in document["strings"][cell["outcomes"]]]
    outcomes = dict(zip(ids, words, strict=True))
    assert outcomes["test_import.py::test_import_trainer"] == "passed"
    assert {outcomes[check] for check in GPU_CHECKS} == {"skipped"}
    deviations = [
        named(document, "deviation", row) for row in document["lists"][cell["deviations"]]
    ]
    assert [ids[one["place"]] for one in deviations if one["need"] == "gpu"] == list(GPU_CHECKS)
    assert len(deviations) == sum(word != "passed" for word in words)


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.001, 0.25, 1, 59.9, 3600, 90_000])
def test_duration_is_accurate_to_half_a_percent(seconds: float) -> None:
    check = a_check(
        began="2026-11-21T10:00:00Z",
        ended=f"2026-11-{21 + int(seconds // 86400)}T{10 + int(seconds % 86400 // 3600):02}:"
        f"{int(seconds % 3600 // 60):02}:{seconds % 60:09.6f}Z",
    )
    document = data_of(render(a_report(check)))
    place = cell_of(document, a_cell().id)["seconds"]
    digits, decade = document["scale"]["digits"], document["scale"]["decade"]
    value = digits.index(place[0]) * len(digits) + digits.index(place[1])
    read = 0.001 * 10 ** ((value - 1) / decade) if value else 0.0
    assert read == pytest.approx(seconds, rel=0.005, abs=0.001)


def test_page_of_many_cells_is_small() -> None:
    report = large_report(1000, 60)
    bare = replace(report, locks={}, logs={})
    page = render(bare)
    # Durations take 120 characters per cell, and the rest must be about as small.
    assert len(page) < 100_000 + 1000 * 500


def test_shared_lock_is_embedded_once() -> None:
    document = data_of(render(large_report(200, 2)))
    assert len(document["locks"]) == 50
    assert len(document["cells"]) == 200


def test_logs_beyond_the_budget_are_left_out_and_counted() -> None:
    page = page_data(large_report(70, 2), Budgets(logs=30_000))
    document = json.loads(as_script(page.document))
    with_log = [row for row in document["cells"] if named(document, "cell", row)["log"] is not None]
    failed = [row for row in with_log if named(document, "cell", row)["outcome"] == "failed"]
    assert 0 < len(with_log) < 70
    assert failed == with_log  # the logs of failed cells are kept first
    assert page.left_out == (f"{70 - len(with_log)} logs",)


def test_long_text_is_cut_and_counted() -> None:
    texts = Texts(budget=100, longest=10)
    assert texts.add("a", lambda: "0123456789abc") == 0
    assert texts.add("b", lambda: "0123456789abc", end=True) == 1
    assert texts.add("a", lambda: pytest.fail("it is known already")) == 0
    assert [texts.index(key) for key in "abc"] == [0, 1, None]
    assert texts.items == [("0123456789", 3), ("3456789abc", 3)]


def test_budget_counts_escaped_characters() -> None:
    texts = Texts(budget=100, longest=1000)
    assert texts.add("markup", lambda: "<" * 20) == 0
    assert texts.add("more", lambda: pytest.fail("there is no room for it")) is None
    assert texts.left_out == 1


def test_pool_contains_each_item_once() -> None:
    pool: Pool[str] = Pool()
    assert [pool.add(item) for item in "abcab"] == [0, 1, 2, 0, 1]
    assert pool.items == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("reference", "link"),
    [
        (
            "huggingface/transformers#40376",
            "https://github.com/huggingface/transformers/issues/40376",
        ),
        ("a/b.c-d_e#1", "https://github.com/a/b.c-d_e/issues/1"),
        ("a/b", None),
        ("https://example.org/a/b#1", None),
        ("javascript:alert(1)", None),
        ("javascript:a/b#1", None),
        ("a/b#1\n", None),
        ("a/b#1?x", None),
        ("a/b/c#1", None),
        ("a/b#\u0661", None),
        ("-a/b#1", None),
        ("", None),
        (None, None),
    ],
)
def test_only_issue_references_become_links(reference: str | None, link: str | None) -> None:
    assert link_of(reference) == link


def test_every_outcome_has_a_word_a_symbol_and_a_tone() -> None:
    words = outcome_legend()
    assert [row[1] for row in words["cellOutcomes"]] == list(CellOutcome)
    assert [row[1] for row in words["checkOutcomes"]] == list(CheckOutcome)
    assert [row[1] for row in words["changes"]] == list(Change)
    assert len({row[0] for row in words["checkOutcomes"]}) == len(CheckOutcome)
    for row in [*words["cellOutcomes"], *words["checkOutcomes"]]:
        assert all(row)
    assert GATE_GLYPHS.keys() == set(GateOutcome)


def test_run_without_cells_has_a_page() -> None:
    judged = JudgedRun(
        run=a_run([], axes={}), cells=(), verdict=Verdict.NOT_READY, reasons=("none",), remarks=()
    )
    page = render(Report(judged=judged, folder=FOLDER))
    assert "no cells" in page
    assert data_of(page)["cells"] == []


def test_ready_run_has_no_blockers() -> None:
    page = parsed(render(a_report(a_check())))
    assert "READY" in page.text("title")[0]
    assert "No blockers" in page.text("h2")


def test_columns_without_a_gpu_are_marked() -> None:
    axes = {name: titles for name, _, titles in data_of(render(demo_report()))["axes"]}
    assert axes["device"] == ["cpu", "cuda (no GPU on this engine)"]
    assert axes["numpy"] == ["1.x", "2.x"]


def test_note_names_the_differing_version_and_the_reason() -> None:
    document = data_of(render(demo_report()))
    note = document["strings"][cell_of(document, "py3.10-numpy2-cpu")["note"]]
    assert note == "transformers 5.20.2 (5.23.0 needs Python >= 3.11)"
    assert document["strings"][cell_of(document, "py3.12-numpy2-cpu")["note"]] == ""


def test_cell_has_its_attempts_and_its_sbom() -> None:
    document = data_of(render(demo_report()))
    cell = cell_of(document, "py3.12-numpy2-cpu")
    assert (cell["attempts"], cell["sbom_file"]) == (2, "sboms/py3.12-numpy2-cpu.cdx.json")
    untried = cell_of(document, "py3.13-numpy1-cpu")
    assert (untried["attempts"], untried["sbom_file"]) == (1, None)


def test_page_names_the_tier() -> None:
    judged = demo_report().judged
    run = judged.run.model_copy(update={"tier": "pull-request"})
    page = parsed(render(Report(judged=judged.model_copy(update={"run": run}), folder=FOLDER)))
    assert any(text.endswith(" · tier pull-request") for text in page.text("span"))


def command_of_check(check_id: str) -> str:
    """Return the part of a check's command that follows the command of its cell."""
    document = data_of(render(a_report(a_check(check_id))))
    cell = cell_of(document, a_cell().id)
    assert document["lists"][cell["command"]] == ["nox", "-s", "matrix", "--", "--cell", "\0"]
    return str(named(document, "check", document["checks"][0])["command"])


def test_command_of_a_check_contains_its_id() -> None:
    assert command_of_check("test_a.py::test_x[a b]") == " --check 'test_a.py::test_x[a b]'"
    assert command_of_check("test_a.py::TestA::test_x") == " --check test_a.py::TestA::test_x"


def test_command_is_quoted_for_a_shell() -> None:
    # --check accepts no id with a space outside of brackets.
    assert command_of_check("test_a.py::test_$(rm x)[1]") == " --check 'test_$(rm x)'"


@pytest.mark.parametrize("report", [demo_report(), hostile_report()], ids=["demo", "hostile"])
def test_command_is_correct_in_a_shell_for_any_cell_id(report: Report) -> None:
    document = data_of(render(report))
    for row, judged in zip(document["cells"], report.judged.cells, strict=True):
        words = document["lists"][named(document, "cell", row)["command"]]
        command = " ".join(judged.cell.id if word == "\0" else word for word in words)
        assert shlex.split(command) == [printable(word) for word in judged.reproduce]


def test_metrics_that_are_not_finite_are_none() -> None:
    trends = {a_cell().id: Trend(outcomes=("passed",), metrics={"f": (1.0, float("nan"))})}
    check = a_check(metrics={"a": float("inf"), "b": 2.5})
    document = data_of(render(a_report(check, trends=trends)))
    metrics = document["lists"][cell_of(document, a_cell().id)["metrics"]]
    assert metrics == [[0, ["a", None], ["b", 2.5]]]
    assert document["trends"][a_cell().id] == [["passed"], {"f": [1.0, None]}]


def test_trend_names_its_runs() -> None:
    labels = ("2026-11-01, toy 1.0, run a", "2026-11-02, toy 1.1, run b")
    both = Trend(outcomes=("passed", "failed"), runs=labels)
    last = Trend(outcomes=("failed",), runs=labels[1:])
    check = trend_key(a_cell().id, "test_a.py::test_one")
    document = data_of(render(a_report(a_check(), trends={a_cell().id: both, check: last})))
    assert document["trendRuns"] == [*labels]
    assert [document["trends"][key][2] for key in (a_cell().id, check)] == [[0, 1], [1]]


def test_duration_of_a_check_is_not_a_metric() -> None:
    document = data_of(render(a_report(a_check(metrics={"seconds": 1.5}))))
    assert cell_of(document, a_cell().id)["metrics"] is None


def test_warning_is_marked() -> None:
    checks = [
        a_check("test_a.py::test_one", CheckOutcome.FAILED, severity="warning"),
        a_check("test_a.py::test_two", CheckOutcome.FAILED),
    ]
    document = data_of(render(a_report(*checks)))
    deviations = document["lists"][cell_of(document, a_cell().id)["deviations"]]
    assert [named(document, "deviation", row)["warns"] for row in deviations] == [1, 0]


def test_removed_check_is_described_by_a_cell_that_has_it() -> None:
    report = demo_report()
    assert report.judged.comparison is not None
    gone = CheckChange(
        check=STATE, change=Change.DISAPPEARED, before=CheckOutcome.PASSED, after=None
    )
    before = CellChange(
        cell="py3.13-numpy1-cpu", change=None, before=None, after=None, checks=(gone,)
    )
    comparison = report.judged.comparison.model_copy(update={"cells": (before,)})
    judged = report.judged.model_copy(update={"comparison": comparison})
    document = data_of(render(replace(report, judged=judged)))
    change = named(document, "change", cell_of(document, before.cell)["change"])
    ((index, *outcomes),) = document["lists"][change["checks"]]
    assert outcomes == ["disappeared", "passed", None]
    check = named(document, "check", document["checks"][index])
    assert (check["id"], check["claim"]) == (STATE, CLAIMS[STATE])


def test_shared_change_is_embedded_once() -> None:
    report = large_report(500, 60)
    changed = tuple(
        CheckChange(
            check=f"test_gone.py::test_{n}",
            change=Change.DISAPPEARED,
            before=CheckOutcome.PASSED,
            after=None,
        )
        for n in range(60)
    )
    comparison = Comparison(
        before="before",
        before_began=START,
        before_day="as of 2026-08-21",
        before_subject="transformers 5.20.2",
        before_commit=None,
        before_verdict=Verdict.READY,
        cells=tuple(
            CellChange(
                cell=one.cell.id,
                change=Change.REGRESSED,
                before=CellOutcome.PASSED,
                after=CellOutcome.FAILED,
                checks=changed,
            )
            for one in report.judged.cells
        ),
    )
    judged = report.judged.model_copy(update={"comparison": comparison})
    without, with_it = render(report), render(replace(report, judged=judged))
    assert len(with_it) - len(without) < 500 * 100 + 20_000


@pytest.mark.parametrize("left_out", [False, True])
def test_unverified_gate_is_not_called_met(*, left_out: bool) -> None:
    one, other = a_cell("3.12"), a_cell("3.13")
    unselected = {"unselected": (other.id,), "unselected_axes": {other.id: other.axes}}
    run = a_run([one], **(unselected if left_out else {}))
    judged = judge(run, {one.id: a_result(one)}, (), date(2026, 11, 21))
    assert judged.verdict is Verdict.READY
    text = render(Report(judged=judged, folder="."))
    assert ("not all of them were verified" in text) == left_out
    assert ("All required gates are met" in text) != left_out
