"""A connection to the container engine."""

import asyncio
import os
from collections.abc import Mapping
from functools import partial

import docker
from matrixci.engine.calls import call_engine, translated_errors
from matrixci.engine.cleanup import EngineCleanup
from matrixci.engine.connection import buildx_version, connect
from matrixci.engine.container import ContainerRunner
from matrixci.engine.disk import free_bytes
from matrixci.engine.endpoint import engine_endpoint
from matrixci.engine.gpu import GpuAccess, find_gpu_access
from matrixci.engine.image_store import ImageStore
from matrixci.engine.labels import PROJECT_LABEL, labels_for
from matrixci.engine.limits import security_options, unenforced_limits
from matrixci.model import EngineFacts


class Engine:
    """A reachable container engine whose client has buildx."""

    def __init__(
        self,
        client: docker.DockerClient,
        host: str,
        facts: EngineFacts,
        *,
        environment: Mapping[str, str] | None = None,
        uses_containerd: bool = False,
    ) -> None:
        self._client = client
        self._environment = environment or {**os.environ, "DOCKER_HOST": host}
        self.host = host
        self.facts = facts
        self.images = ImageStore(client, uses_containerd=uses_containerd)
        self.containers = ContainerRunner(client, self._environment, facts.unenforced)
        self.cleanup = EngineCleanup(client)
        self._gpu: asyncio.Task[GpuAccess | None] | None = None

    @classmethod
    async def connect(cls) -> "Engine":
        """Connect to the engine that the environment or the docker context names.

        Raises:
            EngineError: no engine answers, it is too old or not permitted, or buildx is missing.
        """
        endpoint = engine_endpoint()
        connection = await asyncio.to_thread(connect, endpoint)
        buildx = await buildx_version(connection.environment)
        info = await call_engine(connection.client.info)
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
        return cls(
            connection.client,
            endpoint.host,
            facts,
            environment=connection.environment,
            uses_containerd=store.get("driver-type") == "io.containerd.snapshotter.v1",
        )

    def environment(self) -> dict[str, str]:
        """Return the environment in which the docker command reaches the same engine."""
        return dict(self._environment)

    def close(self) -> None:
        """Close the connections to the engine."""
        self._client.close()

    async def ping(self) -> None:
        """Check that the engine still answers.

        Raises:
            EngineError: it does not.
        """
        await call_engine(self._client.ping)

    async def gpu(self, image: str) -> GpuAccess | None:
        """Return how containers get a GPU, None if they cannot; the engine is asked only once.

        Args:
            image: an image to start containers of.

        Raises:
            EngineError: the engine failed.
        """
        if self._gpu is None or (self._gpu.done() and self._gpu.exception() is not None):
            self._gpu = asyncio.create_task(self._find_gpu(image))
        with translated_errors():
            return await asyncio.shield(self._gpu)

    async def _find_gpu(self, image: str) -> GpuAccess | None:
        access = await asyncio.to_thread(find_gpu_access, self._client, image)
        if access is not None:
            self.facts = self.facts.model_copy(update={"gpu": str(access)})
        return access

    async def free_disk(self) -> int | None:
        """Return the free bytes on the disk that stores images, None if unknown.

        Raises:
            EngineError: the engine failed.
        """
        filters = {"label": PROJECT_LABEL}
        return await call_engine(
            partial(free_bytes, self._client, self.host, filters, labels_for("disk", {}))
        )
