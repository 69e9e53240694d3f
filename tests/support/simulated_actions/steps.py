"""The steps of one job on one machine, in a new workspace."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uv

from .artifacts import ActionError, Artifacts
from .expressions import STATUS, as_text, evaluate, interpolate, is_true, names_in
from .github import GitHub
from .machines import Machine, MachineLostError

_LARGEST: Final = 1024 * 1024
"""Maximum size in bytes of a step summary, and of job outputs in UTF-16."""
_MOST_ANNOTATIONS: Final = 10
_SECONDS: Final = 900.0
_OWN: Final = ("GITHUB_", "MATRIXCI_", "NOX_", "RUNNER_", "COV_", "PYTEST_")
_OURS: Final = frozenset({"PYTHONPATH", "VIRTUAL_ENV", "DOCKER_HOST"})
_PAIR: Final = re.compile(r"([\w-]+)=(.*)")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """Result of a step."""

    job: str
    step: str
    machine: str
    outcome: str
    seconds: float
    output: str = ""
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Surroundings of a job: the server, the artifacts of the run, and its permissions."""

    github: GitHub
    artifacts: Artifacts
    permissions: Mapping[str, str]
    contexts: Mapping[str, Any]
    folder: Path
    tools: Path
    """Software installed on the machines, one folder for each."""


class Job:
    """A running job."""

    def __init__(
        self, name: str, job: Mapping[str, Any], defaults: Mapping[str, Any], place: Place
    ) -> None:
        self.name = name
        self.ran: list[Ran] = []
        self.outputs: dict[str, str] = {}
        self._job = job
        self._defaults = defaults
        self._place = place
        self._steps: dict[str, dict[str, Any]] = {}
        self._failed = False
        self._workspace = place.folder / "workspace"
        self._temporary = place.folder / "temporary"
        self._paths: list[Path] = [place.github.program, Path(uv.find_uv_bin()).parent]

    def run(self, machine: Machine) -> bool:
        """Run all steps; return whether the job succeeded.

        Raises:
            MachineLostError: it is gone; what the job left is gone with it.
        """
        self._workspace.mkdir(parents=True)
        self._temporary.mkdir()
        for number, step in enumerate(self._job["steps"]):
            self._step(number, step, machine)
        contexts = self._contexts()
        for name, value in self._job.get("outputs", {}).items():
            self.outputs[name] = as_text(interpolate(value, contexts))
        size = sum(len(value.encode("utf-16-le")) for value in self.outputs.values())
        assert size <= _LARGEST, f"{self.name}: its outputs have {size} bytes"
        return not self._failed

    def _contexts(self) -> dict[str, Any]:
        return {
            **self._place.contexts,
            "steps": self._steps,
            "runner": {"temp": str(self._temporary), "os": "Linux"},
            "always()": lambda: True,
            "success()": lambda: not self._failed,
            "failure()": lambda: self._failed,
            "cancelled()": lambda: False,
        }

    def _step(self, number: int, step: Mapping[str, Any], machine: Machine) -> None:
        known = {"name", "id", "if", "uses", "with", "run", "env", "working-directory"}
        assert not {*step} - known, {*step} - known
        contexts = self._contexts()
        began = time.monotonic()
        outputs: dict[str, str] = {}
        outcome = "skipped"
        output, summary = "", ""
        if is_due(step.get("if"), contexts):
            texts = _texts(step.get("env", {}), contexts)
            environment = self._environment(machine, number, texts)
            try:
                if "uses" in step:
                    outputs = self._use(step, contexts, environment, machine)
                else:
                    output = self._run(step, number, environment, machine)
                    outputs = self._outputs(environment)
                    summary = Path(environment["GITHUB_STEP_SUMMARY"]).read_text()
                outcome = "success"
            except ActionError as error:
                self._failed = True
                outcome, output = "failure", str(error)
                if "run" in step:
                    outputs = self._outputs(environment)
        check_annotations(output)
        assert len(summary.encode()) <= _LARGEST, f"{step['name']}: the summary is too large"
        self.ran.append(
            Ran(
                job=self.name,
                step=step["name"],
                machine=machine.name,
                outcome=outcome,
                seconds=time.monotonic() - began,
                output=output,
                summary=summary,
            )
        )
        if "id" in step:
            self._steps[step["id"]] = {"outputs": outputs, "outcome": outcome}

    def _environment(
        self, machine: Machine, number: int, texts: Mapping[str, str]
    ) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OWN) and name not in _OURS
        }
        files = self._place.folder / "files" / str(number)
        files.mkdir(parents=True)
        for name in ("output", "summary"):
            (files / name).touch()
        github = self._place.contexts["github"]
        return {
            **inherited,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": github["repository"],
            "GITHUB_WORKSPACE": str(self._workspace),
            "GITHUB_OUTPUT": str(files / "output"),
            "GITHUB_STEP_SUMMARY": str(files / "summary"),
            "RUNNER_TEMP": str(self._temporary),
            "PATH": os.pathsep.join([*map(str, self._paths), inherited["PATH"]]),
            "NOX_DEFAULT_VENV_BACKEND": "uv",  # creates the environment of each clone quickly
            "SIMULATED_MACHINE": f"{self._place.folder.parent}/{machine.name}",
            "SIMULATED_PERMISSIONS": json.dumps(dict(self._place.permissions)),
            **machine.environment,
            **texts,
        }

    def _run(
        self,
        step: Mapping[str, Any],
        number: int,
        environment: Mapping[str, str],
        machine: Machine,
    ) -> str:
        """Run a script and return its output.

        Raises:
            ActionError: it failed.
            MachineLostError: The machine was lost during the script.
        """
        assert self._defaults["run"] == {"shell": "bash"}
        script, log = (self._place.folder / "files" / str(number) / name for name in ("run", "log"))
        script.write_text(str(step["run"]))
        argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        cwd = self._workspace / step.get("working-directory", "")
        with (
            log.open("wb") as file,
            subprocess.Popen(argv, stdout=file, stderr=file, cwd=cwd, env=environment) as process,
        ):
            try:
                _wait(process, log, machine)
            except BaseException:
                _kill_all(environment["SIMULATED_MACHINE"])
                process.kill()
                raise
        printed = log.read_text(errors="replace")
        if process.returncode != 0:
            msg = f"{printed}\n(exit status {process.returncode})"
            raise ActionError(msg)
        return printed

    def _outputs(self, environment: Mapping[str, str]) -> dict[str, str]:
        lines = Path(environment["GITHUB_OUTPUT"]).read_text().splitlines()
        pairs = [_PAIR.fullmatch(line) for line in lines]
        assert all(pairs), lines
        return {pair[1]: pair[2] for pair in pairs if pair}

    def _use(
        self,
        step: Mapping[str, Any],
        contexts: Mapping[str, Any],
        environment: Mapping[str, str],
        machine: Machine,
    ) -> dict[str, str]:
        """Run an action; an unsupported action fails the test."""
        inputs = _texts(step.get("with", {}), contexts)
        action, _, commit = str(step["uses"]).partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}", commit), step["uses"]
        match action:
            case "actions/checkout":
                self._check_out(inputs)
            case "actions/setup-python":
                self._set_up_python(inputs, self._place.tools / machine.name)
            case "actions/upload-artifact":
                self._place.artifacts.upload(inputs, self._workspace)
            case "actions/download-artifact":
                self._place.artifacts.download(inputs, environment, self._workspace)
            case "actions/upload-pages-artifact":
                site = {"name": "github-pages", "path": inputs["path"]}
                self._place.artifacts.upload(site, self._workspace)
            case "actions/deploy-pages":
                assert self._may("pages", "write")
                assert self._may("id-token", "write")
                assert "github-pages" in self._place.artifacts.names()
                return {"page_url": "https://example.org/"}
            case _:
                msg = f"unsupported action: {action}"
                raise AssertionError(msg)
        return {}

    def _may(self, scope: str, right: str) -> bool:
        return self._place.permissions.get(scope) in {right, "write"}

    def _check_out(self, inputs: Mapping[str, str]) -> None:
        assert {*inputs} <= {"repository", "ref", "path", "persist-credentials", "fetch-depth"}
        assert inputs["persist-credentials"] == "false"
        assert self._may("contents", "read")
        github = self._place.contexts["github"]
        repository = inputs.get("repository", github["repository"])
        ref = inputs["ref"] if "repository" in inputs else github["sha"]
        self._place.github.clone(repository, ref, self._workspace / inputs["path"])

    def _set_up_python(self, inputs: Mapping[str, str], python: Path) -> None:
        # Always the Python that runs the tests. It stays installed on the machine.
        assert {*inputs} == {"python-version"}
        if not python.exists():
            argv = [uv.find_uv_bin(), "venv", "--quiet", "--seed", "--python", sys.executable]
            subprocess.run([*argv, str(python)], check=True)
        self._paths.insert(0, python / "bin")


