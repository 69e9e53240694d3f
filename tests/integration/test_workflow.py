"""The workflow as GitHub would run it: a toy's repository calls it, machines have engines apart."""

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
from own_engine import OwnEngine, own_engine
from simulated_actions.github import GitHub
from simulated_actions.machines import Machine
from simulated_actions.workflows import Source, WorkflowRun
from toy import PYTHON, Toy

from matrixci.history.store import History
from matrixci.model import CellOutcome
from matrixci.runs.folder import read_run
from matrixci.util.invocation import Caller
from matrixci.verdict.judged import Verdict
from matrixci.verdict.load import judge_folder

from .test_fan_out import as_told, facts

ROOT = Path(__file__).parents[2]
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
MATRIXCI, CALLER = "owner/matrixci", "someone/toy"
WHOLE = """
    import os
    import time
    import toysubject

    TOY = os.environ.get("TOY")  # what pytest shows of os.environ has the host's name

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


def cell_id(mode: str) -> str:
    return f"py{PYTHON}-mode-{mode}"


@dataclass(frozen=True, kw_only=True)
class Project:
    """The toy's repository on a server where matrixci is, too, as it is here."""

    github: GitHub
    toy: Toy
    matrixci: str
    """its commit"""

    @property
    def tree(self) -> Path:
        return self.toy.folder / "project"

    def push(
        self,
        checks: str,
        modes: dict[str, dict[str, Any]],
        **more: object,
    ) -> Source:
        """Push a state of the toy's repository, with a workflow that calls matrixci's."""
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
        """Return a job that calls one of the workflows for what matrix.yml leaves."""
        reported = "needs.matrix.outputs.reported == 'true'"
        return {
            "needs": "matrix",
            "if": " && ".join(["!cancelled()", reported, *conditions]),
            "uses": f"{MATRIXCI}/.github/workflows/{name}.yml@{self.matrixci}",
            "permissions": permissions,
        }

    def night(
        self,
        source: Source,
        machines: list[Machine],
        counted: str | None = None,
        **variables: str,
    ) -> WorkflowRun:
        """Begin a scheduled run."""
        event = "schedule"
        return WorkflowRun(self.github, source, event, machines, variables, counted=counted)

    def on_one_machine(self, source: Source) -> Path:
        """Run the same by `nox -s matrix` on one machine, in a fresh clone; return the run."""
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
    """Return the toy's project on a server of its own, where this repository is, too."""
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
    """Return an engine beside the one that all use, with the toy's images."""
    with own_engine(tmp_path_factory.mktemp("own"), images) as engine:
        yield engine


def machines(second: OwnEngine) -> list[Machine]:
    return [
        Machine(name="first"),
        Machine(name="second", environment={"DOCKER_HOST": second.host}),
    ]


def hold_history(*nights: WorkflowRun) -> None:
    """Hold the last of these nights to a history, and a page, of them all."""
    *_, last = nights
    runs = [read_run(night.artifacts.folder / "run").run for night in nights]
    assert {run.called_by for run in runs} == {Caller.PROGRAM}  # the caller has no noxfile
    with History.reading(last.artifacts.folder / "history" / "history.sqlite") as opened:
        assert [run.id for run in opened.runs()] == [run.id for run in runs]
    page = (last.artifacts.folder / "report.html" / "report.html").read_text()
    told = ["passed", "failed"][: len(nights)]
    assert json.loads(DATA.findall(page)[0])["trends"][cell_id("other")][0] == told


