"""Whether a container came to its end by itself, or the engine or someone else brought it about.

An engine that was started anew ends its containers, and then tells of an exit status that reads
like their own: 143, 137, or 0. What gives it away are its events. They are followed from before
the container's start, over a connection that no restart outlives; where that broke, the engine is
asked whether it remembers the start: it keeps its last events in its memory alone.
"""

import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import requests
from docker.errors import DockerException

import docker

_DIE_SECONDS: Final = 10.0  # for the event of an end that the engine has told of already
_JOIN_SECONDS: Final = 5.0
_START: Final = "start"
_KILL: Final = "kill"
_DIE: Final = "die"
_STARTED_ANEW: Final = "The container engine was started anew meanwhile, and ended the container."


class ContainerWatch:
    """Follows the events of one container."""

    def __init__(self, client: docker.DockerClient, container: str) -> None:
        """Begin, before the container is started.

        Raises:
            DockerException: the engine failed.
            requests.RequestException: the engine is away.
        """
        self._client = client
        self._filters: dict[str, Any] = {"type": ["container"], "container": [container]}
        self._seen: list[Mapping[str, Any]] = []
        self._is_over = False
        self._is_settled = threading.Event()
        self._stream = client.events(decode=True, filters=self._filters)
        # It may block for as long as the container runs, and must keep no process from its end.
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        # Closed from another thread, or cut, the SDK's stream ends by any of these.
        with suppress(
            DockerException, requests.RequestException, OSError, ValueError, AttributeError
        ):
            for event in self._stream:
                self._seen.append(event)
                if event.get("Action") == _DIE:
                    self._is_settled.set()
        self._is_over = True
        self._is_settled.set()

    def foul(self) -> str | None:
        """Return what ended the container, None where it came to its end by itself.

        To be asked once the engine has told of the end, and of what is wanted of the container.

        Raises:
            DockerException: the engine failed.
            requests.RequestException: the engine is away.
        """
        self._is_settled.wait(_DIE_SECONDS)
        seen = self._remembered() if self._is_over else self._seen
        if self._is_over and not _with_action(seen, _START):
            return _STARTED_ANEW
        if killed := _with_action(seen, _KILL):
            number = killed[0].get("Actor", {}).get("Attributes", {}).get("signal", "?")
            return f"The container was ended from outside, by signal {number} through the engine."
        return None

    def _remembered(self) -> list[Mapping[str, Any]]:
        """Return the events that the engine still knows of."""
        # By the engine's clock; a moment ahead, so that its newest events are within.
        now = datetime.fromisoformat(self._client.info()["SystemTime"])
        until = int((now + timedelta(seconds=1)).timestamp())
        return list(self._client.events(since=1, until=until, decode=True, filters=self._filters))

    def close(self) -> None:
        """End it."""
        # The SDK can't close a stream that has ended already, nor one over SSH.
        with suppress(DockerException, OSError, AttributeError):
            self._stream.close()
        self._thread.join(_JOIN_SECONDS)


def _with_action(events: list[Mapping[str, Any]], action: str) -> list[Mapping[str, Any]]:
    return [event for event in events if event.get("Action") == action]
