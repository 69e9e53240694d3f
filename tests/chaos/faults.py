"""Faults that are injected while a matrix runs."""

import random
import signal
import subprocess
import time
from enum import StrEnum
from typing import Final, assert_never

from engine_state import running_containers

from chaos.scene import Scene


class Fault(StrEnum):
    """Kinds of faults."""

    ENGINE_KILLED = "engine killed, restarted"
    ENGINE_ENDED = "engine stopped, restarted"
    CONTAINER_KILLED = "container killed"
    CONTAINER_REMOVED = "container removed"
    IMAGE_REMOVED = "image removed"
    INDEX_CUT = "index cut"
    INTERRUPTED = "run interrupted, resumed"
    TERMINATED = "run terminated, resumed"
    KILLED = "run killed, resumed"


def inject(
    fault: Fault, scene: Scene, command: subprocess.Popen[bytes], chance: random.Random
) -> bool:
    """Inject a fault; return whether it was possible."""
    match fault:
        case Fault.ENGINE_KILLED:
            return _restart_engine(scene, chance, signal.SIGKILL)
        case Fault.ENGINE_ENDED:
            return _restart_engine(scene, chance, signal.SIGTERM)
        case Fault.CONTAINER_KILLED:
            return _end_container(scene, chance, "kill")
        case Fault.CONTAINER_REMOVED:
            return _end_container(scene, chance, "rm", "--force")
        case Fault.IMAGE_REMOVED:
            return _remove_image(scene, chance)
        case Fault.INDEX_CUT:
            return _cut_index(scene, chance)
        case Fault.INTERRUPTED | Fault.TERMINATED | Fault.KILLED:
            return _signal_run(command, _SIGNALS[fault])
        case _ as never:
            assert_never(never)


_SIGNALS: Final = {
    Fault.INTERRUPTED: signal.SIGINT,
    Fault.TERMINATED: signal.SIGTERM,
    Fault.KILLED: signal.SIGKILL,
}


def _restart_engine(scene: Scene, chance: random.Random, number: signal.Signals) -> bool:
    scene.own.end(number)
    time.sleep(chance.choice([0, 0, 1]))
    scene.own.start()
    return True


def _remove_image(scene: Scene, chance: random.Random) -> bool:
    listed = scene.own.docker("image", "ls", "matrixci/cell", "--format", "{{.ID}}")
    images = sorted(set(listed.split()))
    return bool(images) and _succeeds(scene, "image", "rm", "--force", chance.choice(images))


def _cut_index(scene: Scene, chance: random.Random) -> bool:
    scene.own.proxy.cut()
    time.sleep(chance.uniform(1, 4))
    scene.own.proxy.restore()
    return True


def _signal_run(command: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    if command.poll() is not None:
        return False
    command.send_signal(number)
    return True


def _end_container(scene: Scene, chance: random.Random, *way: str) -> bool:
    if scene.folder is None:
        return False
    containers = running_containers(scene.folder.name, scene.own.host)
    return bool(containers) and _succeeds(scene, "container", *way, chance.choice(containers))


def _succeeds(scene: Scene, *arguments: str) -> bool:
    """Run a docker command; return whether it succeeded, since its target may be gone."""
    argv = ["docker", "--host", scene.own.host, *arguments]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
