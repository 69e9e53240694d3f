"""A registry through which machines share images: what one has built, another pulls.

It is a convenience: where it is away, refuses, or lacks an image, that is said once, and the image
is built as if there were none.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

from matrixci.engine.client import Engine
from matrixci.errors import EngineError, UsageError
from matrixci.util.subprocesses import run_process

# As the engine reads names: a host has a dot or a port, or it would be taken for Docker Hub's.
_WORD: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = rf"(?:localhost|{_WORD}(?:\.{_WORD})+|{_WORD}(?=:))(?::\d+)?"
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_HOST}(?:/{_PART})+")
_REFUSED: Final = re.compile(r"(?i)denied|unauthori[sz]ed|authenticat|forbidden|no basic auth")
_AT_ONCE: Final = 4
_PREFIX: Final = "Error response from daemon: "


def repository_of(text: str) -> str:
    """Return the repository that a setting names.

    Raises:
        UsageError: it is none.
    """
    if not _REPOSITORY.fullmatch(text):
        msg = (
            f"{text} is no repository of a registry.\n"
            "Name it as HOST/REPOSITORY, without a tag: --registry ghcr.io/owner/matrixci\n"
            "Credentials are those of `docker login HOST`."
        )
        raise UsageError(msg)
    return text


class Registry:
    """One repository, in which a tag tells what an image is."""

    def __init__(
        self, engine: Engine, repository: str, time_limit: float, say: Callable[[str], None]
    ) -> None:
        """Set up, asking nothing yet.

        Args:
            engine: what pulls and pushes.
            repository: HOST/REPOSITORY.
            time_limit: of one pull or push, in seconds.
            say: told each thing worth knowing, one line at a time.
        """
        self._engine = engine
        self._repository = repository
        self._time_limit = time_limit
        self._say = say
        self._pulls = self._pushes = True
        self._lacks = False
        # Slots of their own: no cell waits for what others push.
        self._slots = {command: asyncio.Semaphore(_AT_ONCE) for command in ("pull", "push")}
        self._under_way: set[asyncio.Task[None]] = set()

    def name(self, tag: str) -> str:
        """Return the name that an image has there."""
        return f"{self._repository}:{tag}"

    @property
    def is_asked(self) -> bool:
        """Whether it has answered so far."""
        return self._pulls

    async def pull(self, tag: str, local: str, labels: Mapping[str, str]) -> bool:
        """Have an image under a name of this engine's; return False where it isn't to be had.

        Args:
            tag: the image's there.
            local: the name that it gets.
            labels: what it must carry; a tag can hold anything.

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
            self._say(f"{name} holds something else than its tag says: it is not used")
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
            self._say(f"{self._repository} lacks images of this run: they are built here")
        return there

    def push(self, local: str, tag: str) -> None:
        """Push an image in the background."""
        task = asyncio.create_task(self._push(local, tag))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _push(self, local: str, tag: str) -> None:
        name, failure = self.name(tag), None
        try:
            if self._pushes and local != name:
                await self._engine.images.tag(local, name)
            if self._pushes:
                failure = await self._docker("push", name)
            if failure is not None or not self._pushes:
                await self._engine.images.untag(name)  # nobody would ever ask for it
        except EngineError as error:
            failure = str(error)
        if failure is not None and self._pushes:
            self._pushes = False
            self._say(f"nothing is pushed to {self._repository}: {self._hinted(failure)}")

    async def _docker(self, command: str, name: str) -> str | None:
        """Let the docker command pull or push; return the reason where it failed.

        Not the SDK, whose call could not be broken off; and the command asks helpers for
        credentials as its user knows it.
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
            told = f"nothing is pulled from {self._repository}, images are built here"
            self._say(f"{told}: {self._hinted(reason)}")

    def _hinted(self, reason: str) -> str:
        host = self._repository.partition("/")[0]
        return f"{reason} (docker login {host})" if _REFUSED.search(reason) else reason

    async def finish(self) -> None:
        """Wait until all is pushed."""
        if self._under_way and self._pushes:
            self._say(f"pushing images to {self._repository}")
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def close(self) -> None:
        """Break off what is still being pushed, and wait until that has ended."""
        tasks = set(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
