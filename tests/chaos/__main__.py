"""Run toy matrices while injecting a fault every few seconds.

Usage: python -m chaos [--matrices N] [--seed N]

The engine is one of its own, so it may be killed. Whatever happened, each cell must come to what it
comes to without a fault, what had finished must stay as it was, and nothing may be left.
"""

import argparse
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_state import docker, wait_until
from own_engine import DisconnectedEngine, own_engine
from toy import PASSING, Toy, write_toy_subject

from chaos.faults import Fault, inject
from chaos.scene import CHECKS, MODES, Scene
from matrixci.runs.folder import read_run

BETWEEN = (2.0, 8.0)
"""Seconds from one fault to the next, at least and at most."""
MOST = 8
"""Faults in one matrix; then it is left alone, so that it comes to an end."""
OFTEN = [Fault.CONTAINER_KILLED, Fault.CONTAINER_REMOVED, Fault.IMAGE_REMOVED] * 2
"""More often than the others, for often there is nothing to remove."""
COMMANDS = 12
"""That may begin or go on with a matrix until it has its end."""
FINAL = {0, 1}
LIMITS = {"check-timeout": 60, "cell-timeout": 120}


def main() -> int:
    """Run the matrices; return 1 where something was wrong or left in any."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--matrices", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the draws; not of the timing")
    options = parser.parse_args()
    try:
        counted = throw_at(options.matrices, options.seed)
    except pytest.skip.Exception as skip_or_fail:
        print(f"nothing was tried: {skip_or_fail}")
        return 1
    print(f"\n{options.matrices} matrices, seed {options.seed}:")
    for what, count in sorted(counted.items()):
        print(f"{count:5} {what}")
    return int(counted["WRONG"] > 0)


def throw_at(matrices: int, seed: int) -> Counter[str]:
    """Run matrices on an engine of their own; return what there was, counted."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    counted: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="matrixci-chaos-") as name:
        folder = Path(name)
        wheel = write_toy_subject(folder, secrets.token_hex(8))
        images = base_images(folder, wheel)
        place = folder / "engine"
        place.mkdir()
        with own_engine(place, images) as own:
            for number in range(1, matrices + 1):
                counted += one(folder / str(number), wheel, own, chance)
    return counted


def base_images(folder: Path, wheel: Path) -> list[str]:
    """Return the base images of the toy, which the engine that all use has, or makes."""
    toy = Toy(folder=folder / "first", wheel=wheel, built=set())
    toy.temporary.mkdir(parents=True)
    ran = toy.run(PASSING)
    assert ran.exit_code == 0, ran.outcomes
    image = ran.cells["plain"].image
    assert image is not None
    docker("image", "rm", "--force", image.id)
    form = "{{.Repository}}:{{.Tag}}"
    return [image.base, *docker("image", "ls", "matrixci/system", "--format", form).split()]


def one(folder: Path, wheel: Path, own: DisconnectedEngine, chance: random.Random) -> Counter[str]:
    """Run one matrix to its end through all its faults; print and return what there was."""
    scene = Scene(toy=Toy(folder=folder, wheel=wheel, built=set()), own=own)
    scene.toy.temporary.mkdir(parents=True)
    # Images of this matrix's own, whose builds take a moment.
    statement = f"import time; print({secrets.token_hex(8)!r}); time.sleep(2)"
    scene.toy.write(CHECKS, MODES, LIMITS, retries=4, precompile=[statement])
    began = time.monotonic()
    faults: list[Fault] = []
    wrong: list[str] = []
    status, commands = -1, 0
    while status not in FINAL and commands < COMMANDS:
        more = [] if scene.folder is None else ["--resume"]
        commands += 1
        with scene.toy.command(*more, environment=scene.environment) as command:
            while command.process.poll() is None:
                wait = time.monotonic() + chance.uniform(*BETWEEN)
                while time.monotonic() < wait and command.process.poll() is None:
                    time.sleep(0.05)
                if len(faults) < MOST and command.process.poll() is None:
                    scene.remember()
                    faults += thrown(scene, command.process, chance)
            status = command.end()
        if "Traceback" in command.stderr:
            wrong.append(command.stderr[-3000:])
    if status not in FINAL:
        wrong.append(f"it came to no end: exit status {status}")
    wrong += scene.wrong(command)
    if not wait_until(lambda: not scene.left()):
        wrong += [f"left: {scene.left()}"]
    seconds = time.monotonic() - began
    return told(scene, faults, commands, seconds, wrong)


def thrown(
    scene: Scene, command: subprocess.Popen[bytes], chance: random.Random
) -> Iterator[Fault]:
    """Inject a fault, one that there is something for, and yield it."""
    often = list(Fault) + OFTEN
    for fault in chance.sample(often, k=len(often)):
        if inject(fault, scene, command, chance):
            yield fault
            return


def told(
    scene: Scene, faults: list[Fault], commands: int, seconds: float, wrong: list[str]
) -> Counter[str]:
    """Print what a matrix met and came to; return it, counted."""
    results = read_run(scene.folder).results.values() if scene.folder else ()
    outcomes = Counter(f"cells {cell.outcome}" for cell in results)
    attempts = Counter("cells tried again" for cell in results if cell.attempts > 1)
    print(
        f"{scene.toy.folder.name}: {'WRONG' if wrong else 'right'} in {seconds:.0f} s, "
        f"{commands} commands, {len(scene.finished)} cells had finished before a fault; "
        f"{', '.join(faults)}",
        flush=True,
    )
    for line in wrong:
        print(f"    {line}", flush=True)
    counted = Counter({"matrices": 1, "commands": commands, "WRONG": len(wrong)})
    return counted + outcomes + attempts + Counter(f"fault: {fault}" for fault in faults)


if __name__ == "__main__":
    sys.exit(main())
