"""Bad inputs by the thousand, counted: `PYTHONPATH=tests python -m fuzz [--inputs N] [--seed N]`.

Whatever the bytes, the readers answer in their own words: the matrix loader with a Matrix or a
MatrixFileError, the result reader with evidence or a problem, the run folder with what it can read,
a plan or a lock with what it says or a refusal.
Anything else is printed with the input that made it, and exits with 1.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from fuzz import readers

REPEATABLE_SHOWN = 300


def main() -> int:
    """Fuzz each reader; return 1 where one of them raised what it must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory(prefix="matrixci-fuzz-") as folder:
        for name, (samples, read) in readers.readers(Path(folder)).items():
            status |= fuzz(name, samples, read, options.inputs, options.seed)
    return status


def fuzz(
    name: str,
    samples: Mapping[str, bytes],
    read: Callable[[bytes], str],
    inputs: int,
    seed: int,
) -> int:
    """Feed a reader with inputs made of samples; print how many came to what."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    came_to: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(inputs):
        data = readers.damaged(chance, list(samples.values()))
        try:
            came_to[read(data)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            print(f"{name}: input {number} of seed {seed}: {error!r}\n{data[:REPEATABLE_SHOWN]!r}")
            came_to["RAISED"] += 1
    told = ", ".join(f"{count} {what}" for what, count in sorted(came_to.items()))
    print(f"{name}: {inputs} inputs in {time.monotonic() - began:.0f} s: {told}")
    return int(came_to["RAISED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
