import io
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest
from factories import a_cell, a_check, a_lock, a_result, a_run, an_issue, cells
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from terminal_lines import (
    FOLDER,
    NEEDS_GPU,
    NO_GPU,
    ONE,
    failing,
    judged,
    lines_of,
    text_of,
)

from matrixci.model import (
    CellOutcome,
    CheckOutcome,
    Reason,
)
from matrixci.reports.markdown import render as render_markdown
from matrixci.reports.report import Report
from matrixci.reports.symbols import CELL_GLYPHS
from matrixci.reports.terminal import render
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.reproduce_command import of_check

GOLDEN = Path(__file__).parent / "snapshots/table.txt"
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)
MATRIX = "matrixci matrix"


# Explanations of cells that are not green


def paragraphs(run: JudgedRun) -> list[str]:
    return text_of(run).split("\n\n")


def paragraph(run: JudgedRun, word: str) -> list[str]:
    (found,) = (each for each in paragraphs(run) if word in each and "reproduce" in each)
    return [line.strip() for line in found.strip().splitlines()]


def test_failing_check_is_explained() -> None:
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


def test_cells_with_the_same_failure_are_grouped() -> None:
    of = cells(("3.10", "3.11", "3.12", "3.13"), ("1.x", "2.x"))
    passing = a_check("test_a.py::test_one[x]")
    run = judged(
        *(failing(cell) for cell in of[:5]), *(a_result(cell, checks=[passing]) for cell in of[5:])
    )
    assert paragraph(run, "test_one")[1] == (
        "failed in py3.10-numpy1-cpu, py3.10-numpy2-cpu, py3.11-numpy1-cpu and 2 more: "
        "test_a.py::test_one[x]"
    )


def test_cells_with_a_common_axis_value_are_named_by_it() -> None:
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


def test_different_failures_of_a_check_are_listed_separately() -> None:
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
def test_cell_without_failing_checks_is_explained(
    outcome: CellOutcome, reason: Reason, message: str, shown: str
) -> None:
    of = cells(("3.11", "3.12", "3.13"))
    bad = [a_result(cell, outcome, [], reason=reason, message=message) for cell in of[:2]]
    lines = paragraph(judged(*bad, a_result(of[2])), shown)
    glyph = CELL_GLYPHS[outcome]
    assert lines[0] == f"{glyph} py3.11-numpy2-cpu, py3.12-numpy2-cpu: {outcome} ({reason})"
    assert lines[-2] == shown
    assert lines[-1].startswith(f"reproduce: {MATRIX} --cell py3.11-numpy2-cpu ")


def test_long_log_shows_its_end_and_long_message_both_ends() -> None:
    log = "\n".join(f"line {number}" for number in range(1, 21))
    blocked = a_result(ONE, CellOutcome.BLOCKED, reason=Reason.BUILD, message=log)
    lines = paragraph(judged(blocked), "line 20")
    assert lines[1:7] == [*(f"line {n}" for n in range(16, 21)), "… 15 more lines in the result"]
    lines = paragraph(judged(failing(ONE, message=log)), "line 1")
    shown = [f"line {n}" for n in (1, 2, 3, 19, 20)]
    assert lines[2:8] == [*shown, "… 15 more lines in the result"]


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


def test_long_traceback_shows_the_exception_and_its_frame() -> None:
    lines = paragraph(judged(failing(ONE, message=TRACEBACK)), "ValueError")
    assert lines[2:8] == [
        "the script failed:",
        'File "/lib/numpy/core.py", line 71, in load',
        "ValueError: setting the shape is deprecated",
        "see the release notes",
        "of NumPy 2.5",
        "… 7 more lines in the result",
    ]


def test_truncated_traceback_shows_both_ends() -> None:
    cut_off = "\n".join(TRACEBACK.splitlines()[:8])
    lines = paragraph(judged(failing(ONE, message=cut_off)), "the script")
    assert lines[6] == "raise ValueError(message)"


def test_unsatisfiable_cell_is_explained_without_a_command() -> None:
    result = a_result(ONE, CellOutcome.UNSATISFIABLE, reason=Reason.RESOLVER, message="no such")
    text = text_of(judged(result))
    assert "∅ py3.12-numpy2-cpu: unsatisfiable (resolver)\n    no such\n" in text
    assert "reproduce" not in text


def test_reason_of_a_cell_is_shown_with_its_failing_check_and_missing_checks_once() -> None:
    missing = [a_check(f"a::gone{number}", CheckOutcome.MISSING) for number in range(40)]
    checks = [a_check("a::bad", CheckOutcome.FAILED), *missing]
    result = a_result(ONE, CellOutcome.FAILED, checks, reason=Reason.OOM, message="out of memory")
    run = judged(result)
    assert paragraph(run, "failed in py3.12-numpy2-cpu: a::bad")
    assert paragraph(run, "out of memory")[0] == "✗ py3.12-numpy2-cpu: failed (oom)"
    assert text_of(run).count("reproduce:") == 2


@pytest.mark.parametrize("outcome", CellOutcome)
def test_exactly_the_cells_that_are_not_green_are_explained(outcome: CellOutcome) -> None:
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
def test_command_is_unchanged_by_a_shell(spec: str, name: str) -> None:
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


