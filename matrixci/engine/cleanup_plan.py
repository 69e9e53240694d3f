"""Decide what to remove from an engine. Nothing is removed here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from matrixci.engine.image_references import CELL_IMAGES, Reference, WorkDirId, references

BASE: Final = "base"


@dataclass(frozen=True, kw_only=True)
class FoundContainer:
    """A container with the project's label."""

    id: str
    image: str
    volumes: frozenset[str]
    work_dir: str | None
    created: datetime
    in_use: bool
    """It belongs to a run in progress."""
    about: str = ""
    """Its cell and run, for messages."""


@dataclass(frozen=True, kw_only=True)
class FoundVolume:
    """A volume with the project's label."""

    name: str
    work_dir: str | None
    created: datetime
    in_use: bool


@dataclass(frozen=True, kw_only=True)
class FoundImage:
    """An image with the project's label."""

    id: str
    kind: str
    names: tuple[str, ...]
    shared: str = ""
    """Its tag in a registry through which machines share it."""
    created: datetime
    used: datetime
    """The time of its build, or of its last use by a run."""
    size: int = 0

    @property
    def references(self) -> dict[str, Reference]:
        """Its names that are references, parsed."""
        return references(self.names)

    @property
    def own_names(self) -> tuple[str, ...]:
        """Its names from the build and from a shared registry."""
        return tuple(
            name
            for name in self.names
            if name.startswith(f"{CELL_IMAGES}:")
            or (self.shared and name.rpartition(":")[2] == self.shared)
        )


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Everything that matrixci created on an engine."""

    containers: tuple[FoundContainer, ...] = ()
    volumes: tuple[FoundVolume, ...] = ()
    images: tuple[FoundImage, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the user wants removed."""

    work_dir: WorkDirId | None
    """Only what belongs to this work directory; None: everything."""
    unused_since: datetime | None = None
    """Only what was last used before this time."""
    busy: WorkDirId | None = None
    """A work directory with another run in progress, so all of its images stay."""

    def covers(self, work_dir: str | None) -> bool:
        """Return whether a container or volume with this label is in scope."""
        return self.work_dir is None or work_dir == self.work_dir.id

    def is_old(self, used: datetime) -> bool:
        """Return whether something was last used long enough ago."""
        return self.unused_since is None or used < self.unused_since


@dataclass(frozen=True, kw_only=True)
class ImageRemoval:
    """Names to remove from an image, and whether that removes the image itself."""

    image: FoundImage
    names: tuple[str, ...] | None
    """In this order; None: all at once, by the image's id."""
    whole: bool


@dataclass(frozen=True, kw_only=True)
class Spared:
    """Numbers of things that stay because a run in progress uses them."""

    containers: int = 0
    volumes: int = 0
    images: int = 0


@dataclass(frozen=True, kw_only=True)
class CleanupPlan:
    """What to remove, and what stays although it is in scope."""

    containers: tuple[FoundContainer, ...]
    volumes: tuple[FoundVolume, ...]
    images: tuple[ImageRemoval, ...]
    spared: Spared
    others: int
    """Number of images that other or unknown work directories use."""


@dataclass(frozen=True, kw_only=True)
class CellImage:
    """The image of a cell in a run, and whether the cell was green."""

    key: str
    green: bool


@dataclass(frozen=True, kw_only=True)
class CurrentRun:
    """The run whose images replace those of earlier ones."""

    work_dir: WorkDirId
    matrix: str
    began: datetime
    cells: frozenset[str]
    """All cells of the matrix, run or not, as they appear in tags."""
    images: Mapping[str, CellImage]
    """Cell to image, for cells that have one."""

    def supersedes(self, other: Reference) -> bool:
        """Return whether a reference of an earlier run is no longer needed.

        A cell keeps its newest image. While it is not green, it also keeps its last green image.
        """
        if (other.repository, other.matrix) != (self.work_dir.repository, self.matrix):
            return False
        if other.cell not in self.cells:
            return True
        image = self.images.get(other.cell)
        if image is None:
            return False
        if other.key == image.key:
            return image.green and not other.green  # the run also has a green reference to it
        return image.green or not other.green


