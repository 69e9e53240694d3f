"""The issue about regressions: when it is opened, updated and closed, and its text."""

import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from command_line import run_command
from factories import a_check, a_lock, a_result, a_run, cells
from hostile_runs import EVIL_ID, the_run
from markdown_it import MarkdownIt

from matrixci.errors import GitHubError
from matrixci.github.issues import carry_out, open_issues
from matrixci.github.regression_issue import Close, Open, OpenIssue, Update, decide, find
from matrixci.model import CellOutcome, CellResult, CheckOutcome, Reason
from matrixci.reports.json_report import render
from matrixci.reports.report import Report
from matrixci.verdict.judge import JudgeOptions, judge
from matrixci.verdict.judged import JudgedRun, Verdict

ONE, TWO = cells(("3.12", "3.13"))
LINK = "https://example.org/o/r/actions/runs/7"
FIRST, SECOND = "test_a.py::test_one", "test_a.py::test_two"


def checked(*failing: str) -> list[CellResult]:
    """Return the results of two cells, in both of which these checks fail."""
    checks = [
        a_check(name, CheckOutcome.FAILED if name in failing else CheckOutcome.PASSED)
        for name in (FIRST, SECOND)
    ]
    outcome = CellOutcome.FAILED if failing else CellOutcome.PASSED
    reason = Reason.CHECKS if failing else None
    versions = {"transformers": "5.24.0" if failing else "5.23.0", "torch": "2.15.0"}
    lock = a_lock(versions)
    return [a_result(cell, outcome, checks, reason=reason, lock=lock) for cell in (ONE, TWO)]


def judged(results: Sequence[CellResult], before: JudgedRun | None = None) -> JudgedRun:
    by_id = {one.cell.id: one for one in results}
    return judge(a_run([ONE, TWO]), by_id, (), date(2026, 11, 21), JudgeOptions(baseline=before))


GOOD = judged(checked())


def opened(run: JudgedRun) -> Open:
    action = decide(run, None, "", LINK)
    assert isinstance(action, Open)
    return action


def issue(body: str, number: int = 3) -> OpenIssue:
    return OpenIssue(number=number, body=body)


def test_green_run_needs_no_action() -> None:
    assert GOOD.verdict is Verdict.READY
    assert decide(GOOD, None, "", LINK) is None


def test_a_regression_opens_an_issue() -> None:
    action = opened(judged(checked(FIRST), GOOD))
    assert action.title == "NOT READY: transformers is worse than on 2026-11-21"
    assert f"regressed**: `{FIRST}`" in action.body
    assert f"`{ONE.id}`, `{TWO.id}`" in action.body
    assert "transformers 5.23.0 → 5.24.0" in action.body
    assert LINK in action.body
    assert SECOND not in action.body


def test_failure_in_the_baseline_opens_no_issue() -> None:
    bad = judged(checked(FIRST))
    assert decide(judged(checked(FIRST), bad), None, "", LINK) is None


def test_without_a_baseline_every_failure_counts() -> None:
    action = opened(judged(checked(FIRST)))
    assert action.title == "NOT READY: transformers fails"
    assert FIRST in action.body


def test_lost_machine_leaves_the_issue_unchanged() -> None:
    lost = judged([a_result(ONE, CellOutcome.ERROR, reason=Reason.ENGINE), checked()[1]], GOOD)
    assert lost.verdict is Verdict.NOT_READY
    assert decide(lost, None, "", LINK) is None
    assert decide(lost, issue(opened(judged(checked(FIRST), GOOD)).body), "", LINK) is None
    missing = judged(checked()[:1])
    assert missing.verdict is Verdict.NOT_READY
    assert decide(missing, None, "", LINK) is None


def test_same_regression_updates_the_issue_without_a_comment() -> None:
    run = judged(checked(FIRST), GOOD)
    first = opened(run)
    again = decide(run, issue(first.body), "", LINK)
    assert again == Update(number=3, title=first.title, body=first.body, comment=None)


def test_new_regression_is_a_comment() -> None:
    first = opened(judged(checked(FIRST), GOOD))
    action = decide(judged(checked(FIRST, SECOND), GOOD), issue(first.body), "", LINK)
    assert isinstance(action, Update)
    assert action.comment is not None
    assert SECOND in action.comment
    assert FIRST not in action.comment
    assert FIRST in action.body
    again = decide(judged(checked(FIRST, SECOND), GOOD), issue(action.body), "", LINK)
    assert isinstance(again, Update)
    assert again.comment is None


def test_recovery_closes_the_issue() -> None:
    body = opened(judged(checked(FIRST), GOOD)).body
    action = decide(GOOD, issue(body, 9), "", LINK)
    assert isinstance(action, Close)
    assert action.number == 9
    assert LINK in action.comment


def test_the_issue_is_found_by_its_first_line() -> None:
    run = judged(checked(FIRST), GOOD)
    mine = opened(run).body
    other = decide(run, None, "another matrix", LINK)
    assert isinstance(other, Open)
    quoting = f"> see\n{mine}"
    assert find([issue(""), issue(quoting, 1), issue(other.body, 2)], run, "") is None
    assert find([issue(mine, 8), issue(mine, 5)], run, "") == issue(mine, 5)
    assert find([issue(mine, 8), issue(other.body, 5)], run, "another matrix") == issue(
        other.body, 5
    )


