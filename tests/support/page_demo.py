"""A synthetic report for the page with every kind of outcome."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from factories import RUN, a_cell, a_lock, a_run, an_engine, an_image

from matrixci.history.streaks import Red
from matrixci.history.trend import Trend
from matrixci.model import (
    Attestation,
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    Need,
    Reason,
    Severity,
    Step,
    StepName,
)
from matrixci.reports.report import Report
from matrixci.verdict.judged import (
    Blocker,
    CellChange,
    Change,
    CheckChange,
    Comparison,
    Gate,
    GateOutcome,
    JudgedCell,
    JudgedRun,
    KnownFailure,
    PackageChange,
    Verdict,
)

START: Final = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
FOLDER: Final = f".matrixci/runs/{RUN}"
ENGINE: Final = an_engine(memory=24 * 2**30)
STATE: Final = "test_accelerator_state.py::test_default_keeps_accelerator_state"
ISOLATION: Final = (
    "test_isolation.py::test_tensorflow_stays_out[TRANSFORMERS_NO_TF=1-transformers.Trainer]"
)
BRIDGE: Final = "test_numpy_bridge.py::test_from_numpy_keeps_values"
GPU_CHECKS: Final = tuple(
    f"test_use.py::test_cuda_{name}" for name in ("moves", "trains", "infers")
)
CLAIMS: Final[Mapping[str, str]] = {
    STATE: "TrainingArguments() keeps a configured AcceleratorState.",
    ISOLATION: "TensorFlow stays out where it is switched off.",
    BRIDGE: "torch.from_numpy() keeps an array's values.",
    "test_import.py::test_import_transformers": "transformers imports without a warning.",
    "test_import.py::test_import_trainer": "Trainer imports without a warning.",
    "test_import.py::test_import_leaves_environment": "Importing changes no environment variable.",
    "test_environment.py::test_environment_command_runs": "transformers env runs.",
    "test_errors.py::test_missing_tokenizer_is_reported": "A missing tokenizer is reported.",
    "test_use.py::test_pipeline_classifies": "A pipeline classifies.",
    "test_use.py::test_trainer_trains": "A Trainer trains.",
    GPU_CHECKS[0]: "A model moves to the GPU.",
    GPU_CHECKS[1]: "A Trainer trains on the GPU.",
    GPU_CHECKS[2]: "A pipeline infers on the GPU.",
}
STATE_LOST: Final = """expected: AcceleratorState as configured
seen: AcceleratorState: 3 of 15 keys changed
  distributed_type: was DistributedType.NO, is gone
  dynamo_plugin: was TorchDynamoPlugin at 0x7fd2fd8af{:03x}, is gone
  _mixed_precision: was bf16, is gone"""
IMPORTED: Final = """expected: tensorflow is not in sys.modules
seen: 214 modules of tensorflow, the first from transformers/trainer_utils.py"""
TRACEBACK: Final = """\x1b[31mE   AttributeError\x1b[0m: 'AcceleratorState' object has no attribute
    \x1b[1mdistributed_type\x1b[0m
checks/test_accelerator_state.py:41: in test_default_keeps_accelerator_state
captured stderr: bf16 is not available \x1b]0;title\x07"""
NO_WHEEL: Final = "no NumPy 1.x wheel for Python 3.13: numpy 1.26.4 has no cp313 wheel"
OOM_TOLD: Final = "the kernel killed a process of the container: more than 6 GiB of memory"


DEMO_BLOCKERS: Final = (
    Blocker(
        text=f"{ISOLATION} fails in py3.12-numpy1-cpu, py3.12-numpy2-cpu",
        check=ISOLATION,
        claim=CLAIMS[ISOLATION],
        outcome=CheckOutcome.FAILED,
        message=IMPORTED,
        cells=("py3.12-numpy1-cpu", "py3.12-numpy2-cpu"),
    ),
    Blocker(
        text=f"{STATE} fails in py3.12-numpy2-cpu; known issue acme/ours#3 expired on 2026-11-01",
        check=STATE,
        claim=CLAIMS[STATE],
        outcome=CheckOutcome.FAILED,
        message=STATE_LOST.format(12),
        note="known issue acme/ours#3 expired on 2026-11-01",
        cells=("py3.12-numpy2-cpu",),
    ),
    Blocker(text="py3.11-numpy1-cpu: failed (oom)", cells=("py3.11-numpy1-cpu",)),
    Blocker(text="py3.10-numpy1-cuda: blocked (build)", cells=("py3.10-numpy1-cuda",)),
    Blocker(text="py3.13-numpy2-cuda: error (engine)", cells=("py3.13-numpy2-cuda",)),
    Blocker(text="gate new-failures: no new failures; 2 are new, 0 are allowed"),
)


def demo_report(*, trends: bool = True, warnings: Collection[str] = ()) -> Report:
    """Return a report with every kind of outcome.

    Args:
        trends: whether the history of the cells is known.
        warnings: the checks whose failures are only warnings.
    """
    cells = [
        _demo_cell(python, numpy, device, warnings)
        for python in ("3.10", "3.11", "3.12", "3.13")
        for numpy in ("1.x", "2.x")
        for device in ("cpu", "cuda")
    ]
    judged = JudgedRun(
        run=a_run(
            [one.cell for one in cells],
            companions=("torch", "accelerate"),
            engine=ENGINE,
            commit="5b3de39",
            matrix_digest="9c1f0e" * 10,
            command=("matrix", "--subject", "transformers"),
            older={"py3.10-numpy2-cpu": {"transformers": "5.23.0 needs Python >= 3.11"}},
        ),
        cells=tuple(cells),
        verdict=Verdict.NOT_READY,
        reasons=tuple(blocker.text for blocker in DEMO_BLOCKERS),
        blockers=DEMO_BLOCKERS,
        remarks=(f"fixed: {BRIDGE} (known issue pytorch/pytorch#1234 no longer holds)",),
        gates=_demo_gates(),
        unverified=("3 checks (no GPU)", "2 cells of the matrix were not selected"),
        known=(
            KnownFailure(
                check="test_errors.py::test_missing_tokenizer_is_reported",
                reference="huggingface/transformers#45538",
                reason="5.x makes a tokenizer of its own that reads every word as unknown",
                expires="2027-05-21",
                days_left=181,
                checks=("test_errors.py::test_missing_tokenizer_is_reported",),
                cells=tuple(one.cell.id for one in cells if one.cell.python == "3.12"),
            ),
        ),
        comparison=_demo_comparison(),
    )
    ran = [one.cell.id for one in cells if one.checks]
    lock = "".join(f"package-{n}==1.{n} \\\n    --hash=sha256:{n:064x}\n" for n in range(40))
    return Report(
        judged=judged,
        folder=FOLDER,
        locks=dict.fromkeys(ran, lock),
        logs={cell: "".join(_log_lines(cell)) for cell in ran},
        trends=_demo_trends(cells) if trends else None,
        reds={DEMO_BLOCKERS[0].text: Red(since="2026-10-15", last_green="2026-10-14")},
    )


def _log_lines(cell: str) -> list[str]:
    lines = [f"{check}: \x1b[32mpassed\x1b[0m\n" for check in CLAIMS]
    return [f"\x1b[1mcell {cell}\x1b[0m\n", *lines, "10%\r20%\r100%\n", "\x1b[2Jcleared\n"]


def _demo_gates() -> tuple[Gate, ...]:
    return (
        Gate(
            name="require",
            asks="every cell with device cpu is green",
            outcome=GateOutcome.UNMET,
            required=True,
            evidence=("5 of 8 cells are green", "py3.11-numpy1-cpu: failed (oom)"),
        ),
        Gate(
            name="new-failures",
            asks="no new failures against the baseline",
            outcome=GateOutcome.UNMET,
            required=True,
            evidence=("2 are new, 0 are allowed",),
        ),
        Gate(
            name="ends",
            asks="the oldest and the newest Python are green",
            outcome=GateOutcome.MET,
            required=True,
            evidence=("py3.10-numpy2-cpu passed", "py3.13-numpy2-cpu passed"),
        ),
        Gate(
            name="gpu",
            asks="a GPU was used",
            outcome=GateOutcome.UNVERIFIED,
            required=False,
            evidence=("this engine has no GPU",),
        ),
    )


def _demo_comparison() -> Comparison:
    packages = (
        PackageChange(name="transformers", before="5.20.2", after="5.23.0"),
        PackageChange(name="huggingface-hub", before="2.1.0", after="2.4.0"),
        PackageChange(name="hf-xet", before=None, after="1.8.0"),
    )
    regressed = CheckChange(
        check=ISOLATION,
        change=Change.REGRESSED,
        before=CheckOutcome.PASSED,
        after=CheckOutcome.FAILED,
    )
    fixed = CheckChange(
        check=BRIDGE,
        change=Change.FIXED,
        before=CheckOutcome.FAILED,
        after=CheckOutcome.UNEXPECTED_PASS,
    )
    changed = [
        CellChange(
            cell=cell,
            change=Change.REGRESSED,
            before=CellOutcome.PASSED,
            after=CellOutcome.FAILED,
            checks=(regressed, fixed),
            packages=(*packages, *extra),
            python=("3.12.6", "3.12.7"),
            metrics={"test_import.py::test_import_trainer: modules": (1410.0, 2034.0)},
        )
        for cell, extra in (
            ("py3.12-numpy2-cpu", ()),
            ("py3.12-numpy1-cpu", (PackageChange(name="fsspec", before="2026.8", after="2026.9"),)),
        )
    ]
    unsatisfiable = CellChange(
        cell="py3.13-numpy1-cpu",
        change=Change.NEWLY_UNSATISFIABLE,
        before=CellOutcome.PASSED,
        after=CellOutcome.UNSATISFIABLE,
    )
    return Comparison(
        before="20260821T090000Z-00aa11",
        before_began=datetime(2026, 8, 21, 9, tzinfo=UTC),
        before_day="as of 2026-08-21",
        before_subject="transformers 5.20.2",
        before_commit="2aac1a9",
        before_verdict=Verdict.READY,
        cells=(*changed, unsatisfiable),
    )


def _demo_trends(cells: Sequence[JudgedCell]) -> dict[str, Trend]:
    trends = {
        one.cell.id: Trend(outcomes=("passed",) * 8 + (str(one.outcome),) * 2) for one in cells
    }
    key = f"py3.12-numpy2-cpu\t{ISOLATION}"
    modules = (1400.0, 1402.0, 1410.0, 1409.0, 2034.0)
    trends[key] = Trend(
        outcomes=("passed", "passed", "flaky", "passed", "failed"), metrics={"modules": modules}
    )
    return trends


def _demo_cell(python: str, numpy: str, device: str, warnings: Collection[str]) -> JudgedCell:
    cell = a_cell(python, numpy, device)
    if (python, numpy) == ("3.13", "1.x"):
        return _without_checks(cell, CellOutcome.UNSATISFIABLE, Reason.RESOLVER, NO_WHEEL)
    if cell.id == "py3.11-numpy1-cpu":
        return _without_checks(cell, CellOutcome.FAILED, Reason.OOM, OOM_TOLD)
    if cell.id == "py3.10-numpy1-cuda":
        return _without_checks(cell, CellOutcome.BLOCKED, Reason.BUILD, "no space left on device")
    if cell.id == "py3.13-numpy2-cuda":
        return _without_checks(cell, CellOutcome.ERROR, Reason.ENGINE, "the engine was lost")
    failing: dict[str, tuple[CheckOutcome, str]] = {}
    if python == "3.12":
        issue = "huggingface/transformers#45538: a tokenizer of its own"
        failing["test_errors.py::test_missing_tokenizer_is_reported"] = (
            CheckOutcome.KNOWN_ISSUE,
            issue,
        )
        failing[BRIDGE] = (
            CheckOutcome.UNEXPECTED_PASS,
            "known issue pytorch/pytorch#1234 no longer holds",
        )
    if python == "3.12" and device == "cpu":
        failing[ISOLATION] = (CheckOutcome.FAILED, "")
    if cell.id == "py3.12-numpy2-cpu":
        failing[STATE] = (CheckOutcome.FAILED, "")
        failing["test_use.py::test_trainer_trains"] = (CheckOutcome.CRASHED, "SIGSEGV")
    if device == "cuda":
        failing |= dict.fromkeys(GPU_CHECKS, (CheckOutcome.SKIPPED, "no GPU"))
    messages = {STATE: STATE_LOST.format(int(python[2:])), ISOLATION: IMPORTED}
    checks = tuple(
        CheckResult(
            id=check,
            claim=claim,
            severity=Severity.WARNING if check in warnings else Severity.ERROR,
            outcome=failing.get(check, (CheckOutcome.PASSED, ""))[0],
            reason=failing.get(check, (CheckOutcome.PASSED, ""))[1],
            need=Need.GPU if check in GPU_CHECKS and device == "cuda" else None,
            reference="huggingface/transformers#40376" if check == STATE else None,
            message=messages.get(check, "") if check in failing else "",
            detail=TRACEBACK if check == STATE and check in failing else "",
            metrics={"modules": 1410 + place} if "import" in check else {},
            began=START + timedelta(seconds=20 + place),
            ended=START + timedelta(seconds=20.25 + place * 1.07),
        )
        for place, (check, claim) in enumerate(CLAIMS.items())
        if check not in GPU_CHECKS or device == "cuda"
    )
    bad = {CheckOutcome.FAILED, CheckOutcome.CRASHED} & {check.outcome for check in checks}
    outcome = CellOutcome.FAILED if bad else CellOutcome.PASSED
    reason = Reason.CHECKS if bad else None
    if not bad and device == "cuda":
        outcome, reason = CellOutcome.PARTIAL, Reason.MISSING_HARDWARE
    subject = "5.20.2" if python == "3.10" else "5.23.0"
    versions = {"transformers": subject, "torch": "2.15.0", "accelerate": "1.15.0"}
    return JudgedCell(
        cell=cell,
        outcome=outcome,
        reason=reason,
        message="3 failed of 10" if bad else "",
        checks=checks,
        result=CellResult(
            run=RUN,
            cell=cell,
            outcome=outcome,
            lock=a_lock(versions, file=f"locks/{cell.id}.txt"),
            image=an_image(base=f"python:{python}-slim-bookworm"),
            attestation=Attestation(
                python=f"{python}.7",
                machine="x86_64",
                distributions={**versions, "pip": "26.1"},
                modules={"transformers": subject, "torch": "2.15.0+cpu", "tensorflow": None},
                torch_cuda=None,
                gpus=0,
            ),
            steps=cell_steps(),
            log=f"logs/{cell.id}.log",
            sbom=f"sboms/{cell.id}.cdx.json",
            attempts=2 if cell.id == "py3.12-numpy2-cpu" else 1,
        ),
        reproduce=cell_command(cell),
    )


def cell_steps() -> tuple[Step, ...]:
    """Return the steps of a cell, which begin at START."""
    edges = (0.0, 1.2, 4.0, 31.5, 33.0, 33.4, 71.0, 71.3)
    return tuple(
        Step(
            name=name, began=START + timedelta(seconds=begin), ended=START + timedelta(seconds=end)
        )
        for name, (begin, end) in zip(StepName, itertools.pairwise(edges), strict=True)
    )


def cell_command(cell: Cell) -> tuple[str, ...]:
    """Return the command that reproduces a cell."""
    return ("python3", "-m", "nox", "-s", "matrix", "--", "--cell", cell.id)


def _without_checks(cell: Cell, outcome: CellOutcome, reason: Reason, message: str) -> JudgedCell:
    return JudgedCell(
        cell=cell,
        outcome=outcome,
        reason=reason,
        message=message,
        checks=(),
        result=CellResult(
            run=RUN,
            cell=cell,
            outcome=outcome,
            reason=reason,
            message=message,
            steps=cell_steps()[:2],
        ),
        reproduce=cell_command(cell),
    )
