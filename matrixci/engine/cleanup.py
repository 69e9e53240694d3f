"""Remove what matrixci created on an engine."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from docker.errors import APIError, NotFound
from docker.models.containers import Container

import docker
from matrixci.engine.calls import call_engine
from matrixci.engine.cleanup_plan import (
    CleanupPlan,
    CurrentRun,
    ImageRemoval,
    Scope,
    plan_cleanup,
    plan_superseded,
)
from matrixci.engine.inventory import InventoryReader
from matrixci.engine.labels import OWNER_LABEL, PROJECT_LABEL
from matrixci.util import process_identity

_CONFLICT: Final = 409  # HTTP status if something is in use


class EngineCleanup:
    """Removal of containers, volumes and images that carry the project's label."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._inventory = InventoryReader(client)

    async def sweep(self) -> int:
        """Remove containers and volumes of processes that were killed.

        Those of a live process, or of another machine on the same engine, are left alone.

        Returns:
            How many were removed.

        Raises:
            EngineError: the engine failed.
        """
        return await call_engine(self._sweep)

    async def remove_run(self, run: str) -> None:
        """Remove the containers and volumes of a run that an unreachable engine has kept.

        Raises:
            EngineError: the engine failed.
        """
        await call_engine(partial(self._remove_run, run))

    async def clean(self, scope: Scope, *, dry_run: bool = False) -> CleanupPlan:
        """Remove everything in scope that is not in use.

        Args:
            scope: what the user wants removed.
            dry_run: only return the plan.

        Returns:
            What was removed, or would be.

        Raises:
            EngineError: the engine failed.
        """
        return await call_engine(partial(self._clean, scope, dry_run=dry_run))

    async def remove_superseded(self, run: CurrentRun) -> int:
        """Remove the images that a run has replaced; return how many were removed.

        Raises:
            EngineError: the engine failed.
        """
        return await call_engine(partial(self._remove_superseded, run))

    def _sweep(self) -> int:
        containers = [
            container
            for container in self._inventory.containers(OWNER_LABEL)
            if process_identity.is_dead(container.labels[OWNER_LABEL])
        ]
        for container in containers:
            remove_container(container)
        volumes = [
            volume
            for volume in self._inventory.volumes(OWNER_LABEL)
            if process_identity.is_dead(volume.attrs["Labels"][OWNER_LABEL])
        ]
        for volume in volumes:
            remove_volume(volume)
        return len(containers) + len(volumes)

    def _remove_run(self, run: str) -> None:
        label = f"{PROJECT_LABEL}.run={run}"
        for container in self._inventory.containers(label):
            remove_container(container)
        for volume in self._inventory.volumes(label):
            remove_volume(volume)

    def _clean(self, scope: Scope, *, dry_run: bool) -> CleanupPlan:
        plan = plan_cleanup(self._inventory.read(), scope)
        if dry_run:
            return plan
        for container in plan.containers:
            with suppress(NotFound):
                self._client.api.remove_container(container.id, force=True)
        for volume in plan.volumes:
            with suppress(NotFound):
                self._client.api.remove_volume(volume.name, force=True)
        # The plan lists an image after those that are built on it.
        images = tuple(each for each in plan.images if self._remove_image(each))
        busy = len(plan.images) - len(images)
        spared = replace(plan.spared, images=plan.spared.images + busy)
        return replace(plan, images=images, spared=spared)

    def _remove_superseded(self, run: CurrentRun) -> int:
        plan = plan_superseded(self._inventory.read(), run)
        return sum(self._remove_image(each) and each.whole for each in plan)

    def _remove_image(self, removal: ImageRemoval) -> bool:
        """Remove an image or some of its names; return False if a container uses it by now."""
        if removal.names is None:
            return self._remove_name(removal.image.id, force=True)
        return all(self._remove_name(name) for name in removal.names)

    def _remove_name(self, name: str, *, force: bool = False) -> bool:
        try:
            self._client.api.remove_image(name, force=force)
        except NotFound:
            return True
        except APIError as error:
            if error.status_code != _CONFLICT:
                raise
            return False
        return True


def remove_container(container: Container) -> None:
    """Remove a container, running or not, if it still exists."""
    with suppress(NotFound):
        container.remove(force=True)


def remove_volume(volume: Any) -> None:  # noqa: ANN401 (the SDK's type has no stub)
    """Remove a volume if it still exists."""
    with suppress(NotFound):
        volume.remove(force=True)