def test_text_of_checks_is_escaped() -> None:
    evil = the_run(200).model_copy(update={"verdict": Verdict.NOT_READY})
    action = decide(evil, None, "", LINK)
    assert isinstance(action, Open)
    assert action.title.isprintable()
    assert len(action.body) < 65_536
    shown = MarkdownIt("commonmark").render(action.body.partition("\n")[2])
    assert EVIL_ID[:12] in shown
    assert not any(tag in shown for tag in ("<script", "<img", "<svg", "<a ", "<h1"))
    assert "\n::" not in action.body
    # What looks like the marker in a check's name is not taken for it.
    forged = f"{EVIL_ID}<!-- matrixci {'0' * 16}: -->"
    results = [
        a_result(cell, CellOutcome.FAILED, [a_check(forged, CheckOutcome.FAILED)],
                 reason=Reason.CHECKS)
        for cell in (ONE, TWO)
    ]  # fmt: skip
    run = judged(results)
    body = opened(run).body
    assert find([issue(body)], run, "") == issue(body)


def test_regressions_beyond_the_size_limit_are_counted() -> None:
    names = [f"test_a.py::test_{'x' * 200}_{number}" for number in range(3000)]
    checks = [a_check(name, CheckOutcome.FAILED, message=name) for name in names]
    failed = a_result(ONE, CellOutcome.FAILED, checks, reason=Reason.CHECKS)
    body = opened(judged([failed, checked()[1]])).body
    assert len(body) < 65_536
    assert "more; the report lists all of them" in body


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Return a function that puts a fake gh on the path and returns its calls."""
    program, log, said = tmp_path / "bin/gh", tmp_path / "asked.jsonl", tmp_path / "said"
    program.parent.mkdir()
    program.write_text(
        "#!/usr/bin/env python3\n"
        "import json, pathlib, sys\n"
        f"with open({str(log)!r}, 'a') as file:\n"
        "    print(json.dumps([*sys.argv[1:], sys.stdin.read()]), file=file)\n"
        f"answer = json.loads(pathlib.Path({str(said)!r}).read_text())\n"
        "print(answer['stdout'])\n"
        "print(answer['stderr'], file=sys.stderr)\n"
        "sys.exit(answer['code'])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def use(stdout: str = "", stderr: str = "", code: int = 0) -> list[list[str]]:
        said.write_text(json.dumps({"stdout": stdout, "stderr": stderr, "code": code}))
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    use()
    return use


def test_only_labelled_issues_are_read(gh: Callable[..., list[list[str]]]) -> None:
    gh(stdout=json.dumps([{"number": 4, "body": "text"}]))
    assert open_issues() == [OpenIssue(number=4, body="text")]
    (asked,) = gh()
    assert asked[:4] == ["issue", "list", "--label", "matrixci"]


def test_actions_are_carried_out_with_gh(gh: Callable[..., list[list[str]]]) -> None:
    gh(stdout="https://example.org/o/r/issues/5")
    hostile = "--web $(id) `id`\n::error::x"
    assert carry_out(None) == "nothing to open, update or close"
    assert carry_out(Open(title=hostile, body=hostile)).endswith("/issues/5")
    update = Update(number=5, title="t", body="b", comment=None)
    carry_out(update)
    carry_out(replace(update, comment="new"))
    carry_out(Close(number=5, comment="well"))
    label, create, *rest = gh()
    assert label[:3] == ["label", "create", "matrixci"]
    assert create[:4] == ["issue", "create", "--title", hostile]
    assert create[-1] == hostile
    assert rest == [
        ["issue", "edit", "5", "--title", "t", "--body-file", "-", "b"],
        ["issue", "edit", "5", "--title", "t", "--body-file", "-", "b"],
        ["issue", "comment", "5", "--body-file", "-", "new"],
        ["issue", "close", "5", "--comment", "well", ""],
    ]


def test_failure_of_gh_is_reported(gh: Callable[..., list[list[str]]]) -> None:
    gh(stderr="HTTP 403: https://user:secret@example.org", code=1)
    with pytest.raises(GitHubError, match=r"gh issue list failed: HTTP 403") as caught:
        open_issues()
    assert "secret" not in str(caught.value)
    gh(stdout="{}")
    assert open_issues() == []
    gh(stdout="[1]")
    with pytest.raises(GitHubError, match="did not print a list"):
        open_issues()


def test_missing_gh_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitHubError, match="Cannot run gh"):
        open_issues()


def test_command_reads_the_report_of_a_run(
    gh: Callable[..., list[list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = judged(checked(FIRST), GOOD)
    path = tmp_path / "report.json"
    path.write_text(render(Report(judged=run, folder="", locks={}, logs={})))
    gh(stdout="[]")
    done = run_command(monkeypatch, capsys, tmp_path, "issue", str(path), "--link", LINK)
    assert done.code == 0
    assert done.out.startswith("opened")
    create = gh()[-1]
    assert create[:2] == ["issue", "create"]
    assert create[-1] == opened(run).body
    path.write_text("{}")
    done = run_command(monkeypatch, capsys, tmp_path, "issue", str(path))
    assert done.code == 2
    assert "is not a JSON report" in done.err