def test_nights(project: Project, second_engine: OwnEngine) -> None:
    """A night that is well, one with a regression, and one after which all is well again."""
    gates = {"gates": {"require": [{"mode": ["plain", "other"]}]}}
    good = project.push(WHOLE, MODES, **gates)
    first = project.night(good, machines(second_engine), MATRIXCI_PAGES="true")
    assert first.run(), first.failures()
    assert first.jobs == dict.fromkeys(
        ["Plan", *map(cell_id, ("plain", "other", "gpu")), "Report", "Issue", "Pages"], "success"
    )
    assert "No scheduled run has succeeded" in first.step("Report", "Fetch the baseline").output
    assert "READY" in first.step("Report", "Show").summary
    assert project.github.issues == []
    assert (first.artifacts.folder / "github-pages" / "index.html").is_file()
    page = first.artifacts.folder / "report.html" / "report.html"
    assert "<html" in page.read_text()
    assert "A new one is started" in first.step("Report", "Fetch the history").output
    hold_history(first)

    # The second night: a check begins to fail in one cell.
    second = project.night(project.push(BROKEN, MODES, **gates), machines(second_engine))
    assert not second.run()
    assert second.jobs[cell_id("other")] == "failure"
    assert (second.jobs["Report"], second.jobs["Issue"]) == ("failure", "success")
    assert "Pages" not in second.jobs
    told = second.step("Report", "Show")
    assert told.output.startswith("::notice title=NOT READY::")
    assert "test_toy.py::test_answers" in told.summary
    merged = second.artifacts.folder / "run"
    baseline = json.loads((merged / "report" / "report.json").read_text())["comparison"]
    assert baseline["before"] == read_run(first.artifacts.folder / "run").run.id
    (issue,) = project.github.issues
    assert issue["open"]
    assert "test_toy.py::test_answers" in issue["body"]
    assert f"actions/runs/{second.id}" in issue["body"]

    hold_history(first, second)

    # Cell by cell it is what one machine comes to, though two engines ran it.
    there = read_run(merged)
    assert there.problems == ()
    ran = {one.machine for one in second.ran if one.step == "Run the cell"}
    assert ran == {"first", "second"}
    alone = project.on_one_machine(project.push(BROKEN, MODES, **gates))
    here = read_run(alone)
    assert {name: facts(one) for name, one in there.results.items()} == {
        name: facts(one) for name, one in here.results.items()
    }
    assert as_told(judge_folder(merged)) == as_told(judge_folder(alone))
    outcomes = {name: one.outcome for name, one in there.results.items()}
    assert outcomes == {
        cell_id("plain"): CellOutcome.PASSED,
        cell_id("other"): CellOutcome.FAILED,
        cell_id("gpu"): outcomes[cell_id("gpu")],
        cell_id("never"): CellOutcome.UNSATISFIABLE,
    }

    # The third night: mended; and the history that it finds is damaged.
    kept = second.artifacts.folder / "history" / "history.sqlite"
    kept.write_bytes(b"no database")
    third = project.night(good, machines(second_engine))
    assert third.run(), third.failures()
    assert "is damaged" in third.step("Report", "Judge").output
    hold_history(third)
    (issue,) = project.github.issues
    assert not issue["open"]


def test_a_machine_that_is_lost_leaves_its_cell_missing(
    project: Project, second_engine: OwnEngine
) -> None:
    modes = {"plain": {}, "lost": {"environment": {"TOY_SECONDS": "300"}}}
    source = project.push(WHOLE, modes, limits={"check-timeout": 600, "cell-timeout": 1200})
    night = project.night(
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

    assert not night.run()

    assert night.jobs == {
        "Plan": "success",
        cell_id("plain"): "success",
        cell_id("lost"): "failure",
        "Report": "failure",
        "Issue": "success",
    }
    kept = [name for name in night.artifacts.names() if name.startswith("cell-")]
    assert [name.endswith(cell_id("plain")) for name in kept] == [True]
    judged = judge_folder(night.artifacts.folder / "run")
    assert judged.verdict is Verdict.NOT_READY
    assert {cell.cell.id: cell.result is None for cell in judged.cells} == {
        cell_id("plain"): False,
        cell_id("lost"): True,
    }
    assert any(cell_id("lost") in reason for reason in judged.reasons)
    shown = night.step("Report", "Show")
    assert shown.summary.startswith("# NOT READY")
    assert cell_id("lost") in shown.summary
    assert project.github.issues == []  # a lost machine says nothing of the subject


def test_a_thousand_cells_are_sharded_and_reported(project: Project) -> None:
    modes = {f"m{number}": {"environment": {"N": str(number)}} for number in range(1000)}
    source = project.push(WHOLE, modes)
    cells = ".github/workflows/cells.yml"
    night = project.night(source, [Machine(name="only")], counted=cells)

    assert not night.run()

    assert night.counts == [256, 256, 256, 232]
    # None of them ran: all are missing, which is said within what a summary may have.
    assert night.jobs == {"Plan": "success", "Report": "failure", "Issue": "success"}
    summary = night.step("Report", "Show").summary
    assert "1000 missing" in summary
    told = {name: len(value.encode("utf-16-le")) for name, value in night.outputs["plan"].items()}
    assert sum(told.values()) < 256 * 1024, told
