"""A simulated server with repositories, workflow runs and issues, and a gh program for it."""

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .artifacts import Artifacts


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """A server whose data is in a folder."""

    folder: Path

    @property
    def program(self) -> Path:
        """The folder with gh, for PATH."""
        return self.folder / "bin"

    @classmethod
    def create(cls, folder: Path) -> "GitHub":
        """Create an empty server."""
        (folder / "bin").mkdir(parents=True)
        gh = folder / "bin" / "gh"
        here = Path(__file__).resolve().parents[1]
        code = f"import sys; sys.path.insert(0, {str(here)!r})"
        code += "; from simulated_actions.github import main; main()"
        words = shlex.join([sys.executable, "-I", "-c", code, str(folder)])
        gh.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
        (folder / "runs.json").write_text("[]")
        (folder / "issues.json").write_text("[]")
        return cls(folder=folder)

    def push(self, repository: str, tree: Path) -> str:
        """Commit all files of a folder to a repository; return the commit."""
        place = self.repository(repository)
        git = ["git", f"--git-dir={place}", f"--work-tree={tree}"]
        git += ["-c", "user.name=tests", "-c", "user.email=tests@localhost"]
        if not place.exists():
            subprocess.run(["git", "init", "--quiet", "--bare", place], check=True)
        subprocess.run([*git, "add", "--all", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "state"], check=True)
        done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
        return done.stdout.decode().strip()

    def repository(self, name: str) -> Path:
        return self.folder / "repositories" / f"{name}.git"

    def clone(self, repository: str, ref: str, target: Path) -> None:
        """Check out a commit into a new folder."""
        place = self.repository(repository)
        subprocess.run(["git", "clone", "--quiet", "--no-local", place, target], check=True)
        subprocess.run(["git", "-C", target, "checkout", "--quiet", "--detach", ref], check=True)

    def begin(self, event: str, workflow: str) -> tuple[int, Artifacts]:
        """Create a run of a workflow; return its id and its artifacts."""
        runs = self.read("runs")
        number = 1000 + len(runs)
        runs.append({"id": number, "event": event, "workflow": workflow, "status": "running"})
        self._write("runs", runs)
        return number, Artifacts(self.folder / "artifacts" / str(number))

    def end(self, number: int, *, success: bool) -> None:
        runs = self.read("runs")
        runs[number - 1000]["status"] = "success" if success else "failure"
        self._write("runs", runs)

    @property
    def issues(self) -> list[dict[str, Any]]:
        return self.read("issues")

    def read(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def _write(self, name: str, data: list[dict[str, Any]]) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(data))

    def gh(self, words: list[str], stdin: str) -> str:
        """Run a gh command; commands that the workflows do not use fail."""
        issues = self.issues
        match words:
            case ["run", "list", *options]:
                return self._list_runs(options)
            case ["run", "download", number, "--name", name, "--dir", target]:
                shutil.copytree(self.folder / "artifacts" / number / name, target)
                return ""
            case ["issue", "list", "--label", label, "--state", "open", "--limit", "1000",
                  "--json", "number,body"]:  # fmt: skip
                return json.dumps(
                    [
                        {"number": one["number"], "body": one["body"]}
                        for one in issues
                        if one["open"] and one["label"] == label
                    ]
                )
            case ["label", "create", _, "--force", "--description", _]:
                return ""
            case ["issue", "create", "--title", title, "--label", label, "--body-file", "-"]:
                number = str(len(issues) + 1)
                issue = {"number": int(number), "title": title, "body": stdin, "label": label}
                self._write("issues", [*issues, {**issue, "open": True, "comments": []}])
                return f"https://example.org/issues/{number}\n"
            case ["issue", "edit", number, "--title", title, "--body-file", "-"]:
                issues[int(number) - 1] |= {"title": title, "body": stdin}
            case ["issue", "comment", number, "--body-file", "-"]:
                issues[int(number) - 1]["comments"].append(stdin)
            case ["issue", "close", number, "--comment", comment]:
                issues[int(number) - 1]["comments"].append(comment)
                issues[int(number) - 1]["open"] = False
            case _:
                msg = f"unsupported gh command: {words}"
                raise SystemExit(msg)
        self._write("issues", issues)
        return ""

    def _list_runs(self, options: list[str]) -> str:
        """Return the ids of runs, newest first."""
        match options:
            case ["--workflow", workflow, "--event", event, "--status", status,
                  "--limit", limit, "--json", "databaseId", "--jq", ".[].databaseId"]:  # fmt: skip
                wanted = {"workflow": workflow, "event": event, "status": status}
            case ["--workflow", workflow, "--event", event,
                  "--limit", limit, "--json", "databaseId", "--jq", ".[].databaseId"]:  # fmt: skip
                wanted = {"workflow": workflow, "event": event}
            case _:
                msg = f"unsupported options of gh run list: {options}"
                raise SystemExit(msg)
        found = [one for one in self.read("runs") if wanted.items() <= one.items()]
        return "".join(f"{one['id']}\n" for one in found[::-1][: int(limit)])


def main() -> None:
    folder, *words = sys.argv[1:]
    right = {"run": ("actions", "read"), "issue": ("issues", "write"), "label": ("issues", "write")}
    scope, least = right[words[0]]
    rights = json.loads(os.environ["SIMULATED_PERMISSIONS"])
    if not os.environ.get("GH_TOKEN") or rights.get(scope) not in {least, "write"}:
        msg = f"HTTP 403: resource not accessible by integration: {words}"
        raise SystemExit(msg)
    stdin = sys.stdin.read() if "--body-file" in words else ""
    sys.stdout.write(GitHub(folder=Path(folder)).gh(words, stdin))
