"""What is left on an engine of what the project made there, and what of it may go."""

from collections.abc import Iterable, Sized
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.images import Image

import docker
from matrixci import owner
from matrixci.wording import several

T = TypeVar("T")
_CONFLICT: Final = 409  # the engine's answer where something is in use


@dataclass(frozen=True, kw_only=True)
class Remains:
    """The containers, volumes and images of an engine that carry the project's label."""

    client: docker.DockerClient
    label: str
    owner: str
    """The label that names who made a container or a volume."""

    def sweep(self) -> int:
        """Remove containers and volumes whose maker was killed; return how many there were.

        Those of a process that lives, or of another machine on the same engine, are left alone.
        """
        containers = [
            container
            for container in self._containers(self.owner)
            if owner.is_dead(container.labels[self.owner])
        ]
        for container in containers:
            remove_container(container)
        volumes = [
            volume
            for volume in self._volumes(self.owner)
            if owner.is_dead(volume.attrs["Labels"][self.owner])
        ]
        for volume in volumes:
            remove_volume(volume)
        return len(containers) + len(volumes)

    def remove_of_run(self, run: str) -> None:
        """Remove the containers and volumes of a run."""
        label = f"{self.label}.run={run}"
        for container in self._containers(label):
            remove_container(container)
        for volume in self._volumes(label):
            remove_volume(volume)

    def clean(self, *, everything: bool) -> str:
        """Remove all, but for what a run that is under way stands on; say what that was.

        Args:
            everything: the base images go as well.
        """
        containers = self._containers(self.label)
        used = [container for container in containers if self._is_used(container)]
        volumes = self._volumes(self.label)
        mounted = {mount.get("Name") for container in used for mount in container.attrs["Mounts"]}
        kept = [each for each in volumes if each.name in mounted or self._is_owned(each)]
        running = {container.attrs["Image"] for container in used}
        images: list[Image] = self.client.images.list(all=False, filters={"label": self.label})
        if not everything:
            images = [image for image in images if image.labels[self.label] != "base"]
        spared = [
            image
            for image in images
            # What a run that is under way builds next is built on a base.
            if image.id in running or ((used or kept) and image.labels[self.label] == "base")
        ]
        for container in _without(containers, used):
            remove_container(container)
        for volume in _without(volumes, kept):
            remove_volume(volume)
        # An image that others are made from goes after them.
        gone = sorted(_without(images, spared), key=_created, reverse=True)
        spared += [image for image in gone if not self._remove_image(image)]
        going = _without(containers, used), _without(volumes, kept), _without(images, spared)
        said = f"removed {_counted(*going)}"
        if used or kept or spared:
            said += f"; spared, for a run is under way with them: {_counted(used, kept, spared)}"
        return said

    def _remove_image(self, image: Image) -> bool:
        """Remove an image; return False where a container has come to use it meanwhile."""
        try:
            self.client.images.remove(str(image.id), force=True)
        except NotFound:
            return True
        except APIError as error:
            if error.status_code != _CONFLICT:
                raise
            return False
        return True

    def _is_used(self, container: Container) -> bool:
        """Tell whether a container is a living run's, as far as can be told.

        One of another machine, or of another boot of this one, is taken for that while it runs.
        """
        made_by = container.labels.get(self.owner)
        if made_by is None:  # kept for a look inside
            return False
        return owner.is_alive(made_by) or (
            not owner.is_dead(made_by) and container.status == "running"
        )

    def _is_owned(self, volume: Any) -> bool:  # noqa: ANN401 (the SDK's type has no stub)
        return owner.is_alive(volume.attrs["Labels"].get(self.owner, ""))

    def _containers(self, label: str) -> list[Container]:
        # One that goes while they are listed is none of them.
        return self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)

    def _volumes(self, label: str) -> list[Any]:
        return list(self.client.volumes.list(filters={"label": label}))


def _created(image: Image) -> str:
    return str(image.attrs["Created"])


def _without(things: Iterable[T], others: Iterable[T]) -> list[T]:
    left_out = {id(other) for other in others}
    return [thing for thing in things if id(thing) not in left_out]


def _counted(containers: Sized, volumes: Sized, images: Sized) -> str:
    counts = (len(containers), "container"), (len(volumes), "volume"), (len(images), "image")
    return ", ".join(several(number, noun) for number, noun in counts)


def remove_container(container: Container) -> None:
    """Remove a container, whatever it does, unless it is gone already."""
    with suppress(NotFound):
        container.remove(force=True)


def remove_volume(volume: Any) -> None:  # noqa: ANN401 (the SDK's type has no stub)
    """Remove a volume, unless it is gone already."""
    with suppress(NotFound):
        volume.remove(force=True)
