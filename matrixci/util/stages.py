"""What is told about work that several cells share."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


class StageListener(Protocol):
    """Hears of work that several cells share; called from the event loop, so it must be quick."""

    def said(self, text: str) -> None:
        """Something worth knowing, in a line."""

    def stage(self, what: str) -> AbstractContextManager[None]:
        """Return the context in which a base image, a shared layer or an image is made.

        Args:
            what: names it; no two are under way by one name.
        """


@dataclass(frozen=True)
class Remarks:
    """A listener that hears remarks, and nothing of stages."""

    say: Callable[[str], None]

    def said(self, text: str) -> None:
        """Pass a remark on."""
        self.say(text)

    def stage(self, what: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context that does nothing."""
        return nullcontext()
