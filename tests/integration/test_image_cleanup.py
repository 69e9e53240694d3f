"""Automatic removal of images of earlier runs, and the `clean` command."""

import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from engine_state import docker
from listeners import RecordingListener
from reproduction import reproduce
from scenarios import BLOCKING, MODES, is_blocked, release
from toy import PASSED, PASSING, Ran, Toy, write_toy_subject

from matrixci.model import ImageRecord

FAILING = {"test_toy.py": "def test_fails():\n    assert False\n"}


def edited(toy: Toy) -> Toy:
    """Return a toy in the same folder with an edited subject."""
    folder = toy.folder / secrets.token_hex(4)
    folder.mkdir()
    return replace(toy, wheel=write_toy_subject(folder, secrets.token_hex(8)))


def image_of(ran: Ran) -> ImageRecord:
    image = ran.cells["plain"].image
    assert image is not None
    return image


def is_there(image: ImageRecord) -> bool:
    return bool(docker("image", "ls", "--quiet", image.tag).split())


def clean(toy: Toy, *words: str) -> list[str]:
    argv = [sys.executable, "-m", "matrixci", "clean", "--work-dir", str(toy.work_dir), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


@contextmanager
def elsewhere(toy: Toy, folder: Path) -> Iterator[Toy]:
    """Return a toy in another folder with the same subject."""
    with ExitStack() as stack:
        other = replace(toy, folder=folder)
        stack.callback(other.clear)
        other.temporary.mkdir(parents=True)
        yield other


def test_image_of_an_earlier_run_is_removed_after_an_edit(toy: Toy, first_run: Ran) -> None:
    before = image_of(toy_run := edited(toy).run(PASSING))
    assert is_there(before)
    heard = RecordingListener()
    ran = edited(toy).run(PASSING, listener=heard)
    assert ran.outcomes == toy_run.outcomes == {"plain": PASSED}
    assert "removed 1 image of earlier runs of this matrix" in heard.remarks
    assert not is_there(before)
    assert docker("image", "ls", "--quiet", "--filter", f"reference={before.id}") == ""
    assert is_there(image_of(ran))
    assert is_there(image_of(first_run))  # in another folder

    # The image can be rebuilt from the stored lock and the kept wheel.
    done = reproduce(toy, toy_run)
    assert done.code == 0, done.err
    assert "rebuilding it from the stored lock" in done.err
    assert is_there(before)


def test_image_of_two_folders_is_removed_with_its_last_use(toy: Toy, tmp_path: Path) -> None:
    here = edited(toy)
    with elsewhere(here, tmp_path / "other") as there:
        shared = image_of(here.run(PASSING))
        assert image_of(there.run(PASSING)) == shared.model_copy(
            update={"reused": True, "log": None}
        )
        edited(here).run(PASSING)
        assert is_there(shared)
        said = clean(there, "--older-than", "1d")
        assert said[0].startswith("removed 0 containers, 0 volumes, 0 images; kept ")
        assert "of other folders" in said[0]
        assert is_there(shared)
        edited(there).run(PASSING)
        assert not is_there(shared)


def test_last_green_image_is_kept_while_the_cell_is_red(toy: Toy) -> None:
    green, red = image_of(edited(toy).run(PASSING)), image_of(edited(toy).run(FAILING))
    assert is_there(green)
    still_red = image_of(edited(toy).run(FAILING))
    assert [is_there(each) for each in (green, red, still_red)] == [True, False, True]
    edited(toy).run(PASSING)
    assert [is_there(each) for each in (green, still_red)] == [False, False]


def test_image_of_an_unselected_cell_is_kept(toy: Toy) -> None:
    modes = {"plain": {}, "other": {"requires": "six"}}
    ran = edited(toy).run(PASSING, modes)
    image = ran.cells["other"].image
    assert image is not None
    newer = edited(toy)
    newer.write(PASSING, modes)
    with newer.command("--mode", "plain") as command:
        assert command.end() == 0, command.stderr
    assert "removed 1 image of earlier runs" in command.stderr
    newer.ended(newer.latest(), 0)
    assert not is_there(image_of(ran))
    assert is_there(image)


def test_dry_run_lists_what_clean_then_removes(toy: Toy, first_run: Ran) -> None:
    image = image_of(edited(toy).run(PASSING))
    said = clean(toy, "--dry-run")
    assert said[0].startswith("would remove 0 containers, 0 volumes, 1 image; kept ")
    assert "of other folders" in said[0]
    assert image.tag in said[1]
    assert "last used" in said[1]
    assert is_there(image)
    assert clean(toy, "--older-than", "1h")[0].startswith("removed 0 containers, 0 volumes, 0 im")
    assert is_there(image)
    (summary, *_) = clean(toy)
    assert summary.startswith("removed 0 containers, 0 volumes, 1 image; kept ")
    assert "of other folders" in summary
    assert not is_there(image)
    assert is_there(image_of(first_run))


def test_dry_run_of_everything_lists_the_build_cache(first_run: Ran, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "matrixci", "clean", "--all", "--dry-run"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "build cache: " in done.stdout
    assert image_of(first_run).tag in done.stdout
    assert image_of(first_run).base in done.stdout
    assert is_there(image_of(first_run))


def test_interrupted_run_replaces_images(toy: Toy) -> None:
    quick = {"quick": MODES["quick"]}
    before = edited(toy).run(BLOCKING, quick).cells["quick"].image
    assert before is not None
    newer = edited(toy)
    newer.write(BLOCKING, MODES)
    with newer.command("--fresh") as command:
        command.wait_for(lambda: is_blocked(newer))
        assert is_there(before)
        assert command.end(signal.SIGINT) == 130
    assert "removed 1 image of earlier runs" in command.stderr
    newer.stored_run(newer.work_dir / "runs" / newer.latest())
    assert not is_there(before)


def test_images_are_kept_while_another_run_is_in_progress(toy: Toy) -> None:
    older = edited(toy)
    older.write(BLOCKING, MODES)
    with older.command("--fresh", name="older-") as command:
        command.wait_for(lambda: is_blocked(older, "older-"))
        in_progress = older.latest()
        said = clean(toy)
        assert "kept 1 container, 1 volume, 1 image in use by a run" in said[0]
        newer = edited(toy)
        newer.write(BLOCKING, {"quick": MODES["quick"]})
        with newer.command("--fresh", name="newer-") as other:
            assert other.end() == 0, other.stderr
        assert "of earlier runs" not in other.stderr
        newest = newer.latest()
        command.wait_for(lambda: release(in_progress))
        assert command.end() == 0, command.stderr
    older.ended(in_progress, 0)
    newer.ended(newest, 0)
