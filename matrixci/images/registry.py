"""Share images between machines through a registry (--registry).

If the registry is unreachable, refuses, or lacks an image, that is reported once, and images are
built as without a registry.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

from matrixci.engine.client import Engine
from matrixci.errors import EngineError, UsageError
from matrixci.util.subprocesses import run_process

# As the engine parses names: without a dot or a port, a host would be a name on Docker Hub.
_WORD: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = rf"(?:localhost|{_WORD}(?:\.{_WORD})+|{_WORD}(?=:))(?::\d+)?"
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_HOST}(?:/{_PART})+")
_REFUSED: Final = re.compile(r"(?i)denied|unauthori[sz]ed|authenticat|forbidden|no basic auth")
_AT_ONCE: Final = 4
_PREFIX: Final = "Error response from daemon: "


def repository_of(text: str) -> str:
    """Check the value of --registry, and return it.

    Raises:
        UsageError: it is not a repository.
    """
    if not _REPOSITORY.fullmatch(text):
        msg = (
            f"Invalid repository: {text}.\n"
            "Write HOST/REPOSITORY without a tag: --registry ghcr.io/owner/matrixci\n"
            "For credentials, run `docker login HOST`."
        )
        raise UsageError(msg)
    return text


class Registry:
    """A repository in which the tag identifies the content of an image."""

    def __init__(
        self, engine: Engine, repository: str, time_limit: float, say: Callable[[str], None]
    ) -> None:
        """Initialize; nothing is requested yet.

        Args:
            engine: the engine that pulls and pushes.
            repository: HOST/REPOSITORY.
            time_limit: of one pull or push, in seconds.
            say: receives messages for the user, one line each.
        """
        self._engine = engine
        self._repository = repository
        self._time_limit = time_limit
        self._say = say
        self._pulls = self._pushes = True
        self._lacks = False
        # Separate slots, so that no pull waits for pushes.
        self._slots = {command: asyncio.Semaphore(_AT_ONCE) for command in ("pull", "push")}
        self._pushing: set[asyncio.Task[None]] = set()

    def name(self, tag: str) -> str:
        """Return the full name of an image in the registry."""
        return f"{self._repository}:{tag}"

    @property
    def is_reachable(self) -> bool:
        """Whether no request has failed so far."""
        return self._pulls

    async def pull(self, tag: str, local: str, labels: Mapping[str, str]) -> bool:
        """Pull an image and give it a local name; return False if it is not available.

        Args:
            tag: the image's tag in the registry.
            local: the local name.
            labels: labels that the image must have, as a tag can point to any image.

        Raises:
            EngineError: the engine failed.
        """
        name = self.name(tag)
        if not self._pulls or not await self._is_there(name):
            return False
        if (failure := await self._docker("pull", name)) is not None:
            self._stop_pulls(failure)
            return False
        found = await self._engine.images.labels(name)
        if found is None or any(found.get(key) != value for key, value in labels.items()):
            self._say(f"{name} does not carry the expected labels; ignoring it")
            await self._engine.images.untag(name)
            return False
        await self._engine.images.tag(name, local)
        return True

    async def _is_there(self, name: str) -> bool:
        try:
            there = await self._engine.images.is_in_registry(name)
        except EngineError as error:
            await self._engine.ping()
            self._stop_pulls(str(error))
            return False
        if not there and not self._lacks:
            self._lacks = True
            self._say(f"{self._repository} lacks images of this run; building them here")
        return there

    def push(self, local: str, tag: str) -> None:
        """Push an image in the background."""
        task = asyncio.create_task(self._push(local, tag))
        self._pushing.add(task)
        task.add_done_callback(self._pushing.discard)

    async def _push(self, local: str, tag: str) -> None:
        name, failure = self.name(tag), None
        try:
            if self._pushes and local != name:
                await self._engine.images.tag(local, name)
            if self._pushes:
                failure = await self._docker("push", name)
            if failure is not None or not self._pushes:
                await self._engine.images.untag(name)  # the name has no other use
        except EngineError as error:
            failure = str(error)
        if failure is not None and self._pushes:
            self._pushes = False
            self._say(f"cannot push to {self._repository}: {self._with_hint(failure)}")

    async def _docker(self, command: str, name: str) -> str | None:
        """Pull or push with the docker command; return the reason if it fails.

        A call of the SDK could not be interrupted. The command also uses the user's credential
        helpers.
        """
        argv = ["docker", command, "--quiet", name]
        environment = self._engine.environment()
        try:
            async with self._slots[command]:
                done = await run_process(argv, env=environment, time_limit=self._time_limit)
        except TimeoutError:
            return f"it took longer than {self._time_limit:.0f} s"
        if done.exit_status == 0:
            return None
        lines = done.stderr.strip().splitlines() or [f"exit status {done.exit_status}"]
        return lines[-1].removeprefix(_PREFIX)

    def _stop_pulls(self, reason: str) -> None:
        if self._pulls:
            self._pulls = False
            hint = self._with_hint(reason)
            self._say(f"cannot pull from {self._repository}, building images here: {hint}")

    def _with_hint(self, reason: str) -> str:
        host = self._repository.partition("/")[0]
        return f"{reason} (docker login {host})" if _REFUSED.search(reason) else reason

    async def finish(self) -> None:
        """Wait until all images are pushed."""
        if self._pushing and self._pushes:
            self._say(f"pushing images to {self._repository}")
        await asyncio.gather(*self._pushing, return_exceptions=True)

    async def close(self) -> None:
        """Stop the pushes in progress, and wait until they have ended."""
        tasks = set(self._pushing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
