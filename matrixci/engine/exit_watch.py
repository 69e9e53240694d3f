"""Detect whether a container exited by itself, or something else ended it.

An engine that restarts ends its containers. It then reports an exit status that looks like their
own: 143, 137 or 0. Its events reveal it. They are followed from before the container's start, over
a connection that no restart survives. If that connection broke, the engine is asked whether it
remembers the start: it keeps recent events only in memory.
"""

import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import requests
from docker.errors import DockerException

import docker

_DIE_SECONDS: Final = 10.0  # to receive the event of an end that the engine has already reported
_JOIN_SECONDS: Final = 5.0
_START: Final = "start"
_KILL: Final = "kill"
_DIE: Final = "die"
_RESTARTED: Final = "The container engine restarted and ended the container."


class ContainerWatch:
    """The events of one container, followed in a thread."""

    def __init__(
        self, client: docker.DockerClient, container: str, *, die_seconds: float = _DIE_SECONDS
    ) -> None:
        """Start to follow; the container must not be started yet.

        Args:
            client: the engine's client.
            container: the container's id.
            die_seconds: how long to wait for the event of the container's end.

        Raises:
            DockerException: the engine failed.
            requests.RequestException: the engine is unreachable.
        """
        self._client = client
        self._die_seconds = die_seconds
        self._filters: dict[str, Any] = {"type": ["container"], "container": [container]}
        self._seen: list[Mapping[str, Any]] = []
        self._is_over = False
        self._is_settled = threading.Event()
        self._stream = client.events(decode=True, filters=self._filters)
        # A daemon: it may block as long as the container runs, and must not delay the exit.
        self._thread = threading.Thread(
            target=self._follow, name=f"events of {container}", daemon=True
        )
        self._thread.start()

    def _follow(self) -> None:
        # If another thread closes the SDK's stream, or the connection breaks, any of these occurs.
        with suppress(
            DockerException, requests.RequestException, OSError, ValueError, AttributeError
        ):
            for event in self._stream:
                self._seen.append(event)
                if event.get("Action") == _DIE:
                    self._is_settled.set()
        self._is_over = True
        self._is_settled.set()

    def interference(self) -> str | None:
        """Return the cause if something ended the container from outside, None otherwise.

        Call it after the engine has reported the end, and after the results are collected.

        Raises:
            DockerException: the engine failed.
            requests.RequestException: the engine is unreachable.
        """
        self._is_settled.wait(self._die_seconds)
        seen = self._remembered() if self._is_over else self._seen
        if self._is_over and not _with_action(seen, _START):
            return _RESTARTED
        if killed := _with_action(seen, _KILL):
            number = killed[0].get("Actor", {}).get("Attributes", {}).get("signal", "?")
            return f"The container was killed from outside: the engine sent it signal {number}."
        return None

    def _remembered(self) -> list[Mapping[str, Any]]:
        """Return the events that the engine still remembers."""
        # By the engine's clock, plus a second to include its newest events.
        now = datetime.fromisoformat(self._client.info()["SystemTime"])
        until = int((now + timedelta(seconds=1)).timestamp())
        return list(self._client.events(since=1, until=until, decode=True, filters=self._filters))

    def close(self) -> None:
        """Stop following."""
        # The SDK cannot close a stream that has already ended, nor one over SSH.
        with suppress(DockerException, OSError, AttributeError):
            self._stream.close()
        self._thread.join(_JOIN_SECONDS)


def _with_action(events: list[Mapping[str, Any]], action: str) -> list[Mapping[str, Any]]:
    return [event for event in events if event.get("Action") == action]