def is_due(condition: object, contexts: Mapping[str, Any]) -> bool:
    """Return whether a step or a job runs."""
    if condition is None:
        return is_true(contexts["success()"]())
    source = str(condition).strip()
    source = source.removeprefix("${{").removesuffix("}}") if source.startswith("${{") else source
    if not names_in(source) & STATUS and not contexts["success()"]():
        return False
    return is_true(evaluate(source, contexts))


def check_annotations(output: str) -> None:
    """Check that a step has no more annotations than are shown."""
    for kind in ("error", "warning", "notice"):
        count = len(re.findall(rf"^::{kind}\b", output, re.MULTILINE))
        assert count <= _MOST_ANNOTATIONS, f"{count} annotations of kind {kind}"


def _texts(values: Mapping[str, object], contexts: Mapping[str, Any]) -> dict[str, str]:
    return {name: as_text(interpolate(_plain(one), contexts)) for name, one in values.items()}


def _plain(value: object) -> str:
    return as_text(value) if isinstance(value, bool) else str(value)


def _wait(process: "subprocess.Popen[bytes]", log: Path, machine: Machine) -> None:
    end = time.monotonic() + _SECONDS
    while process.poll() is None:
        assert time.monotonic() < end, log.read_text(errors="replace")
        if machine.lost_at is not None and machine.lost_at in log.read_text(errors="replace"):
            machine.on_loss()
            raise MachineLostError(machine.name)
        time.sleep(0.1)


def _kill_all(mark: str) -> None:
    """Kill all processes of a machine, in any group or session."""
    wanted = f"SIMULATED_MACHINE={mark}\0".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in path.read_bytes() + b"\0":
                os.kill(int(path.parent.name), signal.SIGKILL)


def remove(folder: Path) -> None:
    """Remove the folder of a job."""
    shutil.rmtree(folder)