def test_unexplained_outcomes_are_listed_by_check() -> None:
    of = cells(("3.11", "3.12", "3.13"))
    run = judged(
        a_result(of[0], checks=[a_check("a::x"), a_check("a::y"), NEEDS_GPU]),
        a_result(
            of[1], CellOutcome.FAILED, [a_check("a::x", CheckOutcome.FAILED), a_check("a::y")]
        ),
        a_result(of[2], CellOutcome.FAILED, [a_check("a::x", CheckOutcome.CRASHED)]),
        known_issues=(an_issue("a::x", where={"python": "3.12"}),),
    )
    assert table_of_checks(run) == ["a::x 1/3 ≈ 1 known issue, ✗ 1 crashed"]


def test_unexpected_pass_counts_as_passed_and_warning_is_not_a_failure() -> None:
    of = cells(("3.12", "3.13"))
    warned = a_check("a::x", CheckOutcome.FAILED, severity="warning")
    run = judged(
        a_result(of[0], checks=[a_check("a::x")]),
        a_result(of[1], checks=[warned]),
        known_issues=(an_issue("a::x", where={"python": "3.12"}),),
    )
    assert table_of_checks(run) == ["a::x 1/2 ↑ 1 unexpected pass, ! 1 warning"]


def test_warning_has_its_own_symbol() -> None:
    claim = "pyarrow is installed, which we recommend."
    warned = a_check("a::x", CheckOutcome.FAILED, severity="warning", claim=claim)
    text = text_of(judged(a_result(checks=[a_check(), warned])))
    assert f"! {claim}\n    warning, failed in py3.12-numpy2-cpu: a::x\n" in text
    assert "✗" not in text
    assert "READY  1 cell: 1 passed" in text


def test_many_failing_checks_are_counted_below_the_explanations() -> None:
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


def test_no_table_of_checks_without_unexplained_outcomes() -> None:
    assert "cells passed" not in text_of(judged(a_result(ONE, checks=[a_check(), NEEDS_GPU])))


def test_verdict_is_first_and_last_with_the_blockers() -> None:
    bad = judged(failing(ONE), a_result(a_cell("3.13"), CellOutcome.ERROR, reason=Reason.ENGINE))
    lines = lines_of(bad)
    assert lines[1] == "NOT READY  2 cells: 1 failed, 1 error"
    assert lines[-3:] == [
        lines[1],
        "  test_a.py::test_one[x] fails in py3.12-numpy2-cpu",
        "  py3.13-numpy2-cpu: error (engine)",
    ]
    assert lines_of(judged(a_result()))[-1] == "READY  1 cell: 1 passed"


def test_tier_is_named_in_the_header_and_with_unselected_cells() -> None:
    lines = lines_of(judged(a_result(), unselected=("b", "c"), tier="pull-request"))
    assert lines[0].endswith(" · tier pull-request")
    assert "not verified: 2 cells of the matrix not selected (tier pull-request)" in lines


def test_notes_and_the_folder_are_printed() -> None:
    lines = lines_of(judged(a_result(), unselected=("b",)))
    assert "not verified: 1 cell of the matrix not selected" in lines
    assert f"locks, logs and results: {FOLDER}" in lines


# Text from a container changes neither layout nor colours


HOSTILE = "\x1b[31mred\x1b[0m\x1b]0;title\x07 [bold]b[/bold] [/] :boom:\nnew\r\x00\u202eend\x9b2J"
SHOWN = r"\x1b[31mred\x1b[0m\x1b]0;title\x07 [bold]b[/bold] [/] :boom:"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def hostile_run(text: str) -> JudgedRun:
    cell = ONE.model_copy(update={"axes": {**ONE.axes, "device": text}, "torch_backend": text})
    blocked = a_cell("3.13", axes={"python": text, "numpy": text, "device": text})
    check = a_check(f"a::{text}", CheckOutcome.CRASHED, claim=text, reason=text, message=text)
    unmet = a_check(f"b::{text}", CheckOutcome.SKIPPED, reason=text, need="gpu")
    fixed = a_check("c", CheckOutcome.UNEXPECTED_PASS, reason=text)
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
def test_hostile_text_is_escaped(*, colour: bool) -> None:
    text = printed(hostile_run(HOSTILE), HOSTILE, colour=colour)
    bare = SGR.sub("", text) if colour else text
    assert all(char.isprintable() or char == "\n" for char in bare)
    assert SHOWN in bare
    assert "\nnew" not in bare  # only as an indented line of evidence
    assert "    new" in bare


def test_hostile_text_changes_no_colour() -> None:
    harmless = set(SGR.findall(printed(hostile_run("harmless"), "x", colour=True)))
    assert set(SGR.findall(printed(hostile_run(HOSTILE), "x", colour=True))) == harmless


@QUICK
@given(st.text(max_size=60) | st.text("[]/\\abold#=\n\x1b:", max_size=60))
def test_any_text_is_printable(text: str) -> None:
    bare = SGR.sub("", printed(hostile_run(text), text, colour=True))
    assert all(char.isprintable() or char == "\n" for char in bare)
    assert "NOT READY" in bare


def test_very_long_text_is_cut_and_marked() -> None:
    long = "x" * 100_000
    text = printed(hostile_run(long), long, colour=False)
    lines = [line for line in text.splitlines() if "reproduce: " not in line]
    assert sum(map(len, lines)) < 25_000
    assert "x…" in text
    assert all(len(line) <= 120 for line in lines)


# A whole report


def whole_run() -> JudgedRun:
    """Return a run with every kind of result."""
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


def test_whole_report_equals_its_snapshot(same_as: Callable[[Path, str], None]) -> None:
    same_as(GOLDEN, "".join(f"{line}\n" for line in lines_of(whole_run())))
