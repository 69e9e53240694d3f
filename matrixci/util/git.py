"""The commit of what lies in a folder, for provenance."""

import subprocess
from pathlib import Path


def commit_of(folder: Path, *names: str) -> str | None:
    """Return the commit that is checked out in a folder, +dirty where tracked files are changed.

    Args:
        folder: the folder.
        names: files in it that the repository must track; left out: any file below the folder.

    Returns:
        None where the repository around the folder, if there is one, does not track the files: it
        is not theirs.
    """
    if not _git(folder, "ls-files", "--error-unmatch", "--", *names):
        return None
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}+dirty" if changed else commit


def time_of_commit(folder: Path) -> int | None:
    """Return when the commit in a folder was made, in seconds since 1970; None where there is none.

    Args:
        folder: a folder of which the repository around it tracks files.
    """
    seconds = _git(folder, "log", "-1", "--format=%ct")
    return int(seconds) if seconds and seconds.isdecimal() else None


def _git(folder: Path, *words: str) -> str | None:
    """Return what git prints in a folder, None where it fails."""
    git = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
