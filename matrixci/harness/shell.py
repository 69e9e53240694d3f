"""Open a shell in a cell's container, with the command `check` on its PATH.

Usage: python shell.py
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

HARNESS: Final = Path(__file__).resolve().parent
USER: Final = "matrixci"  # the container's user is not in passwd, which is read-only


def environment(cell: str, commands: Path) -> dict[str, str]:
    """Return the environment of the shell.

    Args:
        cell: id of the cell, shown in the prompt.
        commands: folder with the command `check`.
    """
    prompt = re.sub(r"[^\w.+-]", "?", cell)  # a shell expands variables in its prompt
    return {
        **os.environ,
        "PATH": f"{commands}:{os.environ.get('PATH', os.defpath)}",
        "PS1": f"{prompt}$ ",
        "USER": USER,
        "LOGNAME": USER,
    }


def write_command(folder: Path) -> None:
    """Write the command `check` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = shlex.join([sys.executable, str(HARNESS / "check.py")])
    path = folder / "check"
    path.write_text(f'#!/bin/sh\nexec {argv} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def main() -> None:
    """Replace this process with the shell."""
    cell = json.loads((HARNESS.parent / "cell.json").read_text(encoding="utf-8"))
    commands = Path(os.environ.get("HOME", "/tmp")) / "bin"  # noqa: S108
    write_command(commands)
    # No start-up files, because they would set another prompt.
    argv = ["bash", "--noprofile", "--norc"] if shutil.which("bash") else ["sh"]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ignored by Python, but needed by shells
    os.execvpe(argv[0], argv, environment(cell["cell"], commands))  # noqa: S606


if __name__ == "__main__":
    main()
