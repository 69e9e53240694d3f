"""Match requirements and wheels with Python versions on Linux, where all cells run."""

from typing import Final

from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

_LINUX: Final = {"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux"}


def marker_applies(requirement: Requirement, python: str) -> bool:
    """Return whether the environment marker of a requirement allows Python X.Y."""
    version = {"python_version": python, "python_full_version": f"{python}.0"}
    return requirement.marker is None or requirement.marker.evaluate({**_LINUX, **version})


def wheel_fits(wheel: str, python: str) -> bool:
    """Return whether a wheel supports Linux and Python X.Y, on any architecture.

    Args:
        wheel: file name of the wheel.
        python: X.Y.

    Raises:
        InvalidWheelFilename: the name is not that of a wheel.
    """
    major, minor = map(int, python.split("."))
    version, interpreter = (major, minor), f"cp{major}{minor}"
    known = {
        (tag.interpreter, tag.abi)
        for tag in (
            *cpython_tags(version, [interpreter], ["any"]),
            *compatible_tags(version, interpreter, ["any"]),
        )
    }
    return any(
        (tag.interpreter, tag.abi) in known
        and tag.platform.startswith(("any", "linux", "manylinux"))
        for tag in parse_wheel_filename(wheel)[3]
    )
