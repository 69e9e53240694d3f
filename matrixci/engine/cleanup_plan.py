"""Decide what to remove from an engine. Nothing is removed here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from matrixci.engine.image_references import CELL_IMAGES, Folder, Reference, references

BASE: Final = "base"


@dataclass(frozen=True, kw_only=True)
class FoundContainer:
    """A container with the project's label."""

    id: str
    image: str
    volumes: frozenset[str]
    folder: str | None
    created: datetime
    in_use: bool
    """A process that is still alive made it."""
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundVolume:
    """A volume with the project's label."""

    name: str
    folder: str | None
    created: datetime
    in_use: bool


@dataclass(frozen=True, kw_only=True)
class FoundImage:
    """An image with the project's label."""

    id: str
    kind: str
    names: tuple[str, ...]
    shared: str = ""
    """The tag that it has in a registry, through which machines share it."""
    created: datetime
    used: datetime
    """The last time at which a run used it, or it was built."""
    size: int = 0

    @property
    def references(self) -> dict[str, Reference]:
        """Its names that are references to it, parsed."""
        return references(self.names)

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names under which it was built, or shared with a registry."""
        return tuple(
            name
            for name in self.names
            if name.startswith(f"{CELL_IMAGES}:")
            or (self.shared and name.rpartition(":")[2] == self.shared)
        )


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All that the project has made on an engine."""

    containers: tuple[FoundContainer, ...] = ()
    volumes: tuple[FoundVolume, ...] = ()
    images: tuple[FoundImage, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the user wants removed."""

    folder: Folder | None
    """What belongs to this folder; None: everything, whichever folder made it."""
    unused_since: datetime | None = None
    """Only what was not used since then."""
    busy: Folder | None = None
    """A folder in which another process is at work, so all its images stay."""

    def covers(self, folder: str | None) -> bool:
        """Return whether a container or volume with this label is meant."""
        return self.folder is None or folder == self.folder.id

    def is_old(self, used: datetime) -> bool:
        """Return whether something was unused for long enough."""
        return self.unused_since is None or used < self.unused_since


@dataclass(frozen=True, kw_only=True)
class ImageRemoval:
    """Names to be taken from an image, and whether the image is then gone."""

    image: FoundImage
    names: tuple[str, ...] | None
    """In this order; None: all of them at once, by its id."""
    whole: bool


@dataclass(frozen=True, kw_only=True)
class Spared:
    """How many things stay because a run that is under way uses them."""

    containers: int = 0
    volumes: int = 0
    images: int = 0


@dataclass(frozen=True, kw_only=True)
class CleanupPlan:
    """What is to be removed, and what stays although it was meant."""

    containers: tuple[FoundContainer, ...]
    volumes: tuple[FoundVolume, ...]
    images: tuple[ImageRemoval, ...]
    spared: Spared
    others: int
    """Images that other folders use, or of which no folder is known."""


@dataclass(frozen=True, kw_only=True)
class CellImage:
    """The image of a cell in a run, and whether the cell was green."""

    key: str
    green: bool


@dataclass(frozen=True, kw_only=True)
class CurrentRun:
    """The run whose images replace those of earlier ones."""

    folder: Folder
    matrix: str
    began: datetime
    cells: frozenset[str]
    """All cells of the matrix, as tags have them, whether they ran or not."""
    images: Mapping[str, CellImage]
    """Of the cells that have one."""

    def supersedes(self, other: Reference) -> bool:
        """Return whether a reference of an earlier run is no longer needed.

        A cell keeps its newest image, and while it is not green also the last in which it was.
        """
        if (other.repository, other.matrix) != (self.folder.repository, self.matrix):
            return False
        if other.cell not in self.cells:
            return True
        image = self.images.get(other.cell)
        if image is None:
            return False
        if other.key == image.key:
            return image.green and not other.green  # the run has a reference to it as green, too
        return image.green or not other.green


def plan_superseded(found: Inventory, run: CurrentRun) -> tuple[ImageRemoval, ...]:
    """Return what a run no longer needs of the images of earlier runs of its matrix.

    An image goes with its last reference, unless a container uses it, or another run began to use
    it while this one was under way.
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
    """Return what to remove of all that is meant.

    What a run that is under way uses stays, and so does what stays in use by something else.
    """
    containers = [each for each in found.containers if scope.covers(each.folder)]
    used = [each for each in containers if each.in_use]
    gone = [each for each in containers if not each.in_use and scope.is_old(each.created)]
    staying = [each for each in found.containers if each not in gone]
    volumes = [each for each in found.volumes if scope.covers(each.folder)]
    busy_volumes = {name for each in staying if each.in_use for name in each.volumes}
    mounted = {name for each in staying for name in each.volumes}
    kept = [each for each in volumes if each.in_use or each.name in busy_volumes]
    images = _images(found, scope, staying, under_way=bool(used or kept))
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
    found: Inventory, scope: Scope, staying: Iterable[FoundContainer], *, under_way: bool
) -> _Images:
    running = {each.image for each in staying if each.in_use}
    pinned = {each.image for each in staying}
    meant = {each.id: _removal(each, scope) for each in found.images if each.kind != BASE}
    busy = running | {each.id for each in found.images if _is_of(each, scope.busy)}
    wanted = [each for each in meant.values() if each is not None]
    gone = [
        each
        for each in wanted
        if each.image.id not in busy | pinned and scope.is_old(each.image.used)
    ]
    spared = sum(each.image.id in busy for each in wanted)
    others = sum(each is None for each in meant.values()) + sum(not each.whole for each in gone)
    if scope.folder is not None:
        return _Images(gone=gone, spared=spared, others=others)
    bases = [each for each in found.images if each.kind == BASE]
    # A run that is under way may build on any base, and a base goes after all that is built on it.
    if under_way:
        spared += len(bases)
    elif len(gone) == len(meant):
        old = [each for each in bases if each.id not in pinned and scope.is_old(each.used)]
        gone = [*gone, *(ImageRemoval(image=each, names=None, whole=True) for each in old)]
    return _Images(gone=gone, spared=spared, others=others)


def _is_of(image: FoundImage, folder: Folder | None) -> bool:
    if folder is None:
        return False
    return any(each.repository == folder.repository for each in image.references.values())


def _removal(image: FoundImage, scope: Scope) -> ImageRemoval | None:
    """Return how an image is removed; None if it is not meant."""
    if scope.folder is None:
        return ImageRemoval(image=image, names=None, whole=True)
    repository = scope.folder.repository
    own = {tag for tag, each in image.references.items() if each.repository == repository}
    return _without(image, own) if own else None


def _without(image: FoundImage, dropped: set[str]) -> ImageRemoval:
    """Return the removal of references, and of the image itself where they are its last ones.

    The references go last: an image that turns out to be in use is still found by them.
    """
    names = tuple(name for name in image.names if name in dropped)
    if dropped == image.references.keys():
        names = (*image.own_names, *names)
    return ImageRemoval(image=image, names=names, whole=set(names) == set(image.names))
