"""Tests of the workflows, run by a simulation of GitHub Actions on two engines."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uv
import yaml
from fan_out import cell_id, facts, outcomes_of_run
from own_engine import OwnEngine, own_engine
from simulated_actions.github import GitHub
from simulated_actions.machines import Machine
from simulated_actions.workflows import Source, WorkflowRun
from toy import Toy

from matrixci.history.store import History
from matrixci.model import CellOutcome
from matrixci.runs.folder import read_run
from matrixci.util.invocation import Caller
from matrixci.verdict.judged import Verdict
from matrixci.verdict.load import judge_folder

ROOT = Path(__file__).parents[2]
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
MATRIXCI, CALLER = "owner/matrixci", "someone/toy"
WHOLE = """
    import os
    import time
    import toysubject

    TOY = os.environ.get("TOY")  # pytest would print os.environ in the assertion

    def test_answers():
        '''The toy knows the answer.'''
        assert toysubject.ANSWER == 42

    def test_is_whole():
        '''The toy is whole.'''
        assert TOY != "broken"

    def test_takes_its_time():
        '''The toy takes the time that it is given.'''
        time.sleep(int(os.environ.get("TOY_SECONDS", "0")))
    """
BROKEN = WHOLE.replace("== 42", "== 42 and TOY != 'other'")
MODES: dict[str, dict[str, object]] = {
    "plain": {},
    "other": {"environment": {"TOY": "other"}},
    "gpu": {"gpu": True},
    "never": {"requires": "numpy==0.0.1"},
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """The repository of the toy, on a server that also has the current state of matrixci."""

    github: GitHub
    toy: Toy
    matrixci: str
    """The commit of matrixci."""

    @property
    def tree(self) -> Path:
        return self.toy.folder / "project"

    def push(
        self,
        checks: str,
        modes: dict[str, dict[str, Any]],
        **more: object,
    ) -> Source:
        """Push a state of the repository, with a workflow that calls the workflow of matrixci."""
        self.toy.write({"test_toy.py": checks}, modes, **more)  # type: ignore[arg-type]
        workflow = {
            "on": {"schedule": [{"cron": "0 3 * * *"}]},
            "jobs": {
                "matrix": {
                    "uses": f"{MATRIXCI}/.github/workflows/matrix.yml@{self.matrixci}",
                    "permissions": {"actions": "read", "contents": "read"},
                    "with": {
                        "subject": f"./{self.toy.wheel.name}",
                        "matrix": "matrix.yaml",
                        "checks": "checks",
                    },
                },
                "issue": self._after("regression-issue", {"contents": "read", "issues": "write"}),
                "pages": self._after(
                    "publish-pages",
                    {"pages": "write", "id-token": "write"},
                    "vars.MATRIXCI_PAGES == 'true'",
                ),
            },
        }
        file = self.tree / ".github" / "workflows" / "nightly.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(workflow, sort_keys=False))
        shutil.copyfile(self.toy.wheel, self.tree / self.toy.wheel.name)
        shutil.copyfile(self.toy.matrix, self.tree / "matrix.yaml")
        shutil.copytree(self.toy.checks, self.tree / "checks", dirs_exist_ok=True)
        commit = self.github.push(CALLER, self.tree)
        return Source(repository=CALLER, commit=commit, path=".github/workflows/nightly.yml")

    def _after(self, name: str, permissions: dict[str, str], *conditions: str) -> dict[str, object]:
        """Return a job that calls a workflow which uses the outputs of matrix.yml."""
        reported = "needs.matrix.outputs.reported == 'true'"
        return {
            "needs": "matrix",
            "if": " && ".join(["!cancelled()", reported, *conditions]),
            "uses": f"{MATRIXCI}/.github/workflows/{name}.yml@{self.matrixci}",
            "permissions": permissions,
        }

    def scheduled_run(
        self,
        source: Source,
        machines: list[Machine],
        counted: str | None = None,
        **variables: str,
    ) -> WorkflowRun:
        """Create a scheduled run."""
        event = "schedule"
        return WorkflowRun(self.github, source, event, machines, variables, counted=counted)

    def run_on_one_machine(self, source: Source) -> Path:
        """Run the same matrix with nox on one machine; return the folder of the run."""
        clone = self.toy.folder / "one-machine"
        self.github.clone(MATRIXCI, self.matrixci, clone / "matrixci")
        self.github.clone(source.repository, source.commit, clone / "caller")
        words = ["--subject", str(clone / "caller" / self.toy.wheel.name), "--fresh"]
        words += ["--matrix", str(clone / "caller" / "matrix.yaml")]
        words += ["--checks", str(clone / "caller" / "checks"), "--work-dir", str(clone / "home")]
        tools = [Path(sys.executable).parent, Path(uv.find_uv_bin()).parent]
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PATH": os.pathsep.join([*map(str, tools), os.environ["PATH"]]),
            "NOX_DEFAULT_VENV_BACKEND": "uv",
        }
        done = subprocess.run(
            [sys.executable, "-m", "nox", "-s", "matrix", "--", *words],
            cwd=clone / "matrixci",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return (clone / "home" / "runs" / "latest").resolve()


@pytest.fixture
def project(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the project of the toy on a new server, which also has this repository."""
    github = GitHub.create(tmp_path_factory.mktemp("github") / "server")
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True).stdout
    tree = github.folder / "tree"
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    return Project(github=github, toy=toy, matrixci=github.push(MATRIXCI, tree))


