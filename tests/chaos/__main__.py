"""Run toy matrices while injecting a fault every few seconds.

Usage: python -m chaos [--matrices N] [--seed N]

Uses a separate engine, which may be killed. In spite of all faults, each cell must reach its usual
outcome, finished results must not change, and nothing may be left behind.
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

SECONDS_BETWEEN = (2.0, 8.0)
"""Minimum and maximum time between two faults."""
MAX_FAULTS = 8
"""Faults in one matrix, so that it can finish."""
EXTRA = [Fault.CONTAINER_KILLED, Fault.CONTAINER_REMOVED, Fault.IMAGE_REMOVED] * 2
"""Drawn more often than others, because often there is nothing to remove."""
MAX_COMMANDS = 12
"""Commands that may start or resume a matrix until it is finished."""
FINAL = {0, 1}
LIMITS = {"check-timeout": 60, "cell-timeout": 120}


def main() -> int:
    """Run the matrices; return 1 if any result is wrong or anything is left behind."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--matrices", type=int, default=10)
    parser.add_argument(
        "--seed", type=int, default=0, help="for the choice of faults; their timing varies"
    )
    options = parser.parse_args()
    try:
        counted = run_matrices(options.matrices, options.seed)
    except pytest.skip.Exception as reason:
        print(f"skipped: {reason}")
        return 1
    print(f"\n{options.matrices} matrices, seed {options.seed}:")
    for name, count in sorted(counted.items()):
        print(f"{count:5} {name}")
    return int(counted["WRONG"] > 0)


def run_matrices(matrices: int, seed: int) -> Counter[str]:
    """Run matrices on a separate engine; return counts of faults and outcomes."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
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
    """Return the base images of the toy, which the shared engine pulls or assembles."""
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
    """Run one matrix while injecting faults; print a summary and return counts."""
    scene = Scene(toy=Toy(folder=folder, wheel=wheel, built=set()), own=own)
    scene.toy.temporary.mkdir(parents=True)
    # A unique statement gives this matrix new images, whose builds take a moment.
    statement = f"import time; print({secrets.token_hex(8)!r}); time.sleep(2)"
    scene.toy.write(CHECKS, MODES, LIMITS, retries=4, precompile=[statement])
    began = time.monotonic()
    faults: list[Fault] = []
    wrong: list[str] = []
    status, commands, stderr = -1, 0, ""
    while status not in FINAL and commands < MAX_COMMANDS:
        more = [] if scene.folder is None else ["--resume"]
        commands += 1
        with scene.toy.command(*more, environment=scene.environment) as command:
            while command.process.poll() is None:
                wait = time.monotonic() + chance.uniform(*SECONDS_BETWEEN)
                while time.monotonic() < wait and command.process.poll() is None:
                    time.sleep(0.05)
                if len(faults) < MAX_FAULTS and command.process.poll() is None:
                    scene.remember()
                    faults += inject_any(scene, command.process, chance)
            status = command.end()
        stderr = command.stderr
        if "Traceback" in stderr:
            wrong.append(stderr[-3000:])
    if status not in FINAL:
        wrong.append(f"not finished: exit status {status}")
    wrong += scene.wrong(stderr)
    if not wait_until(lambda: not scene.left()):
        wrong += [f"left behind: {scene.left()}"]
    seconds = time.monotonic() - began
    return summarize(scene, faults, commands, seconds, wrong)


def inject_any(
    scene: Scene, command: subprocess.Popen[bytes], chance: random.Random
) -> Iterator[Fault]:
    """Inject the first of the drawn faults that is possible, and yield it."""
    drawn = list(Fault) + EXTRA
    for fault in chance.sample(drawn, k=len(drawn)):
        if inject(fault, scene, command, chance):
            yield fault
            return


def summarize(
    scene: Scene, faults: list[Fault], commands: int, seconds: float, wrong: list[str]
) -> Counter[str]:
    """Print the faults and results of a matrix; return counts."""
    results = read_run(scene.folder).results.values() if scene.folder else ()
    outcomes = Counter(f"cells {cell.outcome}" for cell in results)
    attempts = Counter("cells retried" for cell in results if cell.attempts > 1)
    print(
        f"{scene.toy.folder.name}: {'WRONG' if wrong else 'right'} in {seconds:.0f} s, "
        f"{commands} commands, {len(scene.finished)} cells finished before a fault; "
        f"{', '.join(faults)}",
        flush=True,
    )
    for line in wrong:
        print(f"    {line}", flush=True)
    counted = Counter({"matrices": 1, "commands": commands, "WRONG": len(wrong)})
    return counted + outcomes + attempts + Counter(f"fault: {fault}" for fault in faults)


if __name__ == "__main__":
    sys.exit(main())
