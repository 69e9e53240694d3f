"""List what matrixci created on an engine, by its labels."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from docker.errors import NotFound
from docker.models.containers import Container

import docker
from matrixci.engine.cleanup_plan import FoundContainer, FoundImage, FoundVolume, Inventory
from matrixci.engine.labels import OWNER_LABEL, PROJECT_LABEL
from matrixci.util import process_identity

_DIGITS: Final = 12  # of a digest, in tags of a shared registry
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class InventoryReader:
    """Containers, volumes and images of an engine that carry the project's label."""

    client: docker.DockerClient

    def read(self) -> Inventory:
        """Return everything that matrixci created."""
        return Inventory(
            containers=tuple(map(_container, self.containers(PROJECT_LABEL))),
            volumes=tuple(map(_volume, self.volumes(PROJECT_LABEL))),
            images=tuple(self._images()),
        )

    def containers(self, label: str) -> list[Container]:
        """Return the containers with a label, running or not."""
        # ignore_removed: a container may vanish while they are listed.
        return self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)

    def volumes(self, label: str) -> list[Any]:
        """Return the volumes with a label."""
        return list(self.client.volumes.list(filters={"label": label}))

    def _images(self) -> list[FoundImage]:
        api: Any = self.client.api  # has no types
        found = []
        for listed in api.images(filters={"label": PROJECT_LABEL}):
            with suppress(NotFound):  # removed meanwhile
                found.append(_image(api.inspect_image(listed["Id"])))
        return found


def _container(container: Container) -> FoundContainer:
    labels = container.labels
    created_for = labels.get(f"{PROJECT_LABEL}.cell"), labels.get(f"{PROJECT_LABEL}.run")
    return FoundContainer(
        id=str(container.id),
        image=container.attrs["Image"],
        volumes=frozenset(
            mount["Name"] for mount in container.attrs["Mounts"] if mount.get("Name")
        ),
        work_dir=labels.get(f"{PROJECT_LABEL}.folder"),
        created=_time(container.attrs.get("Created")),
        in_use=_is_in_use(container),
        about=" of run ".join(filter(None, created_for)),
    )


def _is_in_use(container: Container) -> bool:
    """Return whether a container belongs to a run in progress.

    A container from another machine, or from before a reboot, counts as in use while it runs.
    """
    owner = container.labels.get(OWNER_LABEL)
    if owner is None:  # kept for inspection
        return False
    return process_identity.is_alive(owner) or (
        not process_identity.is_dead(owner) and container.status == "running"
    )


def _volume(volume: Any) -> FoundVolume:  # noqa: ANN401 (the SDK's type has no stub)
    labels = volume.attrs["Labels"]
    return FoundVolume(
        name=volume.name,
        work_dir=labels.get(f"{PROJECT_LABEL}.folder"),
        created=_time(volume.attrs.get("CreatedAt")),
        in_use=process_identity.is_alive(labels.get(OWNER_LABEL, "")),
    )


def _image(about: dict[str, Any]) -> FoundImage:
    labels = about["Config"]["Labels"]
    lock, key = (labels.get(f"{PROJECT_LABEL}.{name}", "")[:_DIGITS] for name in ("lock", "key"))
    created = _time(about.get("Created"))
    tagged = _time((about.get("Metadata") or {}).get("LastTagTime"))
    return FoundImage(
        id=about["Id"],
        kind=labels[PROJECT_LABEL],
        names=tuple(about.get("RepoTags") or ()),
        shared=f"cell-{lock}-{key}" if lock and key else "",
        created=created,
        used=max(created, tagged),
        size=about.get("Size") or 0,
    )


def _time(text: str | None) -> datetime:
    """Parse a timestamp of the engine; a missing or invalid one is long ago."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return _LONG_AGO
    return time if time.tzinfo else time.replace(tzinfo=UTC)
