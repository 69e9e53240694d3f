"""A minimal root file system of this machine's own Debian or Ubuntu release."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matrixci.errors import BaseImageError
from matrixci.util.invocation import called
from matrixci.util.redaction import redact
from matrixci.util.subprocesses import run_process

ROOT_PACKAGES: Final = ("netbase", "tzdata")
"""Installed in addition to the minimal system."""
_EXCLUDED: Final = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "dev",
    "proc",
    "sys",
    "etc/resolv.conf",
)
_SECONDS: Final = 900.0
_LAST_LINES: Final = 8


async def make_root(release: str, folder: Path, log: Path) -> Path:
    """Create the root file system of a release; return it as a tar archive.

    Args:
        release: codename of this machine's release.
        folder: an empty folder to work in.
        log: the file to append the output of the commands to.

    Raises:
        BaseImageError: debootstrap is missing or failed, or this process does not run as root.
    """
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        msg = (
            "No registry answers, and a base image cannot be assembled here: debootstrap and "
            f"root are needed.\nRun {called('matrix', '--install-engine')} as root, or name a "
            "registry's images under base: in matrix.yaml."
        )
        raise BaseImageError(msg)
    root, archive = folder / "root", folder / "root.tar"
    mirror, keyring = await package_source(release)
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(ROOT_PACKAGES)}"]
    argv += [f"--keyring={keyring}"] if keyring else []
    await run_logged([*argv, release, str(root), mirror], log)
    exclude = [f"--exclude=./{path}/*" for path in _EXCLUDED]
    await run_logged(["tar", "-C", str(root), *exclude, "-cf", str(archive), "."], log)
    return archive


async def package_source(release: str) -> tuple[str, str]:
    """Return the mirror and the keyring file (or "") from which apt gets a release.

    Raises:
        BaseImageError: apt has no source for it.
    """
    line = "$(RELEASE)|$(REPO_URI)|$(SIGNED_BY)"
    argv = ["apt-get", "indextargets", "--format", line, "Created-By: Packages"]
    done = await run_process(argv)
    for found, mirror, keyring in (row.split("|") for row in done.stdout.splitlines()):
        if found == release:
            # apt prints the placeholder itself for a field that the source does not have.
            return mirror, "" if keyring.startswith("$(") else keyring
    msg = f"apt has no source for {release or 'this system'}, so no base image can be assembled."
    raise BaseImageError(msg)


async def run_logged(argv: Sequence[str], log: Path) -> None:
    """Run a command, and append its output to a log without credentials.

    Raises:
        BaseImageError: the command failed; the message ends with the last lines of the log.
    """
    with log.open("ab") as file:
        done = await run_process(argv, log=file, time_limit=_SECONDS)
    text = redact(log.read_text(encoding="utf-8", errors="replace"))
    log.write_text(text, encoding="utf-8")
    if done.exit_status != 0:
        end = "\n".join(text.splitlines()[-_LAST_LINES:])
        msg = f"{argv[0]} failed while assembling a base image:\n{end}"
        raise BaseImageError(msg)
