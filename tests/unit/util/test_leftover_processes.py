import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrixci.util import process_identity as owner
from matrixci.util.leftover_processes import _is_orphan, owned, sweep_orphans

# Starts a child that is known for its own, says which, and waits to be killed.
PARENT = """
import subprocess, sys, os
from matrixci.util.leftover_processes import owned
child = subprocess.Popen(["sleep", "600"], env=owned(os.environ), start_new_session=True)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no Linux")
def test_child_of_a_killed_parent_is_cleaned_up(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    sweep_orphans()

    assert is_alive(child)
    parent.kill()
    parent.wait()
    assert is_alive(child)
    assert sweep_orphans() >= 1
    until = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_alive(child)


def test_owner_of_a_process_is_recognised() -> None:
    (setting,) = (value for name, value in owned({}).items() if name == "MATRIXCI_OWNER")
    assert setting == owner.this_process()
    dead = setting.replace(f"/{os.getpid()}/", "/999999999/")
    for text, orphan in (
        (f"A=1\0MATRIXCI_OWNER={dead}\0", True),
        (f"A=1\0MATRIXCI_OWNER={setting}\0", False),
        (f"A=MATRIXCI_OWNER={dead}\0", False),
        ("MATRIXCI_OWNER=elsewhere/boot/1/1\0", False),
        ("MATRIXCI_OWNER=\0", False),
        ("", False),
    ):
        assert _is_orphan(text.encode()) is orphan
