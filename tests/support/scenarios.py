"""Checks and builds that block until a test releases them."""

import os
import secrets
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field

from engine_state import processes_with, resources_of, running_containers
from toy import Toy

_GO = "/tmp/go"  # noqa: S108 (in a container)
BLOCKING = {
    "test_toy.py": f"""
        import os, time

        def test_blocks():
            until = time.monotonic() + float(os.environ["BLOCK_SECONDS"])
            while time.monotonic() < until and not os.path.exists({_GO!r}):
                time.sleep(0.05)
        """
}
# One cell that passes, and one that blocks.
MODES = {
    "quick": {"environment": {"BLOCK_SECONDS": "0"}},
    "slow": {"environment": {"BLOCK_SECONDS": "600"}},
}


def is_blocked(toy: Toy, name: str = "") -> bool:
    """Return whether the quick cell has ended and the checks of the slow one are blocked.

    Args:
        toy: The toy that runs.
        name: Name of its command.
    """
    printed = (toy.folder / f"{name}stderr").read_text()
    return (
        "mode-quick: ✓ passed" in printed
        and "mode-slow: running checks" in printed
        and len(resources_of(toy.latest())) == 2
    )


def release(run: str, engine: str | None = None) -> bool:
    """Release the blocked checks of a run; return whether there were any.

    Args:
        run: Id of the run.
        engine: Address of the engine; the shared one by default.
    """
    host = [] if engine is None else ["--host", engine]
    done = [
        subprocess.run(
            ["docker", *host, "exec", container, "touch", _GO], capture_output=True, check=False
        )
        for container in running_containers(run, engine)
    ]
    return any(each.returncode == 0 for each in done)


@dataclass(frozen=True, kw_only=True)
class BlockedBuild:
    """A build that blocks after it has begun, until it is released."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def statement(self) -> str:
        """The statement that the build runs to precompile bytecode."""
        return (
            f"import signal; go = [signal.SIGUSR1]; signal.pthread_sigmask(signal.SIG_BLOCK, go);"
            f" print('begun', {self.token!r}, flush=True); signal.sigtimedwait(go, 600)"
        )

    def has_begun(self, toy: Toy) -> bool:
        logs = toy.work_dir.glob("runs/latest/logs/image-*.log")
        return any(f"begun {self.token}" in log.read_text(errors="replace") for log in logs)

    def processes(self) -> list[int]:
        """Return the processes of the build, if the engine runs on this machine."""
        return processes_with("cmdline", self.token)

    def release(self) -> bool:
        """Release the build; return whether it was running."""
        processes = self.processes()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGUSR1)
        return processes != []
