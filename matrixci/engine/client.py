"""The container engine, through its SDK: what it can do, its images, and one container's life."""

import asyncio
import io
import logging
import os
import re
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, assert_never

import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import DeviceRequest, LogConfig, Mount
from docker.utils import parse_repository_tag

import docker
from matrixci.engine.cleanup import Remains, remove_container, remove_volume
from matrixci.engine.cleanup_plan import CleanupPlan, CurrentRun, Scope
from matrixci.engine.connection import buildx_version, connect
from matrixci.engine.disk import free_bytes
from matrixci.engine.endpoint import engine_endpoint
from matrixci.engine.exit_watch import ContainerWatch
from matrixci.engine.image_contents import RawContents, read_contents
from matrixci.engine.image_store import EngineImages
from matrixci.engine.limits import dropped_limits, refusal, security_options, unenforced_limits
from matrixci.errors import EngineError, LimitsError
from matrixci.model import EngineFacts, now
from matrixci.util import process_identity as owner
from matrixci.util.redaction import redact, redact_file

LABEL: Final = "org.matrixci"
USER_ID: Final = 65532
MOUNT_POINT: Final = "/matrixci"

_OWNER: Final = f"{LABEL}.owner"
_LOOKS: Final = 20  # at the output, within the time for which it may be silent
_FOLLOW_SECONDS: Final = 10.0  # for the rest of an output, after the container's end
_log = logging.getLogger(__name__)
T = TypeVar("T")


class GpuWay(StrEnum):
    """How an engine hands a GPU to a container."""

    DRIVER = "driver"
    CDI = "CDI"

    def request(self) -> DeviceRequest:
        """Return the request for all GPUs."""
        match self:
            case GpuWay.DRIVER:
                return DeviceRequest(count=-1, capabilities=[["gpu"]])
            case GpuWay.CDI:
                return DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])
            case _ as never:
                assert_never(never)


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One container: what it runs, what it gets, and its limits."""

    image: str
    command: Sequence[str]
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    files: bytes = field(repr=False)
    """A tar archive, laid into the volume at MOUNT_POINT before the start."""
    results: str
    """The path below MOUNT_POINT that is collected after the end."""
    memory: int
    scratch: int
    log: int
    result: int
    """Sizes in bytes; `result` bounds what is collected."""
    pids: int
    cpus: float
    time_limit: float
    gpu: "GpuWay | None"
    silence: float | None = None
    """Seconds without a new line of output after which it is ended; None: it may stay silent."""
    keep: bool = False
    """It stays on the engine after its end, for a look inside, until it is cleaned up."""
    interactive: bool = False
    """Its standard input can be written to."""
    terminal: bool = False
    require_limits: bool = False
    """It is not started where the engine would not enforce one of its limits."""


@dataclass(frozen=True, kw_only=True)
class ContainerEnd:
    """How a container ended, with what it left."""

    exit_status: int
    oom_killed: bool
    timed_out: bool
    started: datetime
    ended: datetime
    silent: bool = False
    """It was ended because it printed nothing for too long."""
    archive: bytes | None = field(repr=False)
    """The collected path as a tar archive; None where there was none, or it was too large."""
    kept: str | None = None
    """The container's id, where it stays."""
    unenforced: tuple[str, ...] = ()
    """The limits that the engine did not enforce."""


@dataclass(frozen=True, kw_only=True)
class _Created:
    """A container that was created, and not started yet."""

    container: Container
    unenforced: tuple[str, ...]
    """The limits that the engine will not enforce."""


