"""Where the files lie that go into images and containers."""

from pathlib import Path
from typing import Final, Literal

_PACKAGE: Final = Path(__file__).parent


def data_folder(name: Literal["docker", "checks", "harness"]) -> Path:
    """Return a folder of the checkout, or of the installed package where there is no checkout."""
    if name == "harness":
        return _PACKAGE / name
    checkout = _PACKAGE.parent / name
    return checkout if checkout.is_dir() else _PACKAGE / "_data" / name
