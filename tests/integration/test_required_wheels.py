"""Requirements with a URL in real cells, whose sources are deleted after the run has started."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine_state import docker
from factories import write_wheel
from fan_out import matrixci, plan, report, run_cell
from source_project import a_project, commit_all
from tiny_index import serving
from toy import PASSED, Toy

from matrixci.model import CellOutcome
from matrixci.runs.folder import read_run

CHECKS = {
    "test_toy.py": """
        import os

        def test_all_packages_are_installed():
            import toyfile, toyfolder, toygit, toysubject, toyurl
            assert toygit.COMMIT == os.environ["COMMIT"]
    """
}


@dataclass(frozen=True, kw_only=True)
class Sources:
    """A repository with two commits, a folder, a wheel and a wheel on a server."""

    folder: Path
    commits: dict[str, str]
    """Mapping of tag to commit."""

    def remove(self) -> None:
        shutil.rmtree(self.folder)


@pytest.fixture
def sources(toy: Toy) -> Iterator[Sources]:
    """Create the sources and a matrix that requires them."""
    folder = toy.folder / "sources"
    folder.mkdir()
    commits = {}
    for tag in ("first", "second"):
        project = a_project(folder / "toygit", "toygit", code=f"COMMIT = {tag!r}\n")
        commits[tag] = commit_all(project, tag)
    a_project(folder / "toyfolder", "toyfolder")
    file = write_wheel(folder, "toyfile-1.0", files={"toyfile.py": ""})
    served = write_wheel(folder, "toyurl-1.0", files={"toyurl.py": ""})
    modes = {
        tag: {
            "requires": f"toygit[extra] @ git+{folder.as_uri()}/toygit@{tag}",
            "environment": {"COMMIT": tag},
        }
        for tag in commits
    }
    with serving(folder) as address:
        url = address.replace("/simple", f"/files/{served.name}")
        requires = [
            f"toyfile @ {file.as_uri()} ; python_version >= '3.10'",
            f"toyfolder @ {folder.as_uri()}/toyfolder",
            f"toyurl @ {url}",
        ]
        toy.write(CHECKS, modes, requires=requires)
        yield Sources(folder=folder, commits=commits)


def test_own_wheels_are_installed_and_stored_with_the_run(toy: Toy, sources: Sources) -> None:
    with toy.command() as command:
        status = command.end()
    assert status == 0, command.stderr
    ran = toy.ended(toy.latest(), status)
    assert ran.outcomes == {"first": PASSED, "second": PASSED}
    wheels = ran.stored.run.own_wheels
    assert {wheel.commit for wheel in wheels if wheel.commit} == set(sources.commits.values())
    for tag, result in ran.cells.items():
        assert result.lock is not None
        lock = ran.file(result.lock.file)
        assert f"toygit@{sources.commits[tag]}\n" in lock
        (own,) = (wheel for wheel in wheels if wheel.commit == sources.commits[tag])
        assert f"--hash=sha256:{own.digest}" in lock

    sources.remove()
    first, second = ran.cells["first"], ran.cells["second"]
    assert first.image is not None
    docker("image", "rm", "--force", first.image.id)
    done = matrixci(toy, "reproduce", first.cell.id, "--work-dir", str(toy.work_dir))
    assert done.returncode == 0, done.stderr
    assert "rebuilding it from the stored lock" in done.stderr

    # Without its result, the cell is resolved again, from the wheels stored with the run.
    (ran.stored.folder / "cells" / f"{second.cell.id}.json").unlink()
    with toy.command("--resume") as resumed:
        status = resumed.end()
    assert status == 0, resumed.stderr
    again = toy.ended(ran.run, status).cells["second"]
    assert again.outcome is CellOutcome.PASSED
    assert again.lock is not None
    assert second.lock is not None
    assert again.lock.digest == second.lock.digest


def test_own_wheels_are_stored_with_a_plan(toy: Toy, sources: Sources) -> None:
    folder = plan(toy)
    sources.remove()
    shutil.rmtree(toy.folder / "planner")
    for tag in sources.commits:
        done = run_cell(toy, folder, tag)
        assert done.returncode == 0, done.stderr
        toy.stored_run(toy.folder / "back" / tag)
    done, merged = report(toy, folder)
    assert done.returncode == 0, done.stderr
    commits = {wheel.commit for wheel in read_run(merged).run.own_wheels}
    assert commits == {None, *sources.commits.values()}
    # The wheels of both commits have the same name.
    assert len(list(folder.glob("wheels/*/toygit-1.0-py3-none-any.whl"))) == 2