class Engine:
    """A container engine that answers, and whose client has buildx."""

    def __init__(
        self,
        client: docker.DockerClient,
        host: str,
        facts: EngineFacts,
        *,
        environment: Mapping[str, str] | None = None,
        by_containerd: bool = False,
    ) -> None:
        self._client = client
        self._environment = environment or {**os.environ, "DOCKER_HOST": host}
        self.host = host
        self.facts = facts
        self.images = EngineImages(client, by_containerd=by_containerd)
        self._remains = Remains(client=client, label=LABEL)
        self._gpu: asyncio.Task[GpuWay | None] | None = None

    @classmethod
    async def connect(cls) -> "Engine":
        """Connect to the engine that the environment or the docker context names.

        Raises:
            EngineError: none answers, it is too old, not permitted, or there is no buildx.
        """
        endpoint = engine_endpoint()
        connection = await asyncio.to_thread(connect, endpoint)
        buildx = await buildx_version(connection.environment)
        try:
            info = await asyncio.to_thread(connection.client.info)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error
        facts = EngineFacts(
            version=info["ServerVersion"],
            buildx=buildx,
            architecture=info["Architecture"],
            cpus=info["NCPU"],
            memory=info["MemTotal"],
            storage=info["Driver"],
            gpu=None,
            unenforced=unenforced_limits(info),
            security=security_options(info),
        )
        store = dict(info.get("DriverStatus") or [])
        by_containerd = store.get("driver-type") == "io.containerd.snapshotter.v1"
        return cls(
            connection.client,
            endpoint.host,
            facts,
            environment=connection.environment,
            by_containerd=by_containerd,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment in which the command line client meets the same engine."""
        return dict(self._environment)

    async def ping(self) -> None:
        """Make sure that the engine still answers.

        Raises:
            EngineError: it doesn't.
        """
        try:
            await asyncio.to_thread(self._client.ping)
        except (APIError, requests.RequestException) as error:
            raise _lost(error) from error

    async def image_digest(self, name: str) -> str | None:
        """Return the digest of an image on the engine, None where it isn't there."""
        try:
            image = await asyncio.to_thread(self._client.images.get, name)
        except ImageNotFound:
            return None
        except (APIError, requests.RequestException) as error:
            raise _lost(error) from error
        return str(image.id)

    async def pull(self, name: str) -> bool:
        """Pull an image; return False where its registry doesn't answer.

        Raises:
            EngineError: the registry answers, and has no such image or refuses it; or the engine
                is lost.
        """
        repository, tag = parse_repository_tag(name)
        try:
            await asyncio.to_thread(self._client.images.pull, repository, tag or "latest")
        except (ImageNotFound, NotFound) as error:
            msg = f"The registry has no image {name}: {error.explanation}"
            raise EngineError(msg) from error
        except APIError as error:
            if error.is_client_error():
                msg = f"The registry refuses {name}: {error.explanation}"
                raise EngineError(msg) from error
            _log.debug("no registry for %s: %s", name, error)
            return False
        except requests.RequestException as error:
            raise _lost(error) from error
        return True

    async def import_root(self, archive: Path, tag: str, labels: Mapping[str, str]) -> None:
        """Make an image of one layer from a root file system in a tar archive.

        Raises:
            EngineError: the engine failed.
        """
        changes = [_label_instruction(name, value) for name, value in labels.items()]
        changes.append('CMD ["/bin/sh"]')
        repository, _, version = tag.rpartition(":")
        try:
            await asyncio.to_thread(
                self._client.api.import_image_from_file,
                str(archive),
                repository=repository,
                tag=version,
                changes=changes,
            )
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    async def gpu(self, image: str) -> "GpuWay | None":
        """Return how this engine hands out its GPUs, None where a container can't get one.

        The engine's own description leaves out devices that a hook would attach, so a container
        of `image` is started with a request, once.

        Raises:
            EngineError: the engine failed otherwise.
        """
        if self._gpu is None or (self._gpu.done() and self._gpu.exception() is not None):
            self._gpu = asyncio.create_task(asyncio.to_thread(self._try_gpu, image))
        try:
            return await asyncio.shield(self._gpu)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    def _try_gpu(self, image: str) -> "GpuWay | None":
        for way in GpuWay:
            container = self._client.containers.create(
                image,
                ["true"],
                labels=_labels("gpu", {}),
                network_mode="none",
                device_requests=[way.request()],
            )
            try:
                container.start()
            except APIError as error:
                # 500 "could not select device driver", or what the driver's own hook says.
                _log.debug("no GPU by %s: %s", way, error)
            else:
                self.facts = self.facts.model_copy(update={"gpu": str(way)})
                return way
            finally:
                remove_container(container)
        return None

    async def run(
        self, spec: ContainerSpec, log: Path, follow: Callable[[bytes], None] | None = None
    ) -> ContainerEnd:
        """Run one container from its making to its removal.

        Nothing of it is left on the engine, whatever happens, unless it is to be kept.

        Args:
            spec: the container.
            log: the file that takes its output.
            follow: given the output in pieces as it comes, from a thread.

        Raises:
            EngineError: the engine could not make, start or observe it, or was started anew; or
                someone else ended it.
            LimitsError: the engine drops a limit, and all are required.
        """
        async with self._created(spec) as created, self._watched(created.container) as watch:
            container = created.container
            started = now()
            await asyncio.to_thread(container.start)
            following = None
            if follow is not None:
                following = asyncio.ensure_future(asyncio.to_thread(_follow, container, follow))
            timed_out, silent = await self._to_its_end(container, spec)
            ended = now()
            if following is not None:
                await asyncio.wait([following], timeout=_FOLLOW_SECONDS)
            await asyncio.to_thread(container.reload)
            state = container.attrs["State"]
            await asyncio.to_thread(_save_log, container, log, spec.log)
            archive = await asyncio.to_thread(
                _collect, container, f"{MOUNT_POINT}/{spec.results}", spec.result
            )
            # Its end is evidence only if it came by itself, or from us.
            if not (timed_out or silent) and (foul := await asyncio.to_thread(watch.foul)):
                raise EngineError(foul)
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
        """Run one container at this process's own terminal; return its exit status.

        The command line client does it: it knows how to hand over a terminal. There is no time
        limit, and nothing of the container is left, unless it is to be kept.

        Raises:
            EngineError: the engine could not make the container.
            LimitsError: the engine drops a limit, and all are required.
        """
        async with self._created(spec) as created:
            name = str(created.container.id)
            argv = ["docker", "start", "--attach", "--interactive", name]
            # In our own process group, or it could not read from the terminal.
            process = await asyncio.create_subprocess_exec(*argv, env=self.environment())
            try:
                return await process.wait()
            finally:
                if process.returncode is None:  # we are being cancelled
                    process.terminate()
                    await process.wait()

    @asynccontextmanager
    async def _created(self, spec: ContainerSpec) -> AsyncIterator[_Created]:
        """Make a container with its volume, its files laid in; remove both at the end.

        Raises:
            EngineError: the engine failed, also in the context.
            LimitsError: the engine drops a limit, and all are required.
        """
        try:
            labels = _labels("volume", spec.labels, owned=not spec.keep)
            make = partial(self._client.volumes.create, labels=labels)
            refused = False
            volume, cancelled = await _to_the_end(make)
            try:
                _feel(cancelled=cancelled)
                make_container = partial(self._create, volume.name, spec)
                created, cancelled = await _to_the_end(make_container)
                container = created.container
                refused = spec.require_limits and bool(created.unenforced)
                try:
                    _feel(cancelled=cancelled)
                    if refused:
                        raise LimitsError(_refusal(created.unenforced))
                    await asyncio.to_thread(container.put_archive, MOUNT_POINT, spec.files)
                    yield created
                finally:
                    if refused or not spec.keep:
                        await _finish(remove_container, container)
            finally:
                if refused or not spec.keep:
                    await _finish(remove_volume, volume)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    @asynccontextmanager
    async def _watched(self, container: Container) -> AsyncIterator[ContainerWatch]:
        begin = partial(ContainerWatch, self._client, str(container.id))
        watch, cancelled = await _to_the_end(begin)
        try:
            _feel(cancelled=cancelled)
            yield watch
        finally:
            await _finish(ContainerWatch.close, watch)

    def _create(self, volume: str, spec: ContainerSpec) -> _Created:
        # The API client and not the SDK's collection of containers, which drops the warnings.
        api = self._client.api
        answer = api.create_container(
            spec.image,
            list(spec.command),
            environment=dict(spec.environment),
            labels=_labels("cell", spec.labels, owned=not spec.keep),
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
            unenforced=tuple(dict.fromkeys((*self.facts.unenforced, *dropped))),
        )

    def _host_config(self, volume: str, spec: ContainerSpec) -> dict[str, Any]:
        scratch = f"rw,nosuid,nodev,exec,size={spec.scratch},mode=1777"
        # Other limits that can't be enforced are dropped; for this one a container is refused.
        cpus = None if "cpus" in self.facts.unenforced else int(spec.cpus * 1e9)
        return {
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
            "mem_limit": spec.memory,
            "memswap_limit": spec.memory,  # the same figure means: no swap
            "pids_limit": spec.pids,
            "nano_cpus": cpus,
            "tmpfs": {"/tmp": scratch},  # noqa: S108
            "mounts": [Mount(MOUNT_POINT, volume, type="volume", no_copy=True)],
            "log_config": LogConfig(
                type="local",
                config={"max-size": str(spec.log), "max-file": "1", "compress": "false"},
            ),
            "device_requests": [spec.gpu.request()] if spec.gpu else None,
        }

    async def _to_its_end(self, container: Container, spec: ContainerSpec) -> tuple[bool, bool]:
        """Wait for a container's end, and bring it about where its time is over.

        Returns:
            Whether it took too long, and whether it was silent for too long.
        """
        timed_out = silent = False
        try:
            async with asyncio.timeout(spec.time_limit):
                silent = not await self._wait(container, spec.silence)
        except TimeoutError:
            timed_out = True
        if timed_out or silent:
            await asyncio.to_thread(_kill, container)
            await self._wait(container)
        return timed_out, silent

    async def _wait(self, container: Container, silence: float | None = None) -> bool:
        """Wait for the end by asking now and then; return False where it is silent for too long.

        The engine's own wait call blocks a thread for as long as it takes and can't be broken off.
        """
        last, heard = b"", time.monotonic()
        looked = heard
        while True:
            await asyncio.to_thread(container.reload)
            if container.status not in {"created", "running", "restarting", "removing"}:
                return True
            if silence is not None and time.monotonic() - looked > silence / _LOOKS:
                looked = time.monotonic()
                line = await asyncio.to_thread(_last_line, container)
                if line != last:
                    last, heard = line, looked
                elif looked - heard > silence:
                    return False
            await asyncio.sleep(0.25)

    async def sweep(self) -> int:
        """Remove containers and volumes whose maker was killed; return how many there were.

        Those of a process that lives, or of another machine on the same engine, are left alone.

        Raises:
            EngineError: the engine failed.
        """
        try:
            return await asyncio.to_thread(self._remains.sweep)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    async def free_disk(self) -> int | None:
        """Return the bytes that are free where images lie, None where that can't be known.

        Raises:
            EngineError: the engine failed.
        """
        ours: dict[str, Any] = {"label": LABEL}
        ask = partial(free_bytes, self._client, self.host, ours, _labels("disk", {}))
        try:
            return await asyncio.to_thread(ask)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    async def remove_remains(self, run: str) -> None:
        """Remove containers and volumes of a run that an engine that was away has kept.

        Raises:
            EngineError: the engine failed.
        """
        try:
            await asyncio.to_thread(self._remains.remove_of_run, run)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    async def read_contents(self, system: str, python: str) -> RawContents:
        """Read what the base images of an operating system and of an interpreter hold.

        Raises:
            EngineError: the engine failed.
        """
        read = partial(read_contents, self._client, system, python, _labels("contents", {}))
        try:
            return await asyncio.to_thread(read)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    async def clean(self, scope: Scope, *, dry_run: bool = False) -> CleanupPlan:
        """Remove what the project made on the engine, as far as it is meant.

        Args:
            scope: what is meant.
            dry_run: remove nothing.

        Returns:
            What was removed, or would be.

        Raises:
            EngineError: the engine failed.
        """
        clean = partial(self._remains.clean, scope, dry_run=dry_run)
        try:
            return await asyncio.to_thread(clean)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error

    async def remove_superseded(self, run: CurrentRun) -> int:
        """Remove the images that a run has replaced; return how many are gone.

        Raises:
            EngineError: the engine failed.
        """
        try:
            return await asyncio.to_thread(self._remains.remove_superseded, run)
        except (DockerException, requests.RequestException) as error:
            raise _lost(error) from error


def _refusal(unenforced: Sequence[str]) -> str:
    return refusal(f"The container engine does not enforce limits on {', '.join(unenforced)}")


def _labels(kind: str, labels: Mapping[str, str], *, owned: bool = True) -> dict[str, str]:
    """Return what is made is labelled with; what nobody owns isn't swept up after its maker."""
    ours = {_OWNER: owner.this_process()} if owned else {}
    return {LABEL: kind, **ours, **labels}


def _label_instruction(name: str, value: str) -> str:
    """Return a Dockerfile's instruction for a label; its value is one line."""
    quoted = re.sub(r'(["\\$])', r"\\\1", value)  # in which a $ would begin a variable
    return f'LABEL {name}="{quoted}"'


def _collect(container: Container, path: str, limit: int) -> bytes | None:
    """Return a path of a stopped container as a tar archive; None where there is none."""
    try:
        stream, _ = container.get_archive(path)
    except NotFound:
        return None
    collected = io.BytesIO()
    for piece in stream:
        collected.write(piece)
        if collected.tell() > limit + tarfile.RECORDSIZE:
            return None
    return collected.getvalue()


def _save_log(container: Container, path: Path, limit: int) -> None:
    """Save a container's output, its end where it is longer than the limit."""
    pieces: Iterator[bytes] = container.logs(stream=True, timestamps=False)
    written = 0
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece[: limit - written])
            written += len(piece)
            if written >= limit:
                file.write(b"\n[cut: the log's limit is reached]\n")
                break
    redact_file(path)