@pytest.fixture
def second_engine(
    tmp_path_factory: pytest.TempPathFactory, images: list[str]
) -> Iterator[OwnEngine]:
    """Return a second engine, with the images of the toy."""
    with own_engine(tmp_path_factory.mktemp("own"), images) as engine:
        yield engine


def machines(second: OwnEngine) -> list[Machine]:
    return [
        Machine(name="first"),
        Machine(name="second", environment={"DOCKER_HOST": second.host}),
    ]


def check_history(*workflow_runs: WorkflowRun) -> None:
    """Check that the history and the page of the last run contain all of these runs."""
    *_, last = workflow_runs
    runs = [read_run(workflow_run.artifacts.folder / "run").run for workflow_run in workflow_runs]
    assert {run.called_by for run in runs} == {Caller.PROGRAM}  # the caller has no noxfile
    with History.reading(last.artifacts.folder / "history" / "history.sqlite") as opened:
        assert [run.id for run in opened.runs()] == [run.id for run in runs]
    page = (last.artifacts.folder / "report.html" / "report.html").read_text()
    outcomes = ["passed", "failed"][: len(workflow_runs)]
    assert json.loads(DATA.findall(page)[0])["trends"][cell_id("other")][0] == outcomes


def test_three_scheduled_runs(project: Project, second_engine: OwnEngine) -> None:
    """A run that passes, one with a regression, and one in which it is fixed."""
    gates = {"gates": {"require": [{"mode": ["plain", "other"]}]}}
    good = project.push(WHOLE, MODES, **gates)
    first = project.scheduled_run(good, machines(second_engine), MATRIXCI_PAGES="true")
    assert first.run(), first.failures()
    assert first.jobs == dict.fromkeys(
        ["Plan", *map(cell_id, ("plain", "other", "gpu")), "Report", "Issue", "Pages"], "success"
    )
    assert "No scheduled run has succeeded yet" in first.step("Report", "Fetch the baseline").output
    assert "READY" in first.step("Report", "Show the report").summary
    assert project.github.issues == []
    assert (first.artifacts.folder / "github-pages" / "index.html").is_file()
    page = first.artifacts.folder / "report.html" / "report.html"
    assert "<html" in page.read_text()
    assert "Starting a new one" in first.step("Report", "Fetch the history").output
    check_history(first)

    # The second run: a check fails in one cell.
    second = project.scheduled_run(project.push(BROKEN, MODES, **gates), machines(second_engine))
    assert not second.run()
    assert second.jobs[cell_id("other")] == "failure"
    assert (second.jobs["Report"], second.jobs["Issue"]) == ("failure", "success")
    assert "Pages" not in second.jobs
    shown = second.step("Report", "Show the report")
    assert shown.output.startswith("::notice title=NOT READY::")
    assert "test_toy.py::test_answers" in shown.summary
    merged = second.artifacts.folder / "run"
    baseline = json.loads((merged / "report" / "report.json").read_text())["comparison"]
    assert baseline["before"] == read_run(first.artifacts.folder / "run").run.id
    (issue,) = project.github.issues
    assert issue["open"]
    assert "test_toy.py::test_answers" in issue["body"]
    assert f"actions/runs/{second.id}" in issue["body"]

    check_history(first, second)

    # Each cell has the same result as on one machine, although two engines ran them.
    merged_run = read_run(merged)
    assert merged_run.problems == ()
    ran = {one.machine for one in second.ran if one.step == "Run the cell"}
    assert ran == {"first", "second"}
    alone = project.run_on_one_machine(project.push(BROKEN, MODES, **gates))
    single_run = read_run(alone)
    assert {name: facts(one) for name, one in merged_run.results.items()} == {
        name: facts(one) for name, one in single_run.results.items()
    }
    assert outcomes_of_run(judge_folder(merged)) == outcomes_of_run(judge_folder(alone))
    outcomes = {name: one.outcome for name, one in merged_run.results.items()}
    assert outcomes == {
        cell_id("plain"): CellOutcome.PASSED,
        cell_id("other"): CellOutcome.FAILED,
        cell_id("gpu"): outcomes[cell_id("gpu")],
        cell_id("never"): CellOutcome.UNSATISFIABLE,
    }

    # The third run: the check is fixed, and the stored history is damaged.
    kept = second.artifacts.folder / "history" / "history.sqlite"
    kept.write_bytes(b"no database")
    third = project.scheduled_run(good, machines(second_engine))
    assert third.run(), third.failures()
    assert "is damaged" in third.step("Report", "Write the report").output
    check_history(third)
    (issue,) = project.github.issues
    assert not issue["open"]


