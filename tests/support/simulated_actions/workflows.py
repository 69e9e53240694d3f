"""Workflow runs: jobs in order, with matrix jobs on several machines at once."""

import itertools
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from .expressions import as_text, interpolate
from .github import GitHub
from .machines import Machine, MachineLostError, Pool
from .steps import Job, Place, Ran, is_due, remove

_MOST_JOBS: Final = 256
_MOST_LEVELS: Final = 10
_RIGHTS: Final = {"none": 0, "read": 1, "write": 2}
_TOKEN: Final = "a-token"  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class Source:
    """Location of a workflow file."""

    repository: str
    commit: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a job."""

    result: str
    outputs: Mapping[str, str] = field(default_factory=dict)


class WorkflowRun:
    """A run of a workflow and of the workflows it calls."""

    def __init__(
        self,
        github: GitHub,
        source: Source,
        event: str,
        machines: Sequence[Machine],
        variables: Mapping[str, str],
        *,
        counted: str | None = None,
    ) -> None:
        self.ran: list[Ran] = []
        self.outputs: dict[str, Mapping[str, str]] = {}
        """Outputs of each job."""
        self.counts: list[int] = []
        """Number of jobs of each matrix in the workflow that is counted instead of run."""
        self.jobs: dict[str, str] = {}
        """Result of each job that ran, by name."""
        self._github = github
        self._source = source
        self._variables = variables
        self._counted = counted
        self._machines = Pool(machines)
        name = source.path.rpartition("/")[2]
        self.id, self.artifacts = github.begin(event, name)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._context = {
            "repository": source.repository,
            "sha": source.commit,
            "ref": "refs/heads/main",
            "event_name": event,
            "workflow": name,
            "workflow_ref": f"{source.repository}/{source.path}@refs/heads/main",
            "run_id": str(self.id),
            "server_url": "https://example.org",
            "actor": "someone",
            "token": _TOKEN,
        }

    def run(self) -> bool:
        """Run the workflow; return whether it succeeded."""
        results = self._call(self._source, {}, None, 0)
        success = all(one.result != "failure" for one in results.values())
        self._github.end(self.id, success=success)
        return success

    def step(self, job: str, step: str) -> Ran:
        """Return the result of a step."""
        (found,) = (one for one in self.ran if (one.job, one.step) == (job, step))
        return found

    def failures(self) -> str:
        """Return the output of failed steps."""
        failed = [one for one in self.ran if one.outcome == "failure"]
        return "\n\n".join(f"{one.job}: {one.step}\n{one.output[-3000:]}" for one in failed)

    def _call(
        self,
        source: Source,
        inputs: Mapping[str, Any],
        granted: Mapping[str, str] | None,
        level: int,
    ) -> dict[str, Result]:
        assert level < _MOST_LEVELS
        workflow = self.read(source)
        results: dict[str, Result] = {}
        for name, job in workflow["jobs"].items():
            needs = job.get("needs", [])
            needed = {one: results[one] for one in ([needs] if isinstance(needs, str) else needs)}
            contexts = {
                "github": self._context,
                "vars": self._variables,
                "inputs": inputs,
                "needs": {
                    one: {"result": result.result, "outputs": result.outputs}
                    for one, result in needed.items()
                },
                "always()": lambda: True,
                "cancelled()": lambda: False,
                "success()": lambda needed=needed: all(
                    one.result == "success" for one in needed.values()
                ),
                "failure()": lambda needed=needed: any(
                    one.result == "failure" for one in needed.values()
                ),
            }
            rights = _rights(name, workflow, job, granted)
            if not is_due(job.get("if"), contexts):
                results[name] = Result(result="skipped")
            elif "uses" in job:
                results[name] = self._call_each(source, job, contexts, rights, level)
            else:
                results[name] = self._run_each(source, workflow, job, contexts, rights)
            self.outputs[name] = results[name].outputs
        return results

    def read(self, source: Source) -> dict[str, Any]:
        """Read a workflow file at its commit."""
        git = ["git", f"--git-dir={self._github.repository(source.repository)}"]
        argv = [*git, "show", f"{source.commit}:{source.path}"]
        done = subprocess.run(argv, check=True, capture_output=True)
        return load(done.stdout)

    def _call_each(
        self,
        source: Source,
        job: Mapping[str, Any],
        contexts: Mapping[str, Any],
        rights: Mapping[str, str],
        level: int,
    ) -> Result:
        known = {"name", "needs", "if", "permissions", "strategy", "uses", "with"}
        assert not {*job} - known, {*job} - known
        called = _called(source, job["uses"])
        declared = (self.read(called)["on"]["workflow_call"] or {}).get("inputs", {})
        results: list[Result] = []
        outputs: dict[str, str] = {}
        for combination in combinations(job.get("strategy", {}), contexts):
            around = {**contexts, "matrix": combination}
            given = {key: interpolate(str(v), around) for key, v in job.get("with", {}).items()}
            done = self._call(called, _inputs(declared, given), rights, level + 1)
            results += done.values()
            outputs = _outputs(self.read(called), done)
        failed = any(one.result == "failure" for one in results)
        return Result(result="failure" if failed else "success", outputs=outputs)

    def _run_each(
        self,
        source: Source,
        workflow: Mapping[str, Any],
        job: Mapping[str, Any],
        contexts: Mapping[str, Any],
        rights: Mapping[str, str],
    ) -> Result:
        strategy = job.get("strategy", {})
        places = [
            Place(
                github=self._github,
                artifacts=self.artifacts,
                permissions=rights,
                contexts={
                    **contexts,
                    "matrix": combination,
                    "job": {
                        "workflow_repository": source.repository,
                        "workflow_sha": source.commit,
                    },
                },
                folder=self.artifacts.folder.parent / f"job-{self.id}-{next(self._numbers)}",
                tools=self._github.folder / "tools",
            )
            for combination in combinations(strategy, contexts)
        ]
        if source.path == self._counted:
            self.counts.append(len(places))
            return Result(result="success")
        most = int(interpolate(str(strategy.get("max-parallel", 1)), contexts))
        with ThreadPoolExecutor(min(most, self._machines.size)) as pool:
            results = list(pool.map(lambda place: self._run_one(workflow, job, place), places))
        failed = any(one.result == "failure" for one in results)
        tolerated = job.get("continue-on-error", False)
        return Result(
            result="failure" if failed and not tolerated else "success",
            outputs=results[-1].outputs,
        )

    def _run_one(self, workflow: Mapping[str, Any], job: Mapping[str, Any], place: Place) -> Result:
        name = as_text(interpolate(job["name"], place.contexts))
        assert interpolate(str(job["runs-on"]), place.contexts)
        machine = self._machines.take(name)
        running = Job(name, job, workflow["defaults"], place)
        try:
            success = running.run(machine)
        except MachineLostError:
            success = False
        else:
            self._machines.give(machine)
        with self._lock:
            self.ran += running.ran
            self.jobs[name] = "success" if success else "failure"
        remove(place.folder)
        return Result(result="success" if success else "failure", outputs=dict(running.outputs))


def load(text: bytes | str) -> dict[str, Any]:
    """Parse a workflow file."""
    found = yaml.safe_load(text)
    # YAML 1.1 reads `on` as true.
    return {"on" if name is True else name: value for name, value in found.items()}


def combinations(strategy: Mapping[str, Any], contexts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the combinations of a matrix, or one empty combination without a matrix."""
    if not strategy:
        return [{}]
    assert strategy["fail-fast"] is False
    axes = {
        key: interpolate(value, contexts) if isinstance(value, str) else value
        for key, value in strategy["matrix"].items()
    }
    assert all(axes.values()), "every key of a matrix must have a value"
    included = axes.pop("include", [])
    products = [
        dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    ]
    found = [*(products if axes else []), *included]
    assert len(found) <= _MOST_JOBS, f"{len(found)} jobs in one matrix"
    return found


