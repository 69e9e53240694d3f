"""Tell which requirements and wheels are for which Python; cells run on Linux."""

from typing import Final

from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

_LINUX: Final = {"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux"}


def applies(requirement: Requirement, python: str) -> bool:
    """Return whether a requirement's marker lets it apply to Python X.Y."""
    version = {"python_version": python, "python_full_version": f"{python}.0"}
    return requirement.marker is None or requirement.marker.evaluate({**_LINUX, **version})


def fits(wheel: str, python: str) -> bool:
    """Return whether a wheel is for Linux and Python X.Y, on whatever architecture.

    Args:
        wheel: its file name.
        python: X.Y.

    Raises:
        InvalidWheelFilename: it is not the name of a wheel.
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