def test_cell_of_a_lost_machine_is_missing(project: Project, second_engine: OwnEngine) -> None:
    modes = {"plain": {}, "lost": {"environment": {"TOY_SECONDS": "300"}}}
    source = project.push(WHOLE, modes, limits={"check-timeout": 600, "cell-timeout": 1200})
    workflow_run = project.scheduled_run(
        source,
        [
            Machine(name="first", takes="(?!.*lost).*"),
            Machine(
                name="second",
                environment={"DOCKER_HOST": second_engine.host},
                takes=".*lost",
                lost_at="running checks",
                on_loss=lambda: second_engine.end(signal.SIGKILL),
            ),
        ],
    )

    assert not workflow_run.run()

    assert workflow_run.jobs == {
        "Plan": "success",
        cell_id("plain"): "success",
        cell_id("lost"): "failure",
        "Report": "failure",
        "Issue": "success",
    }
    kept = [name for name in workflow_run.artifacts.names() if name.startswith("cell-")]
    assert [name.endswith(cell_id("plain")) for name in kept] == [True]
    judged = judge_folder(workflow_run.artifacts.folder / "run")
    assert judged.verdict is Verdict.NOT_READY
    assert {cell.cell.id: cell.result is None for cell in judged.cells} == {
        cell_id("plain"): False,
        cell_id("lost"): True,
    }
    assert any(cell_id("lost") in reason for reason in judged.reasons)
    shown = workflow_run.step("Report", "Show the report")
    assert shown.summary.startswith("# NOT READY")
    assert cell_id("lost") in shown.summary
    assert project.github.issues == []  # a lost machine says nothing about the subject


def test_thousand_cells_are_sharded_and_reported(project: Project) -> None:
    modes = {f"m{number}": {"environment": {"N": str(number)}} for number in range(1000)}
    source = project.push(WHOLE, modes)
    cells = ".github/workflows/cells.yml"
    workflow_run = project.scheduled_run(source, [Machine(name="only")], counted=cells)

    assert not workflow_run.run()

    assert workflow_run.counts == [256, 256, 256, 232]
    # No cell ran. All are reported as missing, within the size limit of a job summary.
    assert workflow_run.jobs == {"Plan": "success", "Report": "failure", "Issue": "success"}
    summary = workflow_run.step("Report", "Show the report").summary
    assert "1000 missing" in summary
    sizes = {
        name: len(value.encode("utf-16-le")) for name, value in workflow_run.outputs["plan"].items()
    }
    assert sum(sizes.values()) < 256 * 1024, sizes