def _follow(container: Container, take: Callable[[bytes], None]) -> None:
    """Hand on a container's output as it comes; where it breaks off, the log still has all."""
    try:
        for piece in container.logs(stream=True, follow=True):
            take(piece)
    except (DockerException, requests.RequestException, OSError) as error:
        _log.debug("the output could not be followed: %s", error)


def _last_line(container: Container) -> bytes:
    """Return the last line of a container's output, with the instant at which it came."""
    return bytes(container.logs(tail=1, timestamps=True))


def _kill(container: Container) -> None:
    with suppress(APIError):  # it ended in between
        container.kill()


async def _finish(step: Any, what: Any) -> None:  # noqa: ANN401
    """Clean up to the end, even where we are being cancelled; a lost engine is only noted."""
    try:
        _, cancelled = await _to_the_end(partial(step, what))
    except (DockerException, requests.RequestException) as error:
        _log.warning("could not be removed: %s: %s", what, error)
    else:
        _feel(cancelled=cancelled)


async def _to_the_end(call: Callable[[], T]) -> tuple[T, bool]:
    """Return what a call in a thread came to, and whether we were cancelled meanwhile.

    A thread can't be broken off: what it makes must be known, or nobody would remove it.
    """
    future = asyncio.get_running_loop().run_in_executor(None, call)
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:  # noqa: PERF203
            cancelled = True
    if cancelled and future.exception() is not None:
        raise asyncio.CancelledError
    return future.result(), cancelled


def _feel(*, cancelled: bool) -> None:
    if cancelled:
        raise asyncio.CancelledError


def _lost(error: Exception) -> EngineError:
    explanation = getattr(error, "explanation", None) or str(error)
    return EngineError(f"The container engine failed: {redact(str(explanation))}")
