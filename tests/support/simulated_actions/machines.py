"""Runners: machines that take one job after the other, and may be lost in the middle of one."""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

_SECONDS: Final = 900.0


class MachineLostError(Exception):
    """The machine is gone in the middle of a job."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A runner: what its environment has, and what takes it away."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    takes: str = ".*"
    """names of the jobs that it takes, as a regular expression"""
    lost_at: str | None = None
    """what a step prints when the machine is lost; None: it stays"""
    on_loss: Callable[[], None] = lambda: None


class Pool:
    """The machines that are free."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        self._free = list(machines)
        self._changed = threading.Condition()
        self.size = len(self._free)

    def take(self, job: str) -> Machine:
        """Wait for a machine that takes a job."""
        with self._changed:
            while True:
                for machine in self._free:
                    if re.fullmatch(machine.takes, job):
                        self._free.remove(machine)
                        return machine
                assert self._changed.wait(_SECONDS), f"no machine takes {job}"

    def give(self, machine: Machine) -> None:
        """Take a machine back whose job has ended."""
        with self._changed:
            self._free.append(machine)
            self._changed.notify_all()
