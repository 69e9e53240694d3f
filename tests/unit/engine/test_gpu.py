from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from docker.errors import APIError

from matrixci.engine.gpu import GpuAccess, find_gpu_access


@dataclass
class FakeClient:
    """A client whose containers start with some kinds of GPU requests."""

    supported: Sequence[GpuAccess]
    created: int = 0
    removed: int = 0
    access: GpuAccess = field(default=GpuAccess.DRIVER)

    @property
    def containers(self) -> "FakeClient":
        return self

    def create(self, *_: object, device_requests: Sequence[Any], **__: object) -> "FakeClient":
        self.created += 1
        (request,) = device_requests
        self.access = GpuAccess.CDI if request["Driver"] == "cdi" else GpuAccess.DRIVER
        return self

    def start(self) -> None:
        if self.access not in self.supported:
            msg = "could not select device driver"
            raise APIError(msg)

    def remove(self, *, force: bool) -> None:
        assert force
        self.removed += 1


def test_each_access_has_a_request() -> None:
    driver, cdi = (access.request() for access in GpuAccess)
    assert (driver["Count"], driver["Capabilities"]) == (-1, [["gpu"]])
    assert (cdi["Driver"], cdi["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])


@pytest.mark.parametrize(
    ("supported", "found"),
    [
        ([GpuAccess.DRIVER, GpuAccess.CDI], GpuAccess.DRIVER),
        ([GpuAccess.CDI], GpuAccess.CDI),
        ([], None),
    ],
)
def test_access_is_found_by_starting_containers(
    supported: list[GpuAccess], found: GpuAccess | None
) -> None:
    client = FakeClient(supported)
    assert find_gpu_access(client, "image") is found  # type: ignore[arg-type]
    assert client.removed == client.created
