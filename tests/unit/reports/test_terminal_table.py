import io
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from factories import a_cell, a_check, a_lock, a_result, a_run, an_engine, an_issue, cells
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from matrixci.model import (
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    Reason,
    Run,
)
from matrixci.reports.markdown import render as render_markdown
from matrixci.reports.report import Report
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS, STYLES
from matrixci.reports.terminal import render
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.reproduce_command import of_check
from matrixci.verdict.versions import headline_versions, subject_title

GOLDEN = Path(__file__).parents[1] / "data/table.txt"
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)

FOLDER = ".matrixci/runs/20261121T100000Z-abc123"
MATRIX = "matrixci matrix"
ONE = a_cell()
NO_GPU = an_engine()
NEEDS_GPU = a_check("test_g.py::test_gpu", CheckOutcome.SKIPPED, reason="no GPU", need="gpu")


def judged(*results: CellResult, run: Run | None = None, **fields: object) -> JudgedRun:
    of = run or a_run([result.cell for result in results], **fields)
    return judge(of, {result.cell.id: result for result in results}, (), date(2026, 11, 21))


def text_of(run: JudgedRun, width: int = 120, folder: str = FOLDER) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(render(Report(judged=run, folder=folder)), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines_of(run: JudgedRun, width: int = 120) -> list[str]:
    return [line.rstrip() for line in text_of(run, width).splitlines()]


def rows_of(run: JudgedRun, width: int = 120) -> list[str]:
    """Return the rows of the matrix, without the line that names the axis across."""
    return matrix_of(run, width)[1:]


def matrix_of(run: JudgedRun, width: int = 120) -> list[str]:
    """Return the lines between the first two empty lines."""
    lines = lines_of(run, width)
    begin = lines.index("") + 1
    return lines[begin : lines.index("", begin)]


# The matrix


def test_rows_and_columns_are_those_of_the_design() -> None:
    of = cells(("3.10", "3.13"), ("1.x", "2.x"), ("cpu", "cuda"))
    run = judged(*(a_result(cell) for cell in of), engine=NO_GPU)
    assert rows_of(run) == [
        "                     cpu          cuda (no GPU on this engine)",
        "py3.10   numpy 1.x   ✓ 1 passed   ✓ 1 passed",
        "         numpy 2.x   ✓ 1 passed   ✓ 1 passed",
        "py3.13   numpy 1.x   ✓ 1 passed   ✓ 1 passed",
        "         numpy 2.x   ✓ 1 passed   ✓ 1 passed",
    ]


def test_a_column_says_that_the_engine_has_no_gpu_only_where_that_is_known() -> None:
    results = [a_result(cell) for cell in cells(devices=("cpu", "cuda"))]
    with_gpu = NO_GPU.model_copy(update={"gpu": "CDI"})
    assert "no GPU" in rows_of(judged(*results, engine=NO_GPU))[0]
    assert "no GPU" not in rows_of(judged(*results, engine=with_gpu))[0]
    assert "no GPU" not in rows_of(judged(*results, engine=None))[0]


def test_only_what_was_selected_has_rows_and_columns() -> None:
    every = cells(("3.12", "3.13"), ("1.x", "2.x"), ("cpu", "cuda"))
    chosen = [every[0], every[3], every[4]]
    axes = {name: tuple(dict.fromkeys(cell.axes[name] for cell in every)) for name in ONE.axes}
    run = judged(*(a_result(cell) for cell in chosen), axes=axes)
    assert rows_of(run) == [
        "                     cpu          cuda",
        "py3.12   numpy 1.x   ✓ 1 passed",
        "         numpy 2.x                ✓ 1 passed",
        "py3.13   numpy 1.x   ✓ 1 passed",
    ]
    only_cpu = judged(a_result(every[0]), axes=axes)
    assert rows_of(only_cpu)[0].split() == ["cpu"]


def test_a_run_without_cells_has_a_table_all_the_same() -> None:
    run = judge(a_run((), axes={"python": (), "device": ()}), {}, (), date(2026, 11, 21))
    assert lines_of(run)[-1] == "  no check passed, so nothing is verified"


def test_other_axes_than_the_three_are_shown() -> None:
    def cell(python: str, tensorflow: str) -> Cell:
        axes = {"python": python, "tensorflow": tensorflow}
        return a_cell(id=f"py{python}-{tensorflow}", axes=axes, python=python)

    of = [cell(python, tf) for python in ("3.12", "3.13") for tf in ("absent", "installed")]
    assert rows_of(judged(*(a_result(each) for each in of))) == [
        "         absent       installed",
        "py3.12   ✓ 1 passed   ✓ 1 passed",
        "py3.13   ✓ 1 passed   ✓ 1 passed",
    ]
    alone = [a_cell(id=f"py{p}", axes={"python": p}, python=p) for p in ("3.12", "3.13")]
    assert rows_of(judged(*(a_result(each) for each in alone))) == [
        "3.12         3.13",
        "✓ 1 passed   ✓ 1 passed",
    ]


@pytest.mark.parametrize(
    ("outcome", "reason", "checks", "entry"),
    [
        (CellOutcome.PASSED, None, [a_check()], "✓ 1 passed"),
        (
            CellOutcome.PARTIAL,
            Reason.NEEDS,
            [a_check(), NEEDS_GPU],
            "◐ 1 passed, 1 need a GPU",
        ),
        (
            CellOutcome.FAILED,
            Reason.CHECKS,
            [
                a_check("a::1"),
                a_check("a::2", CheckOutcome.FAILED),
                a_check("a::3", CheckOutcome.CRASHED),
                a_check("a::4", CheckOutcome.TIMED_OUT),
                a_check("a::5", CheckOutcome.FLAKY),
            ],
            "✗ 1 passed, 1 crashed, 1 failed, 1 flaky, 1 timed-out",
        ),
        (CellOutcome.FAILED, Reason.OOM, [], "✗ failed: oom"),
        (
            CellOutcome.FAILED,
            Reason.OOM,
            [a_check("a::1", CheckOutcome.FAILED), a_check("a::2", CheckOutcome.MISSING)],
            "✗ failed: oom",
        ),
        (CellOutcome.UNSATISFIABLE, Reason.RESOLVER, [], "∅ unsatisfiable"),
        (CellOutcome.BLOCKED, Reason.BUILD, [], "■ blocked"),
        (CellOutcome.ERROR, Reason.INDEX, [], "! error"),
        (CellOutcome.CANCELLED, Reason.INTERRUPTED, [], "⊘ cancelled"),
    ],
)
def test_a_cell_has_its_glyph_its_word_and_its_count(
    outcome: CellOutcome, reason: Reason | None, checks: Sequence[CheckResult], entry: str
) -> None:
    run = judged(a_result(ONE, outcome, checks, reason=reason), a_result(a_cell("3.13")))
    assert rows_of(run)[1] == f"py3.12   numpy 2.x   {entry}"


def test_known_and_fixed_issues_are_counted() -> None:
    checks = [
        a_check("a::1"),
        a_check("a::2"),
        a_check("a::3", CheckOutcome.FAILED),
        a_check("a::4", CheckOutcome.SKIPPED, reason="not here"),
    ]
    issues = (an_issue("a::2"), an_issue("a::3"))
    run = judged(a_result(ONE, CellOutcome.FAILED, checks), known_issues=issues)
    assert rows_of(run)[1].endswith("✓ 2 passed, 1 known, 1 skipped")


def test_every_outcome_has_a_glyph_of_its_own() -> None:
    assert set(CELL_GLYPHS) == set(STYLES) == set(CellOutcome)
    assert len(set(CELL_GLYPHS.values())) == len(CELL_GLYPHS)
    assert set(CHECK_GLYPHS) == set(CheckOutcome)
    assert all(len(glyph) == 1 for glyph in [*CELL_GLYPHS.values(), *CHECK_GLYPHS.values()])


def test_how_often_a_cell_was_tried_is_told_where_it_was_not_once() -> None:
    engine = a_result(ONE, CellOutcome.ERROR, reason=Reason.ENGINE, attempts=3)
    assert rows_of(judged(a_result(attempts=2)))[1].endswith("✓ 1 passed · 2 attempts")
    assert rows_of(judged(engine))[1].endswith("! error · 3 attempts")
    assert not any("attempt" in row for row in rows_of(judged(a_result())))


def test_what_is_reused_is_marked() -> None:
    run = judged(a_result(reused_from="20261120T100000Z-000000"))
    assert rows_of(run)[1].endswith("✓ 1 passed ↺ reused")


# What stands beside the rows


def of_versions(python: str, **versions: str) -> CellResult:
    return a_result(a_cell(python), lock=a_lock(dict(versions)))


OLD_AND_NEW = (
    of_versions("3.10", transformers="5.20.2", torch="2.14.1"),
    of_versions("3.12", transformers="5.23.0", torch="2.15.0"),
    of_versions("3.13", transformers="5.23.0", torch="2.15.0"),
)


def test_the_header_has_every_version_that_the_cells_have() -> None:
    run = judged(*OLD_AND_NEW)
    assert headline_versions(run) == {"transformers": "5.23.0", "torch": "2.15.0"}
    head = "transformers 5.20.2, 5.23.0 · torch 2.14.1, 2.15.0 · 2026-11-21"
    assert lines_of(run)[0] == head


@pytest.mark.parametrize(
    ("versions", "title"),
    [
        (["2.5.5", "1.26.4", "2.4.6"], "transformers 1.26.4, 2.4.6, 2.5.5"),
        (["1.9", "1.10", "1.9"], "transformers 1.9, 1.10"),
        (["1.0", "1.4", "1.2", "1.3"], "transformers 1.0 … 1.4 (4 versions)"),
        (["2.9.1+cpu", "2.9.1"], "transformers 2.9.1"),
        (["2.9.1+cpu", "2.9.1+cpu"], "transformers 2.9.1+cpu"),
        (["odd one", "1.0"], "transformers odd one, 1.0"),
    ],
)
def test_the_subject_is_named_with_every_release_in_order(versions: list[str], title: str) -> None:
    results = [
        of_versions(f"3.{10 + number}", transformers=version)
        for number, version in enumerate(versions)
    ]
    run = judged(*results)
    assert subject_title(run) == title
    assert lines_of(run)[0].startswith(f"{title} · ")


def test_another_build_of_the_same_release_is_no_other_version() -> None:
    run = judged(
        of_versions("3.12", transformers="2.9.1+cpu"), of_versions("3.13", transformers="2.9.1")
    )
    assert not any("2.9.1" in row for row in rows_of(run))


def test_the_header_of_a_run_of_the_past_tells_its_day() -> None:
    assert lines_of(judged(a_result(), as_of=date(2026, 1, 31)))[0].endswith("as of 2026-01-31")


def test_the_header_has_the_subject_where_nothing_was_resolved() -> None:
    run = judged(a_result(ONE, CellOutcome.UNSATISFIABLE))
    assert lines_of(run)[0] == "transformers · 2026-11-21"


def test_a_row_with_older_releases_says_which_and_why() -> None:
    why = "transformers 5.23.0 needs Python >=3.11.0"
    older = {"py3.10-numpy2-cpu": {"transformers": why}}
    row = " ".join(" ".join(rows_of(judged(*OLD_AND_NEW, older=older), width=200)).split())
    assert f"transformers 5.20.2 ({why}), torch 2.14.1 py3.12" in row


def by_python(*versions: str) -> JudgedRun:
    """Return a run whose axes are NumPy and Python, the last of which runs across."""
    results = []
    for python, numpy in zip(("3.11", "3.12", "3.13"), versions, strict=True):
        cell = a_cell(
            id=f"py{python}", axes={"numpy": "2.x", "python": python}, python=python, gpu=False
        )
        results.append(a_result(cell, lock=a_lock({"transformers": "5.23.0", "numpy": numpy})))
    why = {"py3.11": {"numpy": "numpy 2.5.5 needs Python >=3.12"}}
    return judged(*results, companions=("numpy",), older=why)


def row_note_of(run: JudgedRun) -> str:
    rows = " ".join(" ".join(rows_of(run, width=200)).split())
    text = render_markdown(Report(judged=run, folder=FOLDER)).replace("\\", "").replace("&gt;", ">")
    _, _, note = rows.partition("✓ 1 passed ✓ 1 passed ✓ 1 passed")
    assert f"| {note.strip()} |" in text
    return note.strip()


@pytest.mark.parametrize(
    ("versions", "note"),
    [
        (("2.5.5", "2.5.5", "2.5.5"), ""),
        (
            ("2.4.6", "2.5.5", "2.5.5"),
            "py3.11: numpy 2.4.6 (numpy 2.5.5 needs Python >=3.12)",
        ),
        (
            ("2.4.6", "2.5.5", "2.5.4"),
            "py3.12: numpy 2.5.5; py3.13: numpy 2.5.4",
        ),
    ],
)
def test_what_is_true_of_some_cells_of_a_row_names_their_columns(
    versions: tuple[str, str, str], note: str
) -> None:
    assert row_note_of(by_python(*versions)) == note


def test_what_is_true_of_the_whole_row_is_told_before_what_is_not() -> None:
    rows = [
        a_result(cell, lock=a_lock({"transformers": version, "torch": torch}))
        for cell, version, torch in zip(
            cells(("3.10", "3.12"), ("2.x",), ("cpu", "cuda")),
            ("5.20.2", "5.20.2", "5.23.0", "5.23.0"),
            ("2.14.1", "2.15.0", "2.15.0", "2.15.0"),
            strict=True,
        )
    ]
    rows += [of_versions("3.13", transformers="5.23.0", torch="2.15.0")]
    (row,) = (row for row in rows_of(judged(*rows, companions=("torch",)), 200) if "py3.10" in row)
    assert row.endswith("   transformers 5.20.2; device cpu: torch 2.14.1")


def test_a_row_that_can_not_be_had_says_why() -> None:
    message = "no wheel of numpy<2 for CPython 3.13"
    of = cells(("3.12", "3.13"), ("1.x",), ("cpu", "cuda"))
    bad = [a_result(cell, CellOutcome.UNSATISFIABLE, message=message) for cell in of[2:]]
    rows = rows_of(judged(*(a_result(cell) for cell in of[:2]), *bad))
    assert rows[2] == f"py3.13   numpy 1.x   ∅ unsatisfiable   ∅ unsatisfiable   {message}"


def test_the_axis_across_is_named_above_its_columns() -> None:
    run = judged(*(a_result(cell) for cell in cells(("3.12",), ("2.x",), ("cpu", "cuda"))))
    assert matrix_of(run)[:2] == [
        "                     device",
        "                     cpu          cuda",
    ]
    alone = [a_cell(id=f"py{p}", axes={"python": p}, python=p) for p in ("3.12", "3.13")]
    run = judged(*(a_result(each) for each in alone))
    assert matrix_of(run)[:2] == ["python", "3.12         3.13"]
    assert "| python 3.12 | python 3.13 |" in render_markdown(Report(judged=run, folder=FOLDER))


def narrow_run(columns: int) -> JudgedRun:
    """Return a run with many columns, of which the first has an older release."""
    results = []
    for python in ("3.12", "3.13"):
        for number in range(columns):
            axes = {"python": python, "torch": f"2.{number}"}
            cell = a_cell(id=f"py{python}-{number}", axes=axes, python=python)
            version = "5.20.2" if number == 0 else "5.23.0"
            results.append(a_result(cell, lock=a_lock({"transformers": version})))
    older = {f"py{p}-0": {"transformers": "why it is so"} for p in ("3.12", "3.13")}
    return judged(*results, older=older)


def test_many_columns_are_shown_in_blocks_on_a_narrow_terminal() -> None:
    lines = lines_of(narrow_run(8), 80)
    begin = lines.index("") + 1
    head = "         2.0          2.1          2.2          2.3          2.4"
    row = "✓ 1 passed   ✓ 1 passed   ✓ 1 passed"
    assert lines[begin : begin + 11] == [
        "         torch",
        head,
        f"py3.12   {row}   ✓ 1 passed   ✓ 1 passed",
        f"py3.13   {row}   ✓ 1 passed   ✓ 1 passed",
        "",
        "         torch",
        "         2.5          2.6          2.7",
        f"py3.12   {row}",
        f"py3.13   {row}",
        "py3.12, py3.13: torch 2.0: transformers 5.20.2 (why it is so)",
        "",
    ]


def test_in_a_narrow_terminal_no_word_of_a_cell_is_cut() -> None:
    checks = [a_check("a::1", CheckOutcome.CRASHED), a_check("a::2", CheckOutcome.TIMED_OUT)]
    of = cells(("3.10", "3.12"), ("1.x", "2.x"), ("cpu", "cuda"))
    results = [
        a_result(
            cell,
            CellOutcome.FAILED,
            checks,
            lock=a_lock({"transformers": "5.20.2" if cell.python == "3.10" else "5.23.0"}),
        )
        for cell in of
    ]
    run = judged(*results, older={cell.id: {"transformers": "why it is so"} for cell in of})

    def words(width: int) -> set[str]:
        lines = lines_of(run, width)
        begin = lines.index("") + 1
        end = next(index for index, line in enumerate(lines) if line.startswith("✗ "))
        return {word.strip(",:") for word in " ".join(lines[begin:end]).split()}

    assert words(200) == words(80) == words(50)
    assert all(len(line) <= 80 for line in lines_of(run, 80) if "reproduce: " not in line)


# Every cell that isn't green is explained


def paragraphs(run: JudgedRun) -> list[str]:
    return text_of(run).split("\n\n")


def paragraph(run: JudgedRun, word: str) -> list[str]:
    (found,) = (each for each in paragraphs(run) if word in each and "reproduce" in each)
    return [line.strip() for line in found.strip().splitlines()]


def failing(cell: Cell, name: str = "test_a.py::test_one[x]", **fields: object) -> CellResult:
    outcome = CheckOutcome(str(fields.pop("outcome", "failed")))
    fields = {"claim": "It holds.", "message": "it does\nnot hold", **fields}
    check = a_check(name, outcome, **fields)
    return a_result(cell, CellOutcome.FAILED, [a_check("a::ok"), check], reason=Reason.CHECKS)


def test_a_check_that_fails_is_explained() -> None:
    result = failing(ONE, outcome="crashed", reason="SIGABRT")
    one = "--check 'test_a.py::test_one[x]'"
    assert paragraph(judged(result), "SIGABRT") == [
        "✗ It holds.",
        "crashed in py3.12-numpy2-cpu: test_a.py::test_one[x]",
        "SIGABRT",
        "it does",
        "not hold",
        f"reproduce: {MATRIX} --cell py3.12-numpy2-cpu --subject transformers {one}",
    ]


def test_cells_in_which_a_check_fails_alike_are_told_together() -> None:
    of = cells(("3.10", "3.11", "3.12", "3.13"), ("1.x", "2.x"))
    passing = a_check("test_a.py::test_one[x]")
    run = judged(
        *(failing(cell) for cell in of[:5]), *(a_result(cell, checks=[passing]) for cell in of[5:])
    )
    assert paragraph(run, "test_one")[1] == (
        "failed in py3.10-numpy1-cpu, py3.10-numpy2-cpu, py3.11-numpy1-cpu and 2 more: "
        "test_a.py::test_one[x]"
    )


def test_cells_that_have_an_axis_value_in_common_are_named_by_it() -> None:
    of = cells(("3.10", "3.11", "3.12"), ("1.x", "2.x"))
    run = judged(
        *(
            failing(cell)
            if cell.axes["numpy"] == "2.x"
            else a_result(cell, checks=[a_check("test_a.py::test_one[x]")])
            for cell in of
        )
    )
    where = "in every cell with numpy 2.x, and in no other"
    assert paragraph(run, "test_one")[1] == f"failed {where}: test_a.py::test_one[x]"
    assert run.reasons == (f"test_a.py::test_one[x] fails {where}",)
    assert f"failed {where}: " in render_markdown(Report(judged=run, folder=FOLDER))


def test_cells_in_which_a_check_fails_otherwise_are_told_apart() -> None:
    of = cells(("3.11", "3.12", "3.13"))
    run = judged(
        failing(of[0]),
        failing(of[1], outcome="crashed", reason="SIGSEGV"),
        failing(of[2], outcome="crashed", reason="SIGABRT"),
    )
    assert paragraph(run, "SIGSEGV")[1].startswith("crashed in py3.12-numpy2-cpu: ")
    assert paragraph(run, "SIGABRT")[1].startswith("crashed in py3.13-numpy2-cpu: ")
    assert [p for p in paragraphs(run) if "failed in py3.11-numpy2-cpu: " in p]


@pytest.mark.parametrize(
    ("outcome", "reason", "message", "shown"),
    [
        (CellOutcome.BLOCKED, Reason.BUILD, "step 1\nstep 2\nERROR: it failed", "ERROR: it failed"),
        (CellOutcome.ERROR, Reason.ENGINE, "The engine is gone.", "The engine is gone."),
        (CellOutcome.ERROR, Reason.INDEX, "The index is gone.", "The index is gone."),
        (CellOutcome.CANCELLED, Reason.INTERRUPTED, "interrupted", "interrupted"),
        (CellOutcome.FAILED, Reason.OOM, "It ran out of memory.", "It ran out of memory."),
    ],
)
def test_a_cell_that_no_check_speaks_for_is_explained(
    outcome: CellOutcome, reason: Reason, message: str, shown: str
) -> None:
    of = cells(("3.11", "3.12", "3.13"))
    bad = [a_result(cell, outcome, [], reason=reason, message=message) for cell in of[:2]]
    told = paragraph(judged(*bad, a_result(of[2])), shown)
    glyph = CELL_GLYPHS[outcome]
    assert told[0] == f"{glyph} py3.11-numpy2-cpu, py3.12-numpy2-cpu: {outcome} ({reason})"
    assert told[-2] == shown
    assert told[-1].startswith(f"reproduce: {MATRIX} --cell py3.11-numpy2-cpu ")


def test_of_a_long_log_the_end_is_shown_and_of_long_evidence_both_ends() -> None:
    log = "\n".join(f"line {number}" for number in range(1, 21))
    blocked = a_result(ONE, CellOutcome.BLOCKED, reason=Reason.BUILD, message=log)
    told = paragraph(judged(blocked), "line 20")
    assert told[1:7] == [*(f"line {n}" for n in range(16, 21)), "… 15 more lines in the result"]
    told = paragraph(judged(failing(ONE, message=log)), "line 1")
    shown = [f"line {n}" for n in (1, 2, 3, 19, 20)]
    assert told[2:8] == [*shown, "… 15 more lines in the result"]


TRACEBACK = """\
the script failed:
Traceback (most recent call last):
  File "/tmp/a.py", line 1, in <module>
    main()
  File "/tmp/a.py", line 9, in main
    load(path)
  File "/lib/numpy/core.py", line 71, in load
    raise ValueError(message)
ValueError: setting the shape is deprecated
see the release notes
of NumPy 2.5
for how to change it
"""


def test_of_a_long_traceback_the_exception_and_its_place_are_shown() -> None:
    told = paragraph(judged(failing(ONE, message=TRACEBACK)), "ValueError")
    assert told[2:8] == [
        "the script failed:",
        'File "/lib/numpy/core.py", line 71, in load',
        "ValueError: setting the shape is deprecated",
        "see the release notes",
        "of NumPy 2.5",
        "… 7 more lines in the result",
    ]


def test_of_a_traceback_that_is_cut_off_both_ends_are_shown() -> None:
    cut_off = "\n".join(TRACEBACK.splitlines()[:8])
    told = paragraph(judged(failing(ONE, message=cut_off)), "the script")
    assert told[6] == "raise ValueError(message)"


def test_an_unsatisfiable_cell_is_explained_without_a_command() -> None:
    result = a_result(ONE, CellOutcome.UNSATISFIABLE, reason=Reason.RESOLVER, message="no such")
    text = text_of(judged(result))
    assert "∅ py3.12-numpy2-cpu: unsatisfiable (resolver)\n    no such\n" in text
    assert "reproduce" not in text


def test_why_a_cell_failed_is_told_beside_its_checks_and_missing_ones_only_once() -> None:
    missing = [a_check(f"a::gone{number}", CheckOutcome.MISSING) for number in range(40)]
    checks = [a_check("a::bad", CheckOutcome.FAILED), *missing]
    result = a_result(ONE, CellOutcome.FAILED, checks, reason=Reason.OOM, message="out of memory")
    run = judged(result)
    assert paragraph(run, "failed in py3.12-numpy2-cpu: a::bad")
    assert paragraph(run, "out of memory")[0] == "✗ py3.12-numpy2-cpu: failed (oom)"
    assert text_of(run).count("reproduce:") == 2


@pytest.mark.parametrize("outcome", CellOutcome)
def test_just_what_is_not_green_is_explained(outcome: CellOutcome) -> None:
    checks = [a_check(outcome=CheckOutcome.FAILED)] if outcome is CellOutcome.FAILED else None
    result = a_result(ONE, outcome, checks, message="why it is so")
    explained = any(
        line.startswith(f"{CELL_GLYPHS[outcome]} ") for line in lines_of(judged(result))
    )
    assert explained == (outcome not in {CellOutcome.PASSED, CellOutcome.PARTIAL})


# The command that reproduces it


@pytest.mark.parametrize(
    "spec",
    [
        "transformers",
        "transformers==5.23.0",
        "transformers[torch] >=5,<6; python_version > '3.10'",
        "./my checkout/$HOME;`ls`",
        'a "quoted" one',
    ],
)
@pytest.mark.parametrize("name", ["test_a.py::test_one", "test_a.py::TestIt::test_one[a b-'c']"])
def test_the_command_goes_through_a_shell_as_it_is(spec: str, name: str) -> None:
    subject = {"name": "transformers", "spec": spec, "requirement": "transformers"}
    run = judged(failing(ONE, name), subject=subject, as_of=date(2026, 1, 31))
    argv = list(of_check(run.cells[0].reproduce, name))
    assert argv == [
        *MATRIX.split(),
        *("--cell", "py3.12-numpy2-cpu", "--subject", spec, "--as-of", "2026-01-31"),
        *("--check", name),
    ]
    (line,) = (line for line in lines_of(run, 80) if "reproduce: " in line)
    assert shlex.split(line.partition("reproduce: ")[2]) == argv


# Checks by cell, notes, the verdict


def table_of_checks(run: JudgedRun) -> list[str]:
    lines = lines_of(run)
    head = next(index for index, line in enumerate(lines) if line.startswith("check "))
    return [" ".join(line.split()) for line in lines[head + 1 : lines.index("", head)]]


def test_outcomes_that_nothing_above_explains_are_told_by_check() -> None:
    of = cells(("3.11", "3.12", "3.13"))
    run = judged(
        a_result(of[0], checks=[a_check("a::x"), a_check("a::y"), NEEDS_GPU]),
        a_result(
            of[1], CellOutcome.FAILED, [a_check("a::x", CheckOutcome.FAILED), a_check("a::y")]
        ),
        a_result(of[2], CellOutcome.FAILED, [a_check("a::x", CheckOutcome.CRASHED)]),
        known_issues=(an_issue("a::x", where={"python": "3.12"}),),
    )
    assert table_of_checks(run) == ["a::x 1/3 ≈ 1 known, ✗ 1 crashed"]


def test_a_fixed_check_counts_as_passed_and_a_warning_is_no_failure() -> None:
    of = cells(("3.12", "3.13"))
    warned = a_check("a::x", CheckOutcome.FAILED, severity="warning")
    run = judged(
        a_result(of[0], checks=[a_check("a::x")]),
        a_result(of[1], checks=[warned]),
        known_issues=(an_issue("a::x", where={"python": "3.12"}),),
    )
    assert table_of_checks(run) == ["a::x 1/2 ↑ 1 fixed, ! 1 warning"]


def test_a_check_that_only_warns_has_a_sign_of_its_own() -> None:
    claim = "pyarrow is installed, which we recommend."
    warned = a_check("a::x", CheckOutcome.FAILED, severity="warning", claim=claim)
    text = text_of(judged(a_result(checks=[a_check(), warned])))
    assert f"! {claim}\n    warning, failed in py3.12-numpy2-cpu: a::x\n" in text
    assert "✗" not in text
    assert "READY  1 cell: 1 passed" in text


def test_many_failing_checks_are_counted_beneath_and_not_told_again() -> None:
    checks = [a_check(f"a::x{n}", CheckOutcome.FAILED, message=f"seen {n}") for n in range(16)]
    checks.append(a_check("a::ok"))
    lines = lines_of(judged(a_result(ONE, CellOutcome.FAILED, checks, reason=Reason.CHECKS)))
    assert lines[-6:] == [
        "  16 checks fail, each explained above",
        *(f"  a::x{n} fails in py3.12-numpy2-cpu" for n in range(4)),
        "  and 12 more",
    ]
    assert sum("a::x15" in line and "reproduce: " not in line for line in lines) == 1
    assert not any(line.startswith("check ") for line in lines)


def test_where_no_check_deviates_none_is_told() -> None:
    assert "cells passed" not in text_of(judged(a_result(ONE, checks=[a_check(), NEEDS_GPU])))


def test_the_verdict_comes_first_and_with_its_reasons_last() -> None:
    bad = judged(failing(ONE), a_result(a_cell("3.13"), CellOutcome.ERROR, reason=Reason.ENGINE))
    lines = lines_of(bad)
    assert lines[1] == "NOT READY  2 cells: 1 failed, 1 error"
    assert lines[-3:] == [
        lines[1],
        "  test_a.py::test_one[x] fails in py3.12-numpy2-cpu",
        "  py3.13-numpy2-cpu: error (engine)",
    ]
    assert lines_of(judged(a_result()))[-1] == "READY  1 cell: 1 passed"


def test_a_tier_is_named_in_the_header_and_with_what_was_not_selected() -> None:
    lines = lines_of(judged(a_result(), unselected=("b", "c"), tier="pull-request"))
    assert lines[0].endswith(" · tier pull-request")
    assert "not verified: 2 cells of the matrix not selected (tier pull-request)" in lines


def test_notes_and_the_folder_are_told() -> None:
    lines = lines_of(judged(a_result(), unselected=("b",)))
    assert "not verified: 1 cell of the matrix not selected" in lines
    assert f"locks, logs and results: {FOLDER}" in lines


# Nothing that comes out of a container breaks or colours anything


HOSTILE = "\x1b[31mred\x1b[0m\x1b]0;title\x07 [bold]b[/bold] [/] :boom:\nnew\r\x00\u202eend\x9b2J"
SHOWN = r"\x1b[31mred\x1b[0m\x1b]0;title\x07 [bold]b[/bold] [/] :boom:"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def hostile_run(text: str) -> JudgedRun:
    cell = ONE.model_copy(update={"axes": {**ONE.axes, "device": text}, "torch_backend": text})
    blocked = a_cell("3.13", axes={"python": text, "numpy": text, "device": text})
    check = a_check(f"a::{text}", CheckOutcome.CRASHED, claim=text, reason=text, message=text)
    unmet = a_check(f"b::{text}", CheckOutcome.SKIPPED, reason=text, need="gpu")
    fixed = a_check("c", CheckOutcome.FIXED, reason=text)
    lock = a_lock({"transformers": text}, fallback=True)
    results = (
        a_result(cell, CellOutcome.FAILED, [check, unmet, fixed], lock=lock, reused_from=text),
        a_result(blocked, CellOutcome.BLOCKED, reason=Reason.BUILD, message=text),
        a_result(a_cell("3.11"), CellOutcome.UNSATISFIABLE, message=text),
    )
    run = a_run(
        [result.cell for result in results],
        subject={"name": "transformers", "spec": text, "requirement": text},
        check_filter=text,
        known_issues=(an_issue(text, reference=text),),
        older={ONE.id: {"transformers": text}},
    )
    return judge(run, {result.cell.id: result for result in results}, (text,), date(2026, 11, 21))


def printed(run: JudgedRun, folder: str, *, colour: bool) -> str:
    console = Console(
        file=io.StringIO(),
        width=120,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
    )
    console.print(render(Report(judged=run, folder=folder)), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("colour", [True, False])
def test_hostile_text_is_shown_and_does_nothing(*, colour: bool) -> None:
    text = printed(hostile_run(HOSTILE), HOSTILE, colour=colour)
    bare = SGR.sub("", text) if colour else text
    assert all(char.isprintable() or char == "\n" for char in bare)
    assert SHOWN in bare
    assert "\nnew" not in bare  # no line of its own, but in evidence, where it is set in
    assert "    new" in bare


def test_hostile_text_changes_no_colour() -> None:
    harmless = set(SGR.findall(printed(hostile_run("harmless"), "x", colour=True)))
    assert set(SGR.findall(printed(hostile_run(HOSTILE), "x", colour=True))) == harmless


@QUICK
@given(st.text(max_size=60) | st.text("[]/\\abold#=\n\x1b:", max_size=60))
def test_whatever_the_text_it_is_printed(text: str) -> None:
    bare = SGR.sub("", printed(hostile_run(text), text, colour=True))
    assert all(char.isprintable() or char == "\n" for char in bare)
    assert "NOT READY" in bare


def test_very_long_text_is_cut_and_says_so() -> None:
    long = "x" * 100_000
    text = printed(hostile_run(long), long, colour=False)
    lines = [line for line in text.splitlines() if "reproduce: " not in line]
    assert sum(map(len, lines)) < 25_000
    assert "x…" in text
    assert all(len(line) <= 120 for line in lines)


# One whole table


def whole_run() -> JudgedRun:
    """Return a run in which all that can be told is told."""
    of = cells(("3.10", "3.11", "3.12", "3.13"), ("1.x", "2.x"), ("cpu", "cuda"))
    state = "test_accelerator_state.py::test_training_arguments_keep_the_state"
    isolation = "test_isolation.py::test_tensorflow_stays_out[USE_TF=0]"
    plain = [a_check(f"test_use.py::test_use[{number}]") for number in range(35)]
    on_gpu = [f"test_use.py::test_on_the_device[{number}]" for number in range(5)]
    blocked = "#12 downloading\n#12 ERROR: process did not complete: exit code 1"
    special: Mapping[str, dict[str, object]] = {
        "py3.11-numpy1-cuda": {"outcome": "error", "reason": "index", "message": "No answer."},
        "py3.12-numpy1-cpu": {"outcome": "blocked", "reason": "build", "message": blocked},
        "py3.12-numpy1-cuda": {
            "outcome": "failed",
            "reason": "oom",
            "message": "The container ran out of memory, during test_use.py::test_use[7].",
        },
        "py3.13-numpy2-cuda": {"outcome": "cancelled", "reason": "interrupted"},
    }
    results = {}
    for cell in of:
        crash = cell.axes["numpy"] == "2.x" and cell.python != "3.11"
        checks = [
            *plain,
            *(
                a_check(name, CheckOutcome.SKIPPED, reason="no GPU", need="gpu")
                if cell.gpu
                else a_check(name)
                for name in on_gpu
            ),
            a_check(
                isolation,
                CheckOutcome.CRASHED if crash else CheckOutcome.PASSED,
                claim="TensorFlow that is switched off is not imported.",
                reason="SIGABRT" if crash else "",
                message="A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.5.5"
                if crash
                else "",
            ),
            a_check(
                state,
                CheckOutcome.FAILED if cell.python == "3.12" else CheckOutcome.PASSED,
                claim="TrainingArguments() leaves the accelerator's state as it was.",
            ),
        ]
        old = cell.python == "3.10"
        versions = {
            "transformers": "5.20.2" if old else "5.23.0",
            "torch": "2.14.1" if old else "2.15.0",
            "accelerate": "1.15.0",
        }
        if cell.python == "3.13" and cell.axes["numpy"] == "1.x":
            message = "no wheel of numpy<2 for CPython 3.13"
            result = a_result(cell, CellOutcome.UNSATISFIABLE, reason="resolver", message=message)
        elif cell.id in special:
            result = a_result(cell, checks=(), **special[cell.id])  # type: ignore[arg-type]
        else:
            lock = a_lock(versions, fallback=not cell.gpu)
            again = "20261120T090000Z-000000" if cell.id == "py3.11-numpy1-cpu" else None
            result = a_result(cell, checks=checks, lock=lock, reused_from=again)
        results[cell.id] = result
    del results["py3.11-numpy2-cuda"]
    reasons = {
        "transformers": "transformers 5.23.0 needs Python >=3.11.0",
        "torch": "torch 2.15.0 has no wheel for Python 3.10",
    }
    run = a_run(
        of,
        companions=("torch", "accelerate"),
        engine=NO_GPU,
        older={cell.id: reasons for cell in of if cell.python == "3.10"},
        known_issues=(
            an_issue(state, where={"python": "3.12"}, reference="huggingface/transformers#40376"),
        ),
    )
    problems = ("py3.11-numpy2-cuda.json: is cut off",)
    return judge(run, results, problems, date(2026, 11, 21))


def test_the_whole_table_is_as_it_was(same_as: Callable[[Path, str], None]) -> None:
    same_as(GOLDEN, "".join(f"{line}\n" for line in lines_of(whole_run())))
