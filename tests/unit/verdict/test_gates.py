"""Each condition of a release, as a table of what a run has and what the gate says."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from factories import a_cell, a_check, a_lock, a_result, a_run, an_issue, cells

from matrixci.model import (
    Attestation,
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    Need,
    Reason,
)
from matrixci.verdict.judge import JudgeOptions, judge, selected_nothing
from matrixci.verdict.judged import Gate, GateOutcome, JudgedRun, Verdict

TODAY = date(2026, 11, 21)
MET, UNMET, UNVERIFIED = GateOutcome.MET, GateOutcome.UNMET, GateOutcome.UNVERIFIED
FOUR = cells(("3.10", "3.11", "3.12", "3.13"))
BOTH = cells(("3.12",), ("2.x",), ("cpu", "cuda"))
ONE = "test_a.py::test_one"


def red(cell: Cell, *names: str) -> CellResult:
    failed = [a_check(name, CheckOutcome.FAILED) for name in names or (ONE,)]
    return a_result(cell, CellOutcome.FAILED, [a_check("test_z.py::test_ok"), *failed])


def unsatisfiable(cell: Cell) -> CellResult:
    return a_result(cell, CellOutcome.UNSATISFIABLE, reason=Reason.RESOLVER, message="no wheel")


def judged(
    *results: CellResult,
    baseline: JudgedRun | None = None,
    for_release: bool = False,
    version: str | None = None,
    **fields: object,
) -> JudgedRun:
    run = a_run([result.cell for result in results], **fields)
    by_id = {result.cell.id: result for result in results}
    options = JudgeOptions(baseline=baseline, for_release=for_release, subject_version=version)
    return judge(run, by_id, (), TODAY, options)


def gate(run: JudgedRun, name: str) -> Gate:
    (found,) = (one for one in run.gates if one.name == name)
    return found


def test_required_cells_are_named_by_their_values() -> None:
    rule = {"python": ("3.12", "3.13"), "device": ("cpu",)}
    run = judged(
        *map(a_result, FOUR), gates={"require": (rule,)}, unselected=("py3.12-numpy1-cpu",)
    )
    required = gate(run, "require")
    assert required.asks == "each cell with python 3.12 or 3.13 and device cpu is green"


def test_default_gates_and_their_evidence() -> None:
    run = judged(*map(a_result, [*FOUR, BOTH[1]]))
    assert {one.name: one.outcome for one in run.gates} == {
        "require": MET,
        "new-failures": MET,
        "gpu": UNVERIFIED,
        "bounds": MET,
        "disappeared-checks": UNVERIFIED,
    }
    assert all(one.evidence for one in run.gates)
    assert [one.name for one in run.gates if not one.required] == ["gpu", "disappeared-checks"]


def test_there_is_no_gpu_gate_without_gpu_cells() -> None:
    run = judged(*map(a_result, FOUR), for_release=True)
    assert "gpu" not in {one.name for one in run.gates}
    assert not any("GPU" in line for line in (*run.reasons, *run.remarks, *run.unverified))


SKIPS = a_check("test_a.py::test_other", CheckOutcome.SKIPPED, reason="no torch here")


@pytest.mark.parametrize(
    ("checks", "chosen", "ready"),
    [
        ((a_check(), SKIPS, SKIPS), False, False),
        ((a_check(), SKIPS, SKIPS), True, True),
        ((a_check(), SKIPS), False, True),
        ((a_check(), replace(SKIPS, need=Need.GPU), SKIPS), False, True),
    ],
)
def test_default_checks_that_do_not_apply_block_the_release(
    checks: tuple[CheckResult, ...], *, chosen: bool, ready: bool
) -> None:
    run = judged(a_result(FOUR[0], checks=checks), checks_chosen=chosen, gates={"bounds": ()})
    assert run.verdict is (Verdict.READY if ready else Verdict.NOT_READY)
    assert any("do not apply" in reason for reason in run.reasons) is not ready


def test_flaky_and_failing_cells_of_one_check_are_two_blockers() -> None:
    flaky = a_check(ONE, CheckOutcome.FLAKY)
    run = judged(
        *(a_result(cell, CellOutcome.FAILED, [flaky], reason=Reason.CHECKS) for cell in FOUR[:2]),
        red(FOUR[2]),
        a_result(FOUR[3]),
    )
    assert run.reasons == (
        f"{ONE} is flaky in {FOUR[0].id}, {FOUR[1].id}",
        f"{ONE} fails in {FOUR[2].id}",
    )


def test_a_required_gpu_gate_without_gpu_cells_is_unverified() -> None:
    run = judged(*map(a_result, FOUR), gates={"gpu": "required"}, for_release=True)
    assert gate(run, "gpu").outcome is UNVERIFIED
    assert gate(run, "gpu").evidence == ("no cell of the run asks for a GPU",)
    assert run.verdict is Verdict.NOT_READY


@pytest.mark.parametrize("release", [True, False])
def test_a_failure_in_a_cell_that_is_not_required_does_not_block(*, release: bool) -> None:
    gates = {"require": ({"device": ("cpu",)},), "new_failures": 1}
    run = judged(a_result(BOTH[0]), red(BOTH[1]), gates=gates, for_release=release)
    assert run.verdict is Verdict.READY
    assert run.remarks == (
        "does not block the release: test_a.py::test_one fails in py3.12-numpy2-cuda",
    )


def test_new_failures_count_in_cells_that_are_not_required() -> None:
    gates = {"require": ({"device": ("cpu",)},), "new_failures": 1}
    run = judged(a_result(BOTH[0]), red(BOTH[1], ONE, "test_b.py::test_two"), gates=gates)
    assert run.verdict is Verdict.NOT_READY
    assert gate(run, "new-failures").outcome is UNMET
    assert run.reasons == (
        "test_a.py::test_one fails in py3.12-numpy2-cuda",
        "test_b.py::test_two fails in py3.12-numpy2-cuda",
    )


@pytest.mark.parametrize("before", [CheckOutcome.FAILED, CheckOutcome.KNOWN_ISSUE])
def test_a_failure_of_the_baseline_is_not_new(before: CheckOutcome) -> None:
    gates = {"require": ({"device": ("cpu",)},)}
    issues = (an_issue(ONE),) if before is CheckOutcome.KNOWN_ISSUE else ()
    baseline = judged(a_result(BOTH[0]), red(BOTH[1]), known_issues=issues)
    run = judged(a_result(BOTH[0]), red(BOTH[1]), gates=gates, baseline=baseline)
    assert gate(run, "new-failures").outcome is MET
    assert run.verdict is Verdict.READY
    # Where the cell is required, that it failed before is no excuse.
    assert judged(red(BOTH[0]), baseline=judged(red(BOTH[0]))).verdict is Verdict.NOT_READY


def test_a_missing_cell_blocks_even_if_it_is_not_required() -> None:
    run = a_run(BOTH, gates={"require": ({"device": ("cpu",)},)})
    verdict = judge(run, {BOTH[0].id: a_result(BOTH[0])}, (), TODAY)
    assert verdict.reasons == ("py3.12-numpy2-cuda: missing",)


def test_an_unsatisfiable_cell_blocks_only_if_it_is_newly_so() -> None:
    results = [a_result(FOUR[0]), unsatisfiable(FOUR[1]), a_result(FOUR[3])]
    assert judged(*results, for_release=True).verdict is Verdict.READY
    same = judged(*results, baseline=judged(*results), for_release=True)
    assert same.verdict is Verdict.READY
    before = judged(*map(a_result, (FOUR[0], FOUR[1], FOUR[3])))
    newly = judged(*results, baseline=before, for_release=True)
    assert newly.reasons == ("py3.11-numpy2-cpu: newly unsatisfiable",)
    assert gate(newly, "require").outcome is UNMET


@pytest.mark.parametrize("release", [True, False])
def test_a_required_cell_that_was_not_selected_is_unverified(*, release: bool) -> None:
    left_out: dict[str, Any] = {
        "unselected": (BOTH[1].id,),
        "unselected_axes": {BOTH[1].id: BOTH[1].axes},
    }
    run = judged(a_result(BOTH[0]), for_release=release, **left_out)
    assert gate(run, "require").outcome is UNVERIFIED
    assert (run.verdict is Verdict.READY) is not release
    assert "1 cell of the matrix not selected" in run.unverified
    cpu = {"require": ({"device": ("cpu",)},)}
    other = judged(a_result(BOTH[0]), for_release=True, gates=cpu, **left_out)
    assert gate(other, "require").outcome is MET
    assert other.verdict is Verdict.READY


def test_a_check_filter_leaves_gates_unverified() -> None:
    assert judged(a_result(BOTH[0]), check_filter="one").verdict is Verdict.READY
    run = judged(a_result(BOTH[0]), check_filter="one", for_release=True)
    assert run.verdict is Verdict.NOT_READY
    assert "only checks that match 'one' ran" in run.unverified


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([a_result(cell) for cell in FOUR], MET),
        ([a_result(FOUR[0]), red(FOUR[1]), red(FOUR[2]), a_result(FOUR[3])], MET),
        ([a_result(FOUR[0]), a_result(FOUR[1]), red(FOUR[3])], UNMET),
        ([unsatisfiable(FOUR[0]), *map(a_result, FOUR[1:])], UNVERIFIED),
        ([red(FOUR[0]), unsatisfiable(FOUR[3])], UNMET),
    ],
)
def test_the_oldest_and_the_newest_value_need_a_green_cell(
    results: list[CellResult], outcome: GateOutcome
) -> None:
    assert gate(judged(*results), "bounds").outcome is outcome


def test_bounds_are_ordered_as_versions_or_as_written() -> None:
    results = [a_result(a_cell("3.9")), a_result(a_cell("3.10")), red(a_cell("3.9", numpy="1.x"))]
    run = judged(*results, gates={"bounds": ("python", "numpy", "absent")})
    asks = [one.asks for one in run.gates if one.name == "bounds"]
    assert [text.partition("(")[2].partition(")")[0] for text in asks] == [
        "3.9 and 3.10",
        "2.x and 1.x",
        "",
    ]
    outcomes = [one.outcome for one in run.gates if one.name == "bounds"]
    assert outcomes == [MET, UNMET, UNVERIFIED]


@pytest.mark.parametrize(("gpus", "outcome"), [(1, MET), (0, UNVERIFIED)])
@pytest.mark.parametrize("enforcement", ["advisory", "required"])
def test_a_gpu_counts_only_if_the_container_attests_it(
    gpus: int, outcome: GateOutcome, enforcement: str
) -> None:
    attestation = Attestation(
        python="3.12.4", machine="x86_64", distributions={}, modules={}, torch_cuda="12", gpus=gpus
    )
    results = [a_result(BOTH[0]), a_result(BOTH[1], attestation=attestation)]
    run = judged(*results, gates={"gpu": enforcement}, for_release=True)
    assert gate(run, "gpu").outcome is outcome
    ready = outcome is MET or enforcement == "advisory"
    assert (run.verdict is Verdict.READY) == ready


@pytest.mark.parametrize(("allowed", "outcome"), [(0, UNMET), (1, UNMET), (2, MET)])
def test_disappeared_checks_are_counted(allowed: int, outcome: GateOutcome) -> None:
    more = [a_check(), a_check("test_b.py::test_two")]
    before = judged(*(a_result(cell, checks=more) for cell in FOUR[:2]))
    run = judged(*map(a_result, FOUR[:2]), baseline=before, gates={"disappeared_checks": allowed})
    assert gate(run, "disappeared-checks").outcome is outcome
    assert gate(run, "disappeared-checks").evidence == (
        "2 checks disappeared",
        "test_b.py::test_two: disappeared in 2 cells",
    )
    assert (run.verdict is Verdict.READY) == (outcome is MET)


def test_checks_of_a_disappeared_cell_count_as_disappeared() -> None:
    run = judged(a_result(FOUR[0]), baseline=judged(*map(a_result, FOUR[:2])))
    assert gate(run, "disappeared-checks").outcome is UNMET
    left_out = judged(
        a_result(FOUR[0]), baseline=judged(*map(a_result, FOUR[:2])), unselected=(FOUR[1].id,)
    )
    assert gate(left_out, "disappeared-checks").outcome is MET
    assert left_out.comparison
    assert left_out.comparison.not_compared == (FOUR[1].id,)


@pytest.mark.parametrize(
    ("wanted", "outcome"), [("5.23.0", MET), ("5.23", MET), ("5.24", UNMET), ("no version", UNMET)]
)
def test_most_cells_must_have_the_requested_subject_version(
    wanted: str, outcome: GateOutcome
) -> None:
    older = a_result(FOUR[0], lock=a_lock({"transformers": "5.20.2"}))
    run = judged(older, *map(a_result, FOUR[1:]), version=wanted)
    assert gate(run, "subject-version").outcome is outcome
    assert (run.verdict is Verdict.READY) == (outcome is MET)
    if outcome is UNMET:
        assert run.reasons[0].startswith("gate subject-version: most cells have transformers ")


def test_a_warning_does_not_block_the_release() -> None:
    warned = a_check(outcome=CheckOutcome.FAILED, severity="warning")
    run = judged(
        a_result(FOUR[0], checks=[a_check("test_b.py::test_two"), warned]), for_release=True
    )
    assert run.verdict is Verdict.READY
    assert run.cells[0].outcome is CellOutcome.PASSED
    assert run.cells[0].message == "1 warning: test_a.py::test_one"
    assert run.cells[0].warnings == (warned,)
    assert run.remarks == ("warning: test_a.py::test_one fails in py3.10-numpy2-cpu",)


def test_a_missing_check_is_never_only_a_warning() -> None:
    missing = a_check(outcome=CheckOutcome.MISSING, severity="warning")
    run = judged(a_result(FOUR[0], checks=[a_check("test_b.py::test_two"), missing]))
    assert run.cells[0].outcome is CellOutcome.FAILED


def test_known_issues_are_listed_with_the_days_left() -> None:
    issue = an_issue(ONE, expires="2026-12-01")
    run = judged(red(FOUR[0]), red(FOUR[1]), known_issues=(issue, an_issue("test_z*")))
    (known,) = run.known
    assert (known.days_left, known.expires) == (10, "2026-12-01")
    assert known.checks == (ONE,)
    assert known.cells == (FOUR[0].id, FOUR[1].id)


def empty(cell: Cell) -> CellResult:
    return a_result(cell, CellOutcome.FAILED, (), reason=Reason.NO_CHECKS)


@pytest.mark.parametrize(
    ("results", "nothing"),
    [
        ((empty(FOUR[0]), empty(FOUR[1])), True),
        ((empty(FOUR[0]), unsatisfiable(FOUR[1])), True),
        ((empty(FOUR[0]), a_result(FOUR[1])), False),
        ((empty(FOUR[0]), a_result(FOUR[1], CellOutcome.ERROR, reason=Reason.INDEX)), False),
        ((empty(FOUR[0]), a_result(FOUR[1], CellOutcome.BLOCKED, reason=Reason.BUILD)), False),
        ((unsatisfiable(FOUR[0]),), False),
    ],
)
def test_a_selection_is_empty_only_if_no_cell_has_other_results(
    results: tuple[CellResult, ...], *, nothing: bool
) -> None:
    assert selected_nothing(judged(*results, check_filter="nope")) is nothing
    assert not selected_nothing(judged(*results))


def test_a_warning_of_a_flaky_check_says_flaky() -> None:
    flaky = a_check(ONE, CheckOutcome.FLAKY, severity="warning")
    failed = a_check("test_b.py::test_two", CheckOutcome.FAILED, severity="warning")
    run = judged(a_result(FOUR[0], checks=(a_check(), flaky, failed)), gates={"bounds": ()})
    assert run.remarks == (
        f"warning: {ONE} is flaky in {FOUR[0].id}",
        f"warning: test_b.py::test_two fails in {FOUR[0].id}",
    )
