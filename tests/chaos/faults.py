"""Faults that are thrown at a matrix while it runs."""

import random
import signal
import subprocess
import time
from enum import StrEnum
from typing import Final, assert_never

from engine_state import running_containers

from chaos.scene import Scene


class Fault(StrEnum):
    """What goes wrong."""

    ENGINE_KILLED = "engine killed, started anew"
    ENGINE_ENDED = "engine ended, started anew"
    CONTAINER_KILLED = "container killed"
    CONTAINER_REMOVED = "container removed"
    IMAGE_REMOVED = "image removed"
    INDEX_CUT = "index cut"
    INTERRUPTED = "run interrupted, resumed"
    TERMINATED = "run terminated, resumed"
    KILLED = "run killed, resumed"


def inject(  # noqa: PLR0911 - a kind of fault, a way
    fault: Fault, scene: Scene, command: subprocess.Popen[bytes], chance: random.Random
) -> bool:
    """Inject a fault; return whether there was what it goes for."""
    match fault:
        case Fault.ENGINE_KILLED:
            return _to_the_engine(scene, chance, signal.SIGKILL)
        case Fault.ENGINE_ENDED:
            return _to_the_engine(scene, chance, signal.SIGTERM)
        case Fault.CONTAINER_KILLED:
            return _to_a_container(scene, chance, "kill")
        case Fault.CONTAINER_REMOVED:
            return _to_a_container(scene, chance, "rm", "--force")
        case Fault.IMAGE_REMOVED:
            return _to_an_image(scene, chance)
        case Fault.INDEX_CUT:
            return _to_the_index(scene, chance)
        case Fault.INTERRUPTED | Fault.TERMINATED | Fault.KILLED:
            return _to_the_run(command, _SIGNALS[fault])
        case _ as never:
            assert_never(never)


_SIGNALS: Final = {
    Fault.INTERRUPTED: signal.SIGINT,
    Fault.TERMINATED: signal.SIGTERM,
    Fault.KILLED: signal.SIGKILL,
}


def _to_the_engine(scene: Scene, chance: random.Random, number: signal.Signals) -> bool:
    scene.own.end(number)
    time.sleep(chance.choice([0, 0, 1]))
    scene.own.start()
    return True


def _to_an_image(scene: Scene, chance: random.Random) -> bool:
    listed = scene.own.docker("image", "ls", "matrixci/cell", "--format", "{{.ID}}")
    images = sorted(set(listed.split()))
    return bool(images) and _is_done(scene, "image", "rm", "--force", chance.choice(images))


def _to_the_index(scene: Scene, chance: random.Random) -> bool:
    scene.own.proxy.cut()
    time.sleep(chance.uniform(1, 4))
    scene.own.proxy.mend()
    return True


def _to_the_run(command: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    if command.poll() is not None:
        return False
    command.send_signal(number)
    return True


def _to_a_container(scene: Scene, chance: random.Random, *way: str) -> bool:
    if scene.folder is None:
        return False
    containers = running_containers(scene.folder.name, scene.own.host)
    return bool(containers) and _is_done(scene, "container", *way, chance.choice(containers))


def _is_done(scene: Scene, *arguments: str) -> bool:
    """Ask the engine for something; return whether it did it: what it is about may be gone."""
    argv = ["docker", "--host", scene.own.host, *arguments]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
