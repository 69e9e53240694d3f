"""Progress of work that several cells share."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


class StageListener(Protocol):
    """Receives progress of shared work; called from the event loop, so it must not block."""

    def said(self, text: str) -> None:
        """Receive a remark of one line."""

    def stage(self, what: str) -> AbstractContextManager[None]:
        """Return a context in which a base image, a shared layer or an image is built.

        Args:
            what: its name, unique among the stages in progress.
        """


@dataclass(frozen=True)
class Remarks:
    """A listener that passes on remarks and ignores stages."""

    say: Callable[[str], None]

    def said(self, text: str) -> None:
        """Pass on a remark."""
        self.say(text)

    def stage(self, what: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context that does nothing."""
        return nullcontext()
