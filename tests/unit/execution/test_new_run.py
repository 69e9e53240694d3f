import subprocess
from pathlib import Path

from matrixci.execution.new_run import own_commit


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_only_the_repository_that_tracks_the_package_gives_its_commit(tmp_path: Path) -> None:
    package = tmp_path / "matrixci"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (tmp_path / "own.py").write_text("")
    assert own_commit(package) is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "own.py")
    git(tmp_path, "commit", "--quiet", "--message=one")
    assert own_commit(package) is None
    git(tmp_path, "add", "matrixci")
    git(tmp_path, "commit", "--quiet", "--message=two")
    assert len(own_commit(package) or "") == 40
