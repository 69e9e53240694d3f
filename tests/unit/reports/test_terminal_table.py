from collections.abc import Sequence
from datetime import date

import pytest
from factories import a_cell, a_check, a_lock, a_result, a_run, an_issue, cells
from terminal_lines import FOLDER, NEEDS_GPU, NO_GPU, ONE, judged, lines_of, matrix_of, rows_of

from matrixci.model import (
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    Reason,
)
from matrixci.reports.markdown import render as render_markdown
from matrixci.reports.report import Report
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS, STYLES
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.versions import headline_versions, subject_title

# The matrix


def test_last_axis_is_across_and_the_others_down() -> None:
    of = cells(("3.10", "3.13"), ("1.x", "2.x"), ("cpu", "cuda"))
    run = judged(*(a_result(cell) for cell in of), engine=NO_GPU)
    assert rows_of(run) == [
        "                     cpu          cuda (no GPU on this engine)",
        "py3.10   numpy 1.x   ✓ 1 passed   ✓ 1 passed",
        "         numpy 2.x   ✓ 1 passed   ✓ 1 passed",
        "py3.13   numpy 1.x   ✓ 1 passed   ✓ 1 passed",
        "         numpy 2.x   ✓ 1 passed   ✓ 1 passed",
    ]


def test_column_is_marked_only_if_the_engine_is_known_to_have_no_gpu() -> None:
    results = [a_result(cell) for cell in cells(devices=("cpu", "cuda"))]
    with_gpu = NO_GPU.model_copy(update={"gpu": "CDI"})
    assert "no GPU" in rows_of(judged(*results, engine=NO_GPU))[0]
    assert "no GPU" not in rows_of(judged(*results, engine=with_gpu))[0]
    assert "no GPU" not in rows_of(judged(*results, engine=None))[0]


def test_only_selected_cells_have_rows_and_columns() -> None:
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


def test_run_without_cells_has_a_report() -> None:
    run = judge(a_run((), axes={"python": (), "device": ()}), {}, (), date(2026, 11, 21))
    assert lines_of(run)[-1] == "  no check passed, so nothing is verified"


def test_custom_axes_are_shown() -> None:
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
            Reason.MISSING_HARDWARE,
            [a_check(), NEEDS_GPU],
            "◐ 1 passed, 1 needs a GPU",
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
def test_cell_has_a_symbol_a_word_and_counts(
    outcome: CellOutcome, reason: Reason | None, checks: Sequence[CheckResult], entry: str
) -> None:
    run = judged(a_result(ONE, outcome, checks, reason=reason), a_result(a_cell("3.13")))
    assert rows_of(run)[1] == f"py3.12   numpy 2.x   {entry}"


def test_known_issues_and_unexpected_passes_are_counted() -> None:
    checks = [
        a_check("a::1"),
        a_check("a::2"),
        a_check("a::3", CheckOutcome.FAILED),
        a_check("a::4", CheckOutcome.SKIPPED, reason="not here"),
    ]
    issues = (an_issue("a::2"), an_issue("a::3"))
    run = judged(a_result(ONE, CellOutcome.FAILED, checks), known_issues=issues)
    assert rows_of(run)[1].endswith("✓ 2 passed, 1 known issue, 1 skipped")


def test_every_outcome_has_its_own_symbol() -> None:
    assert set(CELL_GLYPHS) == set(STYLES) == set(CellOutcome)
    assert len(set(CELL_GLYPHS.values())) == len(CELL_GLYPHS)
    assert set(CHECK_GLYPHS) == set(CheckOutcome)
    assert all(len(glyph) == 1 for glyph in [*CELL_GLYPHS.values(), *CHECK_GLYPHS.values()])


def test_attempts_are_shown_if_there_were_several() -> None:
    engine = a_result(ONE, CellOutcome.ERROR, reason=Reason.ENGINE, attempts=3)
    assert rows_of(judged(a_result(attempts=2)))[1].endswith("✓ 1 passed · 2 attempts")
    assert rows_of(judged(engine))[1].endswith("! error · 3 attempts")
    assert not any("attempt" in row for row in rows_of(judged(a_result())))


def test_reused_result_is_marked() -> None:
    run = judged(a_result(reused_from="20261120T100000Z-000000"))
    assert rows_of(run)[1].endswith("✓ 1 passed ↺ reused")


# Header and notes


def of_versions(python: str, **versions: str) -> CellResult:
    return a_result(a_cell(python), lock=a_lock(dict(versions)))


OLD_AND_NEW = (
    of_versions("3.10", transformers="5.20.2", torch="2.14.1"),
    of_versions("3.12", transformers="5.23.0", torch="2.15.0"),
    of_versions("3.13", transformers="5.23.0", torch="2.15.0"),
)


def test_header_has_all_versions_of_the_cells() -> None:
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
def test_subject_is_named_with_every_release_in_order(versions: list[str], title: str) -> None:
    results = [
        of_versions(f"3.{10 + number}", transformers=version)
        for number, version in enumerate(versions)
    ]
    run = judged(*results)
    assert subject_title(run) == title
    assert lines_of(run)[0].startswith(f"{title} · ")


def test_builds_of_a_release_are_one_version() -> None:
    run = judged(
        of_versions("3.12", transformers="2.9.1+cpu"), of_versions("3.13", transformers="2.9.1")
    )
    assert not any("2.9.1" in row for row in rows_of(run))


def test_header_of_a_run_of_the_past_has_its_day() -> None:
    assert lines_of(judged(a_result(), as_of=date(2026, 1, 31)))[0].endswith("as of 2026-01-31")


def test_header_has_the_subject_if_nothing_was_resolved() -> None:
    run = judged(a_result(ONE, CellOutcome.UNSATISFIABLE))
    assert lines_of(run)[0] == "transformers · 2026-11-21"


def test_row_with_older_releases_names_them_and_the_reason() -> None:
    why = "transformers 5.23.0 needs Python >=3.11.0"
    older = {"py3.10-numpy2-cpu": {"transformers": why}}
    row = " ".join(" ".join(rows_of(judged(*OLD_AND_NEW, older=older), width=200)).split())
    assert f"transformers 5.20.2 ({why}), torch 2.14.1 py3.12" in row


def by_python(*versions: str) -> JudgedRun:
    """Return a run with the axes NumPy (down) and Python (across)."""
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
def test_note_on_some_cells_of_a_row_names_their_columns(
    versions: tuple[str, str, str], note: str
) -> None:
    assert row_note_of(by_python(*versions)) == note


def test_notes_on_the_whole_row_come_first() -> None:
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


def test_unsatisfiable_row_has_the_reason() -> None:
    message = "no wheel of numpy<2 for CPython 3.13"
    of = cells(("3.12", "3.13"), ("1.x",), ("cpu", "cuda"))
    bad = [a_result(cell, CellOutcome.UNSATISFIABLE, message=message) for cell in of[2:]]
    rows = rows_of(judged(*(a_result(cell) for cell in of[:2]), *bad))
    assert rows[2] == f"py3.13   numpy 1.x   ∅ unsatisfiable   ∅ unsatisfiable   {message}"


def test_last_axis_is_named_above_its_columns() -> None:
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
    """Return a run with many columns and an older release in the first."""
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


def test_narrow_terminal_cuts_no_word_of_a_cell() -> None:
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
