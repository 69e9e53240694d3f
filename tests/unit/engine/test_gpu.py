from matrixci.engine.gpu import GpuAccess


def test_each_access_has_a_request() -> None:
    driver, cdi = (way.request() for way in GpuAccess)
    assert (driver["Count"], driver["Capabilities"]) == (-1, [["gpu"]])
    assert (cdi["Driver"], cdi["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])
