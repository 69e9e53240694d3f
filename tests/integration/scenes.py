"""What goes on for so long that a test can break in."""

import secrets
from dataclasses import dataclass, field

from .observed import processes_with, things_of
from .toy import Toy

RESTING = {
    "test_toy.py": """
        import os, time

        def test_rests():
            time.sleep(float(os.environ["REST"]))
        """
}
# One cell that passes, and one that goes on.
MODES = {"quick": {"environment": {"REST": "0"}}, "slow": {"environment": {"REST": "600"}}}


def is_resting(toy: Toy) -> bool:
    """Tell whether the quick cell has ended, and the slow one's container and volume are there."""
    told = (toy.folder / "stderr").read_text()
    return (
        "mode-quick: ✓ passed" in told
        and "mode-slow: running checks" in told
        and len(things_of(toy.latest())) == 2
    )


@dataclass(frozen=True, kw_only=True)
class EndlessBuild:
    """A build that says that it has begun, and never ends."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def statement(self) -> str:
        """What is run in the build, for its bytecode."""
        return f"print('begun', {self.token!r}, flush=True); import time; time.sleep(600)"

    def is_under_way(self, toy: Toy) -> bool:
        logs = toy.home.glob("runs/latest/logs/image-*.log")
        return any(f"begun {self.token}" in log.read_text(errors="replace") for log in logs)

    def processes(self) -> list[int]:
        """Return the build's processes, where the engine is one of this machine."""
        return processes_with("cmdline", self.token)
