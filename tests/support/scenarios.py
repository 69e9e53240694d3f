"""What goes on for so long that a test can break in."""

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
            until = time.monotonic() + float(os.environ["REST"])
            while time.monotonic() < until and not os.path.exists({_GO!r}):
                time.sleep(0.05)
        """
}
# One cell that passes, and one that goes on.
MODES = {"quick": {"environment": {"REST": "0"}}, "slow": {"environment": {"REST": "600"}}}


def is_blocked(toy: Toy, name: str = "") -> bool:
    """Tell whether the quick cell has ended, and the slow one's container and volume are there.

    Args:
        toy: whose run it is.
        name: of the command.
    """
    told = (toy.folder / f"{name}stderr").read_text()
    return (
        "mode-quick: ✓ passed" in told
        and "mode-slow: running checks" in told
        and len(resources_of(toy.latest())) == 2
    )


def release(run: str, engine: str | None = None) -> bool:
    """Release the blocked checks of a run; return whether there were any.

    Args:
        run: its id.
        engine: where it listens; None: the one that all use.
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
    """A build that says that it has begun, and ends when it is let go."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def statement(self) -> str:
        """What is run in the build, for its bytecode."""
        return (
            f"import signal; go = [signal.SIGUSR1]; signal.pthread_sigmask(signal.SIG_BLOCK, go);"
            f" print('begun', {self.token!r}, flush=True); signal.sigtimedwait(go, 600)"
        )

    def has_begun(self, toy: Toy) -> bool:
        logs = toy.work_dir.glob("runs/latest/logs/image-*.log")
        return any(f"begun {self.token}" in log.read_text(errors="replace") for log in logs)

    def processes(self) -> list[int]:
        """Return the build's processes, where the engine is one of this machine."""
        return processes_with("cmdline", self.token)

    def release(self) -> bool:
        """Let it come to its end; tell whether it was under way."""
        processes = self.processes()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGUSR1)
        return processes != []
