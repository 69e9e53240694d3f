"""Time matrixci without caches against a plain loop of `docker build` with pip and `docker run`.

Usage: plain_loop.py [--rounds N] CELL...

Both run the same cells from the same locks and base images. Before each of them, the images of
cells and the whole build cache of the engine are removed. Prints the times of each round, the
medians, and the ratio of each round.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from matrixci.locks.index_settings import build_secrets
from matrixci.sandbox.files import COMMAND
from matrixci.util.resources import data_folder

DOCKERFILE = """\
FROM {base}
RUN python3 -m ensurepip
COPY requirements.txt /
RUN --mount=type=secret,id=ca --mount=type=secret,id=index \\
    . /run/secrets/index; [ ! -f /run/secrets/ca ] || export PIP_CERT=/run/secrets/ca; \\
    python3 -m pip install --no-cache-dir --no-deps --requirement /requirements.txt
"""


def call(*argv: str | Path, statuses: tuple[int, ...] = (0,)) -> float:
    """Run a command, check its exit status, and return the seconds it took."""
    began = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode not in statuses:
        sys.exit(f"{argv}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return time.monotonic() - began


def remove_builds() -> None:
    """Remove cell images and the build cache; keep base images."""
    call("docker", "image", "prune", "--all", "--force", "--filter", "label=org.matrixci=image")
    call("docker", "buildx", "prune", "--all", "--force")


def time_matrixci(cells: list[str], work_dir: Path) -> float:
    """Run the cells with matrixci; return the seconds."""
    chosen = [word for cell in cells for word in ("--cell", cell)]
    argv = [
        sys.executable,
        "-m",
        "matrixci",
        "matrix",
        "--fresh",
        "--work-dir",
        str(work_dir),
        *chosen,
    ]
    return call(*argv, statuses=(0, 1))


def time_plain_loop(cells: list[str], work_dir: Path) -> float:
    """Build and run all cells in a plain loop; return the seconds."""
    return sum(plain_cell(cell, work_dir / "runs/latest") for cell in cells)


def plain_cell(cell: str, run: Path) -> float:
    """Build and run one cell from the lock of an earlier run; return the seconds."""
    result = json.loads((run / f"cells/{cell}.json").read_text())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = folder / "context"
        context.mkdir()
        pins = [
            f"{package}=={version}\n" for package, version in result["lock"]["versions"].items()
        ]
        (context / "requirements.txt").write_text("".join(pins))
        (context / "Dockerfile").write_text(DOCKERFILE.format(base=result["image"]["base"]))
        secrets = [
            f"--secret=id={secret},src={path}" for secret, path in build_secrets(folder).items()
        ]
        tag = f"matrixci/plain:{cell}"
        label = "--label=org.matrixci=image"
        seconds = call("docker", "build", "--no-cache", label, "-t", tag, *secrets, context)
        description = {
            "schema": 1,
            "nonce": "",
            "run": "",
            "cell": cell,
            "axes": result["cell"]["axes"],
            "device": "cuda" if result["cell"]["gpu"] else "cpu",
            "subject": "transformers",
            "requires": result["cell"]["requires"],
            "lock": result["lock"]["versions"],
            "torch_backend": None,
            "torch_fallback": True,
            "select": None,
            "only": None,
            "limits": {"check_seconds": 600},
        }
        mounted = folder / "matrixci"
        shutil.copytree(data_folder("harness"), mounted / "harness")
        shutil.copytree(data_folder("checks"), mounted / "checks")
        (mounted / "results").mkdir()
        (mounted / "cell.json").write_text(json.dumps(description))
        volume = f"--volume={mounted}:/matrixci"
        argv = ["docker", "run", "--rm", "--network=none", "--cpus=1", volume, tag, *COMMAND]
        return seconds + call(*argv)


def main() -> None:
    """Time both in each round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("cells", nargs="*", default=["py3.11-numpy2-cpu", "py3.12-numpy1-cpu"])
    options = parser.parse_args()
    print(f"{' and '.join(options.cells)}; {os.cpu_count()} CPUs")
    rounds = []
    for number in range(1, options.rounds + 1):
        with tempfile.TemporaryDirectory() as name:
            remove_builds()
            own = time_matrixci(options.cells, Path(name))
            remove_builds()
            plain = time_plain_loop(options.cells, Path(name))
        rounds.append((own, plain))
        print(f"round {number}: matrixci {own:.0f} s, plain loop {plain:.0f} s")
    own, plain = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = ", ".join(f"{plain / own:.2f}" for own, plain in rounds)
    print(f"medians: matrixci {own:.0f} s, plain loop {plain:.0f} s; plain/matrixci {ratios}")


if __name__ == "__main__":
    main()
