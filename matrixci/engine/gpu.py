"""GPU support of a container engine."""

import logging
from enum import StrEnum
from typing import assert_never

from docker.errors import APIError
from docker.types import DeviceRequest

import docker
from matrixci.engine.cleanup import remove_container
from matrixci.engine.labels import labels_for

_log = logging.getLogger(__name__)


class GpuAccess(StrEnum):
    """How an engine gives a container access to GPUs."""

    DRIVER = "driver"
    CDI = "CDI"

    def request(self) -> DeviceRequest:
        """Return the request for all GPUs."""
        match self:
            case GpuAccess.DRIVER:
                return DeviceRequest(count=-1, capabilities=[["gpu"]])
            case GpuAccess.CDI:
                return DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])
            case _ as never:
                assert_never(never)


def find_gpu_access(client: docker.DockerClient, image: str) -> GpuAccess | None:
    """Return how containers get a GPU on an engine, None if they cannot.

    The engine's description omits devices that a hook would attach. So a container of `image` is
    started with each kind of request.

    Raises:
        DockerException: the engine failed otherwise.
    """
    for access in GpuAccess:
        container = client.containers.create(
            image,
            ["true"],
            labels=labels_for("gpu", {}),
            network_mode="none",
            device_requests=[access.request()],
        )
        try:
            container.start()
        except APIError as error:
            # 500 "could not select device driver", or the message of the driver's own hook.
            _log.debug("no GPU by %s: %s", access, error)
        else:
            return access
        finally:
            remove_container(container)
    return None
