"""Labels of the containers, volumes and images that matrixci creates."""

import re
from collections.abc import Mapping
from typing import Final

from matrixci.util import process_identity

PROJECT_LABEL: Final = "org.matrixci"
"""Set on everything that matrixci creates; the prefix of all its other labels."""
OWNER_LABEL: Final = f"{PROJECT_LABEL}.owner"
"""The process that created a container or volume, so that a later run can clean up after it."""


def labels_for(kind: str, labels: Mapping[str, str], *, owned: bool = True) -> dict[str, str]:
    """Return the labels of a new container or volume.

    Args:
        kind: the value of the project's label.
        labels: more labels.
        owned: name this process as the owner. Without an owner, later runs do not clean it up.
    """
    owner = {OWNER_LABEL: process_identity.this_process()} if owned else {}
    return {PROJECT_LABEL: kind, **owner, **labels}


def label_instruction(name: str, value: str) -> str:
    """Return a Dockerfile's LABEL instruction for a value of one line."""
    quoted = re.sub(r'(["\\$])', r"\\\1", value)  # an unescaped $ would start a variable
    return f'LABEL {name}="{quoted}"'
