import pytest

from matrixci.engine.limits import dropped_limits, unenforced_limits


@pytest.mark.parametrize(
    ("info", "unenforced"),
    [
        ({}, ()),
        ({"MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True}, ()),
        ({"MemoryLimit": False, "PidsLimit": True, "CpuCfsQuota": True}, ("memory",)),
        ({"PidsLimit": False, "CpuCfsQuota": False}, ("pids", "cpus")),
        ({"MemoryLimit": True, "SwapLimit": False}, ("swap",)),
        ({"MemoryLimit": True, "CgroupDriver": "none"}, ("memory", "swap", "pids", "cpus")),
        ({"SecurityOptions": None}, ()),
        ({"SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"]}, ()),
        ({"SecurityOptions": ["name=seccomp,profile=/etc/docker/own.json"]}, ()),
        ({"SecurityOptions": ["name=seccomp,profile=unconfined"]}, ("seccomp",)),
        ({"SecurityOptions": ["name=rootless"]}, ("seccomp",)),
    ],
)
def test_unenforced_limits_of_the_engine_are_known(
    info: dict[str, object], unenforced: tuple[str, ...]
) -> None:
    assert unenforced_limits(info) == unenforced


NO_PIDS = (
    "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. "
    "PIDs limit discarded."
)
NO_SWAP = (
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
    "Memory limited without swap."
)
NO_MEMORY = (
    "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
    "Limitation discarded."
)
OTHER = "Your kernel does not support tickling. Limitation discarded."


@pytest.mark.parametrize(
    ("warnings", "limits"),
    [
        (None, ()),
        ([], ()),
        ([NO_PIDS, NO_MEMORY, NO_PIDS], ("pids", "memory")),
        ([NO_SWAP], ("swap",)),
        ([OTHER], (OTHER,)),
        (["Published ports are of no use with host network mode"], ()),
    ],
)
def test_dropped_limits_are_read_from_warnings(
    warnings: list[str] | None, limits: tuple[str, ...]
) -> None:
    assert dropped_limits(warnings) == limits
