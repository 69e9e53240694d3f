"""Run one container, from its creation to its removal."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from docker.errors import APIError
from docker.models.containers import Container
from docker.types import LogConfig, Mount

import docker
from matrixci.engine.calls import (
    call_to_end,
    clean_up,
    raise_if_cancelled,
    translated_errors,
)
from matrixci.engine.cleanup import remove_container, remove_volume
from matrixci.engine.container_output import collect_archive, follow_output, last_line, save_log
from matrixci.engine.container_spec import MOUNT_POINT, USER_ID, ContainerEnd, ContainerSpec
from matrixci.engine.exit_watch import ContainerWatch
from matrixci.engine.labels import labels_for
from matrixci.engine.limits import dropped_limits, refusal
from matrixci.errors import EngineError, LimitsError
from matrixci.model import now

_OUTPUT_CHECKS: Final = 20  # how often to look for new output within the no-output timeout
_FOLLOW_SECONDS: Final = 10.0  # to receive the rest of the output after the end
_POLL_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Created:
    """A container that is created and not yet started."""

    container: Container
    unenforced: tuple[str, ...]
    """The limits that the engine will not enforce."""


class ContainerRunner:
    """Containers of one engine."""

    def __init__(
        self,
        client: docker.DockerClient,
        environment: Mapping[str, str],
        unenforced: Sequence[str] = (),
    ) -> None:
        """Initialize.

        Args:
            client: the engine's client.
            environment: for the docker command, to reach the same engine.
            unenforced: the limits that the engine does not enforce.
        """
        self._client = client
        self._environment = environment
        self._unenforced = unenforced

    async def run(
        self, spec: ContainerSpec, log: Path, follow: Callable[[bytes], None] | None = None
    ) -> ContainerEnd:
        """Run a container to its end, then remove it unless it is to be kept.

        Args:
            spec: the container.
            log: the file to write its output to.
            follow: called with pieces of the output as they are printed, from a thread.

        Raises:
            EngineError: the engine failed or restarted, or someone else killed the container.
            LimitsError: the engine drops a limit, and all are required.
        """
        async with self._created(spec) as created, self._watched(created.container) as watch:
            container = created.container
            started = now()
            await asyncio.to_thread(container.start)
            following = None
            if follow is not None:
                following = asyncio.ensure_future(
                    asyncio.to_thread(follow_output, container, follow)
                )
            timed_out, silent = await self._wait_or_kill(container, spec)
            ended = now()
            if following is not None:
                await asyncio.wait([following], timeout=_FOLLOW_SECONDS)
            await asyncio.to_thread(container.reload)
            state = container.attrs["State"]
            await asyncio.to_thread(save_log, container, log, spec.log_size)
            archive = await asyncio.to_thread(
                collect_archive, container, f"{MOUNT_POINT}/{spec.results}", spec.result_size
            )
            # Trust the exit status only if the container exited by itself or we stopped it.
            if not (timed_out or silent) and (cause := await asyncio.to_thread(watch.interference)):
                raise EngineError(cause)
        return ContainerEnd(
            exit_status=state["ExitCode"],
            oom_killed=state["OOMKilled"],
            timed_out=timed_out,
            silent=silent,
            started=started,
            ended=ended,
            archive=archive,
            kept=str(container.short_id) if spec.keep else None,
            unenforced=created.unenforced,
        )

    async def attach(self, spec: ContainerSpec) -> int:
        """Run a container at this process's terminal; return its exit status.

        Uses the docker command, which can pass a terminal on. There is no time limit. The
        container is removed at the end unless it is to be kept.

        Raises:
            EngineError: the engine could not create the container.
            LimitsError: the engine drops a limit, and all are required.
        """
        async with self._created(spec) as created:
            name = str(created.container.id)
            argv = ["docker", "start", "--attach", "--interactive", name]
            # In our own process group, or it could not read from the terminal.
            process = await asyncio.create_subprocess_exec(*argv, env=dict(self._environment))
            try:
                return await process.wait()
            finally:
                if process.returncode is None:  # this task is being cancelled
                    process.terminate()
                    await process.wait()

    @asynccontextmanager
    async def _created(self, spec: ContainerSpec) -> AsyncIterator[_Created]:
        """Create a container with its volume and files; remove both at the end.

        Raises:
            EngineError: the engine failed, also within the context.
            LimitsError: the engine drops a limit, and all are required.
        """
        with translated_errors():
            labels = labels_for("volume", spec.labels, owned=not spec.keep)
            refused = False
            volume, cancelled = await call_to_end(
                partial(self._client.volumes.create, labels=labels)
            )
            try:
                raise_if_cancelled(cancelled=cancelled)
                created, cancelled = await call_to_end(partial(self._create, volume.name, spec))
                container = created.container
                refused = spec.require_limits and bool(created.unenforced)
                try:
                    raise_if_cancelled(cancelled=cancelled)
                    if refused:
                        raise LimitsError(_refusal(created.unenforced))
                    await asyncio.to_thread(container.put_archive, MOUNT_POINT, spec.files)
                    yield created
                finally:
                    if refused or not spec.keep:
                        await clean_up(remove_container, container)
            finally:
                if refused or not spec.keep:
                    await clean_up(remove_volume, volume)

    @asynccontextmanager
    async def _watched(self, container: Container) -> AsyncIterator[ContainerWatch]:
        start = partial(ContainerWatch, self._client, str(container.id))
        watch, cancelled = await call_to_end(start)
        try:
            raise_if_cancelled(cancelled=cancelled)
            yield watch
        finally:
            await clean_up(ContainerWatch.close, watch)

    def _create(self, volume: str, spec: ContainerSpec) -> _Created:
        # The low-level API: the SDK's collection of containers discards the warnings.
        api = self._client.api
        answer = api.create_container(
            spec.image,
            list(spec.command),
            environment=dict(spec.environment),
            labels=labels_for("cell", spec.labels, owned=not spec.keep),
            stdin_open=spec.interactive,
            tty=spec.terminal,
            user=f"{USER_ID}:{USER_ID}",
            host_config=api.create_host_config(**self._host_config(volume, spec)),
        )
        dropped = dropped_limits(answer.get("Warnings"))
        for warning in answer.get("Warnings") or ():
            _log.debug("creating a container of %s: %s", spec.image, warning)
        return _Created(
            container=self._client.containers.get(answer["Id"]),
            unenforced=tuple(dict.fromkeys((*self._unenforced, *dropped))),
        )

    def _host_config(self, volume: str, spec: ContainerSpec) -> dict[str, Any]:
        tmpfs = f"rw,nosuid,nodev,exec,size={spec.tmp_size},mode=1777"
        # An engine that cannot limit CPUs refuses the container; it only drops other limits.
        cpus = None if "cpus" in self._unenforced else int(spec.cpus * 1e9)
        return {
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
            "mem_limit": spec.memory,
            "memswap_limit": spec.memory,  # the same value disables swap
            "pids_limit": spec.pids,
            "nano_cpus": cpus,
            "tmpfs": {"/tmp": tmpfs},  # noqa: S108
            "mounts": [Mount(MOUNT_POINT, volume, type="volume", no_copy=True)],
            "log_config": LogConfig(
                type="local",
                config={"max-size": str(spec.log_size), "max-file": "1", "compress": "false"},
            ),
            "device_requests": [spec.gpu.request()] if spec.gpu else None,
        }

    async def _wait_or_kill(self, container: Container, spec: ContainerSpec) -> tuple[bool, bool]:
        """Wait for a container to end, and kill it at a time limit.

        Returns:
            Whether it took too long, and whether it was silent for too long.
        """
        timed_out = silent = False
        try:
            async with asyncio.timeout(spec.time_limit):
                silent = not await _wait(container, spec.no_output_timeout)
        except TimeoutError:
            timed_out = True
        if timed_out or silent:
            await asyncio.to_thread(_kill, container)
            await _wait(container)
        return timed_out, silent


async def _wait(container: Container, no_output_timeout: float | None = None) -> bool:
    """Poll until a container ends; return False if it is silent for too long.

    The engine's own wait call would block a thread and cannot be interrupted.
    """
    silent_seconds = math.inf if no_output_timeout is None else no_output_timeout
    last, heard = b"", time.monotonic()
    looked = heard
    while True:
        await asyncio.to_thread(container.reload)
        if container.status not in {"created", "running", "restarting", "removing"}:
            return True
        if time.monotonic() - looked > silent_seconds / _OUTPUT_CHECKS:
            looked = time.monotonic()
            line = await asyncio.to_thread(last_line, container)
            if line != last:
                last, heard = line, looked
            elif looked - heard > silent_seconds:
                return False
        await asyncio.sleep(_POLL_SECONDS)


def _kill(container: Container) -> None:
    with suppress(APIError):  # it ended meanwhile
        container.kill()


def _refusal(unenforced: Sequence[str]) -> str:
    return refusal(f"The container engine does not enforce limits on {', '.join(unenforced)}")
