"""Feed thousands of damaged inputs to all readers.

Usage: PYTHONPATH=tests python -m fuzz [--inputs N] [--seed N]

Each reader must return a result or raise its documented error, whatever the bytes: for example, the
matrix loader a Matrix or a MatrixFileError. Any other exception is printed with its input, and the
exit code is 1.
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
    """Fuzz each reader; return 1 if any of them raised an unexpected error."""
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
    """Feed a reader damaged samples; print the counts of its answers."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    answers: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(inputs):
        data = readers.damaged(chance, list(samples.values()))
        try:
            answers[read(data)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            print(f"{name}: input {number} of seed {seed}: {error!r}\n{data[:REPEATABLE_SHOWN]!r}")
            answers["RAISED"] += 1
    counts = ", ".join(f"{count} {answer}" for answer, count in sorted(answers.items()))
    print(f"{name}: {inputs} inputs in {time.monotonic() - began:.0f} s: {counts}")
    return int(answers["RAISED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
