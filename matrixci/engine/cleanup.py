"""What the project has made on an engine: found, and removed as a plan says."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from docker.errors import APIError, NotFound
from docker.models.containers import Container

import docker
from matrixci.engine.cleanup_plan import (
    CleanupPlan,
    CurrentRun,
    FoundContainer,
    FoundImage,
    FoundVolume,
    ImageRemoval,
    Inventory,
    Scope,
    plan_cleanup,
    plan_superseded,
)
from matrixci.util import process_identity as owner

_CONFLICT: Final = 409  # the engine's answer where something is in use
_DIGITS: Final = 12  # of digests in a registry's tags
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Remains:
    """The containers, volumes and images of an engine that carry the project's label."""

    client: docker.DockerClient
    label: str

    def sweep(self) -> int:
        """Remove containers and volumes whose maker was killed; return how many there were.

        Those of a process that lives, or of another machine on the same engine, are left alone.
        """
        containers = [
            container
            for container in self._containers(self._owner)
            if owner.is_dead(container.labels[self._owner])
        ]
        for container in containers:
            remove_container(container)
        volumes = [
            volume
            for volume in self._volumes(self._owner)
            if owner.is_dead(volume.attrs["Labels"][self._owner])
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

    def clean(self, scope: Scope, *, dry_run: bool = False) -> CleanupPlan:
        """Remove what is meant, and return what that was.

        Args:
            scope: what is meant.
            dry_run: remove nothing; return what would be removed.
        """
        plan = plan_cleanup(self.inventory(), scope)
        if dry_run:
            return plan
        for container in plan.containers:
            with suppress(NotFound):
                self.client.api.remove_container(container.id, force=True)
        for volume in plan.volumes:
            with suppress(NotFound):
                self.client.api.remove_volume(volume.name, force=True)
        # An image that others are made from comes after them.
        images = tuple(each for each in plan.images if self._remove_image(each))
        busy = len(plan.images) - len(images)
        spared = replace(plan.spared, images=plan.spared.images + busy)
        return replace(plan, images=images, spared=spared)

    def remove_superseded(self, run: CurrentRun) -> int:
        """Remove the images that a run has replaced; return how many are gone."""
        plan = plan_superseded(self.inventory(), run)
        return sum(self._remove_image(each) and each.whole for each in plan)

    def inventory(self) -> Inventory:
        """Return all that the project has made."""
        return Inventory(
            containers=tuple(map(self._container, self._containers(self.label))),
            volumes=tuple(map(self._volume, self._volumes(self.label))),
            images=tuple(self._images()),
        )

    def _remove_image(self, removal: ImageRemoval) -> bool:
        """Remove an image or some of its names; return False if a container came to use it."""
        if removal.names is None:
            return self._remove_name(removal.image.id, force=True)
        return all(self._remove_name(name) for name in removal.names)

    def _remove_name(self, name: str, *, force: bool = False) -> bool:
        try:
            self.client.api.remove_image(name, force=force)
        except NotFound:
            return True
        except APIError as error:
            if error.status_code != _CONFLICT:
                raise
            return False
        return True

    @property
    def _owner(self) -> str:
        return f"{self.label}.owner"

    def _container(self, container: Container) -> FoundContainer:
        labels = container.labels
        made_for = labels.get(f"{self.label}.cell"), labels.get(f"{self.label}.run")
        return FoundContainer(
            id=str(container.id),
            image=container.attrs["Image"],
            volumes=frozenset(
                mount["Name"] for mount in container.attrs["Mounts"] if mount.get("Name")
            ),
            folder=labels.get(f"{self.label}.folder"),
            created=_time(container.attrs.get("Created")),
            in_use=self._is_used(container),
            about=" of run ".join(filter(None, made_for)),
        )

    def _is_used(self, container: Container) -> bool:
        """Tell whether a container is a living run's, as far as can be told.

        One of another machine, or of another boot of this one, is taken for that while it runs.
        """
        made_by = container.labels.get(self._owner)
        if made_by is None:  # kept for a look inside
            return False
        return owner.is_alive(made_by) or (
            not owner.is_dead(made_by) and container.status == "running"
        )

    def _volume(self, volume: Any) -> FoundVolume:  # noqa: ANN401 (the SDK's type has no stub)
        labels = volume.attrs["Labels"]
        return FoundVolume(
            name=volume.name,
            folder=labels.get(f"{self.label}.folder"),
            created=_time(volume.attrs.get("CreatedAt")),
            in_use=owner.is_alive(labels.get(self._owner, "")),
        )

    def _images(self) -> list[FoundImage]:
        api: Any = self.client.api  # without types
        found = []
        for listed in api.images(filters={"label": self.label}):
            with suppress(NotFound):  # it went while they were listed
                found.append(self._image(api.inspect_image(listed["Id"])))
        return found

    def _image(self, about: dict[str, Any]) -> FoundImage:
        labels = about["Config"]["Labels"]
        lock, key = (labels.get(f"{self.label}.{name}", "")[:_DIGITS] for name in ("lock", "key"))
        created = _time(about.get("Created"))
        tagged = _time((about.get("Metadata") or {}).get("LastTagTime"))
        return FoundImage(
            id=about["Id"],
            kind=labels[self.label],
            names=tuple(about.get("RepoTags") or ()),
            shared=f"cell-{lock}-{key}" if lock and key else "",
            created=created,
            used=max(created, tagged),
            size=about.get("Size") or 0,
        )

    def _containers(self, label: str) -> list[Container]:
        # One that goes while they are listed is none of them.
        return self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)

    def _volumes(self, label: str) -> list[Any]:
        return list(self.client.volumes.list(filters={"label": label}))


def _time(text: str | None) -> datetime:
    """Return a time of the engine's; one that it leaves out is long ago."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return _NEVER
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def remove_container(container: Container) -> None:
    """Remove a container, whatever it does, unless it is gone already."""
    with suppress(NotFound):
        container.remove(force=True)


def remove_volume(volume: Any) -> None:  # noqa: ANN401 (the SDK's type has no stub)
    """Remove a volume, unless it is gone already."""
    with suppress(NotFound):
        volume.remove(force=True)
