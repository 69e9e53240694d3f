"""Run imports during the build of an image, so that the image contains their bytecode.

Usage: precompile.py STATEMENT... | precompile.py --file FILE (one statement per line)

The root file system of a cell is read-only, so modules without bytecode are compiled in every
process. Compiling only imported modules takes a quarter of the time of compiling all files. A
statement that fails or crashes does not fail the build: the checks will report it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TIME_LIMIT = 600


def main(arguments: list[str]) -> None:
    """Run all statements in one interpreter; if that fails, run each in its own."""
    if arguments[:1] == ["--file"]:
        arguments = Path(arguments[1]).read_text(encoding="utf-8").splitlines()
    statements = [line for line in arguments if line.strip()]
    if statements and not run("\n".join(statements)):
        for statement in statements:
            run(statement)


def run(code: str) -> bool:
    """Run code in a new interpreter that writes bytecode; return whether it succeeded."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "TMPDIR": home, "PYTHONWARNINGS": "ignore"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            status = subprocess.run(  # noqa: S603
                [sys.executable, "-c", code], env=environment, timeout=TIME_LIMIT, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
    if status != 0:
        print(f"precompile: failed to run {code!r}", flush=True)  # noqa: T201
    return status == 0


main(sys.argv[1:])