def plan_superseded(found: Inventory, run: CurrentRun) -> tuple[ImageRemoval, ...]:
    """Return the images, or references to them, that a run has replaced.

    An image is removed with its last reference, unless a container uses it, or another run started
    to use it during this run.
    """
    pinned = {container.image for container in found.containers}
    removals = []
    for image in found.images:
        dropped = {tag for tag, each in image.references.items() if run.supersedes(each)}
        last = dropped == image.references.keys()
        if dropped and not (last and (image.id in pinned or image.used >= run.began)):
            removals.append(_without(image, dropped))
    return tuple(removals)


def plan_cleanup(found: Inventory, scope: Scope) -> CleanupPlan:
    """Plan to remove everything in scope that nothing else uses."""
    containers = [each for each in found.containers if scope.covers(each.work_dir)]
    used = [each for each in containers if each.in_use]
    gone = [each for each in containers if not each.in_use and scope.is_old(each.created)]
    staying = [each for each in found.containers if each not in gone]
    volumes = [each for each in found.volumes if scope.covers(each.work_dir)]
    busy_volumes = {name for each in staying if each.in_use for name in each.volumes}
    mounted = {name for each in staying for name in each.volumes}
    kept = [each for each in volumes if each.in_use or each.name in busy_volumes]
    images = _images(found, scope, staying, run_in_progress=bool(used or kept))
    return CleanupPlan(
        containers=tuple(gone),
        volumes=tuple(
            each
            for each in volumes
            if each not in kept and each.name not in mounted and scope.is_old(each.created)
        ),
        images=tuple(sorted(images.gone, key=lambda each: each.image.created, reverse=True)),
        spared=Spared(containers=len(used), volumes=len(kept), images=images.spared),
        others=images.others,
    )


@dataclass(frozen=True, kw_only=True)
class _Images:
    gone: list[ImageRemoval]
    spared: int
    others: int


def _images(
    found: Inventory, scope: Scope, staying: Iterable[FoundContainer], *, run_in_progress: bool
) -> _Images:
    running = {each.image for each in staying if each.in_use}
    pinned = {each.image for each in staying}
    removals = {each.id: _removal(each, scope) for each in found.images if each.kind != BASE}
    busy = running | {each.id for each in found.images if _is_of(each, scope.busy)}
    in_scope = [each for each in removals.values() if each is not None]
    gone = [
        each
        for each in in_scope
        if each.image.id not in busy | pinned and scope.is_old(each.image.used)
    ]
    spared = sum(each.image.id in busy for each in in_scope)
    others = sum(each is None for each in removals.values()) + sum(not each.whole for each in gone)
    if scope.work_dir is not None:
        return _Images(gone=gone, spared=spared, others=others)
    bases = [each for each in found.images if each.kind == BASE]
    # A run in progress may build on any base. A base is removed only after all images built on it.
    if run_in_progress:
        spared += len(bases)
    elif len(gone) == len(removals):
        old = [each for each in bases if each.id not in pinned and scope.is_old(each.used)]
        gone = [*gone, *(ImageRemoval(image=each, names=None, whole=True) for each in old)]
    return _Images(gone=gone, spared=spared, others=others)


def _is_of(image: FoundImage, work_dir: WorkDirId | None) -> bool:
    if work_dir is None:
        return False
    return any(each.repository == work_dir.repository for each in image.references.values())


def _removal(image: FoundImage, scope: Scope) -> ImageRemoval | None:
    """Return how to remove an image, None if it is not in scope."""
    if scope.work_dir is None:
        return ImageRemoval(image=image, names=None, whole=True)
    repository = scope.work_dir.repository
    own = {tag for tag, each in image.references.items() if each.repository == repository}
    return _without(image, own) if own else None


def _without(image: FoundImage, dropped: set[str]) -> ImageRemoval:
    """Return the removal of references, and of the image itself if they are the last ones.

    The references come last, so that an image that is in use by now keeps them.
    """
    names = tuple(name for name in image.names if name in dropped)
    if dropped == image.references.keys():
        names = (*image.own_names, *names)
    return ImageRemoval(image=image, names=names, whole=set(names) == set(image.names))
