"""Tests of full disks and of folders that cannot be written."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_state import docker
from factories import write_wheel
from toy import PASSED, PASSING, Ran, Toy

from matrixci.model import CellOutcome, Reason

pytestmark = pytest.mark.faults

ENGINE = (CellOutcome.ERROR, Reason.ENGINE)


def test_nearly_full_disk_is_refused_before_files_are_created(toy: Toy) -> None:
    toy.write(PASSING, limits={"min-free-disk": "900 TiB"})

    with toy.command() as command:
        assert command.end() == 3

    assert "nearly full" in command.stderr
    assert "921600.00 GiB are needed" in command.stderr
    assert "matrixci clean --all" in command.stderr
    assert "Traceback" not in command.stderr
    assert toy.runs() == []
    assert list(toy.temporary.iterdir()) == []


@pytest.fixture
def base_with_small_file_system(first_run: Ran, tmp_path: Path) -> Iterator[str]:
    """Return a base image in which a package folder links to a small file system."""
    usual = first_run.cells["plain"].image
    assert usual is not None
    name = f"matrixci-tests/base:{secrets.token_hex(8)}"
    packages = "/usr/local/lib/python3/site-packages"
    recipe = f"FROM {usual.base}\nRUN mkdir -p {packages} && ln -s /dev/shm {packages}/toyfull\n"
    argv = ["docker", "buildx", "build", "--builder=default", "--load", f"--tag={name}", "-"]
    # The docker client leaves temporary files behind; keep them out of the folder of the run.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run(argv, input=recipe.encode(), check=True, capture_output=True, env=environment)
    yield name
    docker("image", "rm", name)


def test_disk_that_fills_up_during_a_build_is_an_engine_error(
    toy: Toy, tmp_path: Path, base_with_small_file_system: str
) -> None:
    big = "0" * (100 * 2**20)  # larger than /dev/shm in a build
    wheel = write_wheel(
        tmp_path, "toyfull-1.0", files={"toyfull/__init__.py": "", "toyfull/big.txt": big}
    )
    modes = {"full": {"base": base_with_small_file_system}}

    ran = toy.run(PASSING, modes, subject=str(wheel))

    assert ran.outcomes == {"full": ENGINE}
    assert ran.exit_code == 3
    message = ran.cells["full"].message
    assert "The container engine's disk is full" in message
    assert "matrixci clean --all" in message


@pytest.mark.parametrize("plan", [False, True])
def test_unwritable_output_folder_is_reported_in_one_line(toy: Toy, *, plan: bool) -> None:
    toy.write(PASSING)
    (toy.folder / "file").touch()

    with toy.command(*(["--plan"] if plan else []), work_dir=toy.folder / "file/home") as command:
        assert command.end() == 3

    assert "Traceback" not in command.stderr
    lines = [line for line in command.stderr.splitlines() if "file/home" in line]
    assert len(lines) == 1
    assert list(toy.temporary.iterdir()) == []


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system that is read-only even for root."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1g", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_read_only_output_folder_is_reported_in_one_line(toy: Toy, read_only: Path) -> None:
    toy.write(PASSING)

    with toy.command(work_dir=read_only / "home") as command:
        assert command.end() == 3

    (line,) = command.stderr.splitlines()
    assert str(read_only) in line
    assert "Read-only file system" in line
    assert list(toy.temporary.iterdir()) == []


def test_missing_output_folder_is_created(toy: Toy) -> None:
    toy.write(PASSING)
    deep = toy.folder / "not/there/yet"

    with toy.command(work_dir=deep) as command:
        assert command.end() == 0

    assert (deep / "runs/latest/run.json").is_file()


def test_two_concurrent_runs_share_an_engine_and_a_work_directory(toy: Toy) -> None:
    toy.write(PASSING, {"plain": {}, "other": {"environment": {"OTHER": "1"}}})

    with (
        toy.command("--fresh", name="one") as one,
        toy.command("--fresh", name="two") as two,
    ):
        assert (one.end(), two.end()) == (0, 0)

    assert len(toy.runs()) == 2
    for run in toy.runs():
        assert toy.ended(run, 0).outcomes == {"plain": PASSED, "other": PASSED}
    for command in (one, two):
        assert "cleaned up" not in command.stderr  # each keeps its own containers
