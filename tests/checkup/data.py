"""What the checkup is told: the seeded defects, and what real releases come to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FOLDER = Path(__file__).parent


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Patch(_Told):
    """One change of one installed file: text appended to it, or a pattern replaced."""

    file: str
    append: str | None = None
    replace: str | None = None
    by: str | None = None


class Defect(_Told):
    """A seeded defect, the checks of which one must catch it, and what its message must say."""

    name: str
    what: str
    patches: tuple[Patch, ...]
    caught_by: tuple[str, ...] = Field(alias="caught-by")
    says: Annotated[str, AfterValidator(lambda pattern: re.compile(pattern) and pattern)]
    beside: tuple[str, ...] = ()
    """Checks that run as well, to see what else a defect sets off."""


class _Seeded(_Told):
    beside: tuple[str, ...]
    defects: tuple[Defect, ...]


class Expected(_Told):
    """What a check comes to, and why."""

    check: str
    outcome: str
    because: str

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that are right."""
        return tuple(self.outcome.split(" or "))


class Release(_Told):
    """A release with the accelerate of its day, and where its checks don't pass."""

    subject: str
    accelerate: str
    expected: tuple[Expected, ...]


class Releases(_Told):
    """The releases, and what holds for each of them."""

    cell: str
    every: tuple[Expected, ...]
    releases: tuple[Release, ...]


def seeded() -> tuple[Defect, ...]:
    """Return all seeded defects, family by family."""
    found: list[Defect] = []
    for file in sorted((FOLDER / "seeded").glob("*.yaml")):
        family = _Seeded.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        found += [one.model_copy(update={"beside": family.beside}) for one in family.defects]
    return tuple(found)


def releases() -> Releases:
    """Return the table of releases."""
    text = (FOLDER / "releases.yaml").read_text(encoding="utf-8")
    return Releases.model_validate(yaml.safe_load(text))


def matches(glob: str, check: str) -> bool:
    """Tell whether a check is meant: only * and ? are wildcards, brackets stand for themselves."""
    pattern = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in glob)
    return re.fullmatch(pattern, check) is not None
