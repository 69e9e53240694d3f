"""The git commit of a folder, for provenance."""

import subprocess
from pathlib import Path


def commit_of(folder: Path, *names: str) -> str | None:
    """Return the commit that is checked out in a folder, +dirty if tracked files are changed.

    Args:
        folder: the folder.
        names: files that the repository must track; default: any file below the folder.

    Returns:
        None if the folder is in no repository, or in one that does not track the files.
    """
    if not _git(folder, "ls-files", "--error-unmatch", "--", *names):
        return None
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}+dirty" if changed else commit


def time_of_commit(folder: Path) -> int | None:
    """Return the time of a folder's commit in seconds since 1970, or None if there is none.

    Args:
        folder: a folder in a repository that tracks its files.
    """
    seconds = _git(folder, "log", "-1", "--format=%ct")
    return int(seconds) if seconds and seconds.isdecimal() else None


def _git(folder: Path, *words: str) -> str | None:
    """Return the output of git in a folder, or None if it fails."""
    git = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
