"""Data of the checkup: seeded defects, and expected outcomes of real releases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FOLDER = Path(__file__).parent


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Patch(_Data):
    """A change of an installed file: appended text, or a replaced pattern."""

    file: str
    append: str | None = None
    replace: str | None = None
    by: str | None = None


class Defect(_Data):
    """A seeded defect, the checks that may catch it, and a pattern for their message."""

    name: str
    what: str
    patches: tuple[Patch, ...]
    caught_by: tuple[str, ...] = Field(alias="caught-by")
    says: Annotated[str, AfterValidator(lambda pattern: re.compile(pattern) and pattern)]
    related: tuple[str, ...] = ()
    """Other checks that run, to find out which of them fail as well."""


class _Seeded(_Data):
    related: tuple[str, ...]
    defects: tuple[Defect, ...]


class Expected(_Data):
    """The expected outcome of a check, and the reason."""

    check: str
    outcome: str
    because: str

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The expected outcomes."""
        return tuple(self.outcome.split(" or "))


class Release(_Data):
    """A release with an accelerate of the same time, and its checks that do not pass."""

    subject: str
    accelerate: str
    expected: tuple[Expected, ...]


class Releases(_Data):
    """The releases, and the expected outcomes for all of them."""

    cell: str
    every: tuple[Expected, ...]
    releases: tuple[Release, ...]


def seeded() -> tuple[Defect, ...]:
    """Return all seeded defects, family by family."""
    found: list[Defect] = []
    for file in sorted((FOLDER / "seeded").glob("*.yaml")):
        family = _Seeded.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        found += [one.model_copy(update={"related": family.related}) for one in family.defects]
    return tuple(found)


def releases() -> Releases:
    """Return the table of releases."""
    text = (FOLDER / "releases.yaml").read_text(encoding="utf-8")
    return Releases.model_validate(yaml.safe_load(text))


def matches(glob: str, check: str) -> bool:
    """Return whether a glob matches a check; only * and ? are wildcards, brackets are literal."""
    pattern = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in glob)
    return re.fullmatch(pattern, check) is not None
