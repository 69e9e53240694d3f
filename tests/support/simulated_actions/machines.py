"""Runners, which take one job after the other and may be lost during a job."""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

_SECONDS: Final = 900.0


class MachineLostError(Exception):
    """The machine was lost during a job."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A runner with its environment."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    takes: str = ".*"
    """Regular expression for the names of the jobs that it takes."""
    lost_at: str | None = None
    """Output of a step at which the machine is lost; None to keep it."""
    on_loss: Callable[[], None] = lambda: None


class Pool:
    """The free machines."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        self._free = list(machines)
        self._changed = threading.Condition()
        self.size = len(self._free)

    def take(self, job: str) -> Machine:
        """Wait for a free machine that takes a job."""
        with self._changed:
            while True:
                for machine in self._free:
                    if re.fullmatch(machine.takes, job):
                        self._free.remove(machine)
                        return machine
                assert self._changed.wait(_SECONDS), f"no machine takes {job}"

    def give(self, machine: Machine) -> None:
        """Return a machine after its job has ended."""
        with self._changed:
            self._free.append(machine)
            self._changed.notify_all()