def _called(source: Source, uses: str) -> Source:
    if uses.startswith("$/"):
        return Source(repository=source.repository, commit=source.commit, path=uses[2:])
    found = re.fullmatch(r"([^/]+/[^/]+)/(.+)@([0-9a-f]{40})", uses)
    assert found, f"not pinned to a commit: {uses}"
    return Source(repository=found[1], commit=found[3], path=found[2])


def _inputs(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    assert {*given} <= {*declared}, {*given} - {*declared}
    missing = [name for name, one in declared.items() if one.get("required") and name not in given]
    assert not missing, missing
    empty = {"string": "", "number": 0, "boolean": False}
    found = {}
    for name, one in declared.items():
        value = given.get(name)
        kind = one["type"]
        if value is None:
            found[name] = one.get("default", empty[kind])
        else:
            assert kind != "number" or isinstance(value, int), (name, value)
            found[name] = as_text(value) if kind == "string" else value
    return found


def _outputs(workflow: Mapping[str, Any], jobs: Mapping[str, Result]) -> dict[str, str]:
    """Return the outputs of a called workflow, even if one of its jobs failed."""
    declared = (workflow["on"]["workflow_call"] or {}).get("outputs", {})
    contexts = {"jobs": {name: {"outputs": one.outputs} for name, one in jobs.items()}}
    return {name: as_text(interpolate(one["value"], contexts)) for name, one in declared.items()}


def _rights(
    name: str,
    workflow: Mapping[str, Any],
    job: Mapping[str, Any],
    granted: Mapping[str, str] | None,
) -> dict[str, str]:
    """Return the permissions of a job, which cannot exceed those of its caller."""
    requested: dict[str, str] = job.get("permissions", workflow.get("permissions", granted or {}))
    for scope, right in requested.items():
        most = "write" if granted is None else granted.get(scope, "none")
        assert _RIGHTS[right] <= _RIGHTS[most], f"the job {name} requests {scope}: {right}"
    return dict(requested)
