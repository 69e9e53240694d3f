"""A cell of a run is run again as it was, and nothing is left of it."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine_state import TIMEOUT_SECONDS, docker, resources_of, wait_until
from toy import PASSING, Ran, Toy

INSIDE = Path(__file__).parents[1] / "support/sandbox_checks.py"
MIXED = {
    "test_toy.py": """
        import pytest
        import toysubject

        def test_answers():
            '''The toy knows the answer.'''
            print("said by the check that passes")
            assert toysubject.ANSWER == 42

        @pytest.mark.parametrize("number", [1, 2])
        def test_fails(number):
            '''The toy knows no other.'''
            print("said by the check that fails", number)
            assert toysubject.ANSWER == number
    """
}
FAILS = "test_toy.py::test_fails[1]"


@dataclass(frozen=True, kw_only=True)
class Again:
    """What a reproduction came to."""

    code: int
    out: str
    err: str


def arguments(toy: Toy, ran: Ran, *words: str) -> list[str]:
    (cell,) = ran.stored.results
    argv = [sys.executable, "-m", "matrixci", "reproduce", cell, *words]
    return [*argv, "--run", ran.run, "--work-dir", str(toy.work_dir)]


def again(toy: Toy, ran: Ran, *words: str, typed: str = "") -> Again:
    """Run a cell again, which must leave nothing behind."""
    done = subprocess.run(
        arguments(toy, ran, *words),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=toy.folder,
        env=dict(os.environ),
    )
    assert "Traceback" not in done.stderr
    if "--keep" not in words:
        assert [thing for name in names(toy) for thing in resources_of(name)] == []
    return Again(code=done.returncode, out=done.stdout, err=done.stderr)


def names(toy: Toy) -> Sequence[str]:
    """Return the ids of the reproductions that there were."""
    return [path.name for path in (toy.work_dir / "reproductions").glob("*")]


def test_a_cell_is_run_again_with_all_its_checks(toy: Toy) -> None:
    ran = toy.run(MIXED)
    done = again(toy, ran)
    assert done.code == ran.exit_code == 1
    assert "said by the check that passes" in done.out
    assert "said by the check that fails 2" in done.out
    assert f"failed  {FAILS}  (in the run: failed)" in done.out
    assert "note:" not in done.err
    assert "built anew" not in done.err


def test_a_check_is_run_again_alone(toy: Toy) -> None:
    ran = toy.run(MIXED)
    done = again(toy, ran, FAILS)
    assert done.code == 1
    assert "said by the check that fails 1" in done.out
    assert "said by the check that fails 2" not in done.out
    assert "said by the check that passes" not in done.out
    assert again(toy, ran, "*test_answers").code == 0


def test_it_is_shut_in_as_before(toy: Toy) -> None:
    modes = {"plain": {"environment": {"OF_THE_CELL": "1"}}}
    ran = toy.run({"test_inside.py": INSIDE.read_text()}, modes)
    done = again(toy, ran)
    assert done.code == 0, done.out


def test_checks_that_were_edited_do_not_change_a_reproduction(toy: Toy) -> None:
    ran = toy.run(MIXED)
    toy.write(PASSING)
    done = again(toy, ran)
    assert done.code == 1
    assert f"failed  {FAILS}  (in the run: failed)" in done.out
    assert "changed since" not in done.out + done.err
    edited = again(toy, ran, "--checks", str(toy.checks))
    assert edited.code == 0
    assert f"with the checks in {toy.checks}" in edited.out
    for archive in (toy.work_dir / "runs" / ran.run / "checks").iterdir():
        archive.unlink()
    older = again(toy, ran)
    assert older.code == 0
    assert "the checks have changed since the run" in older.out


def test_an_image_that_is_gone_is_built_from_the_stored_lock(toy: Toy) -> None:
    ran = toy.run(PASSING, precompile=["import pytest", "import json"])
    (cell,) = ran.cells.values()
    assert cell.image is not None
    docker("image", "rm", "--force", cell.image.id)
    done = again(toy, ran)
    assert done.code == 0, done.err
    assert "built anew from the stored lock" in done.err
    assert "made otherwise" not in done.err
    assert docker("image", "ls", "--quiet", cell.image.tag).split()


def test_a_shell_is_opened_where_the_checks_are(toy: Toy) -> None:
    ran = toy.run(MIXED)
    script = """
        python3 -c 'import toysubject; print("answer", toysubject.ANSWER)'
        python3 /matrixci/harness/supervise.py >/dev/null
        tail -n 1 /matrixci/results/results.jsonl
        python3 /matrixci/harness/supervise.py 2>&1 | grep -c 'is there already'
        check && echo unexpected
        check test_toy.py::test_answers && check '*test_answers' && echo "twice as $USER"
        touch /written 2>/dev/null || echo shut in
        exit 5
    """
    done = again(toy, ran, FAILS, "--shell", typed=script)
    assert done.code == 5, done.err
    assert "answer 42" in done.out
    assert '"kind": "footer"' in done.out
    assert "\n1\n" in done.out
    assert f"failed  {FAILS}\n    assert 42 == 1\n" in done.out
    assert "unexpected" not in done.out
    assert done.out.count("\npassed  test_toy.py::test_answers\n") == 2
    assert "twice as matrixci" in done.out
    assert "shut in" in done.out


def test_the_prompt_of_a_shell_names_the_cell(toy: Toy) -> None:
    ran = toy.run(PASSING)
    (cell,) = ran.stored.results
    prompt = f"{cell}$ ".encode()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        arguments(toy, ran, "--shell"), stdin=theirs, stdout=theirs, stderr=theirs, cwd=toy.folder
    ) as process:
        os.close(theirs)
        try:
            said = read_until(ours, prompt)
            assert b"no name" not in said
            os.write(ours, b"check\n")
            assert b"passed  test_toy.py::test_answers" in read_until(ours, prompt)
            os.write(ours, b"exit 3\n")
            assert process.wait(TIMEOUT_SECONDS) == 3
        finally:
            process.kill()
            os.close(ours)
    assert [thing for name in names(toy) for thing in resources_of(name)] == []


def read_until(terminal: int, end: bytes) -> bytes:
    """Return what is printed at a terminal up to a prompt."""
    said = b""
    while not said.endswith(end):
        ready, _, _ = select.select([terminal], [], [], TIMEOUT_SECONDS)
        assert ready, said
        said += os.read(terminal, 4096)
    return said


def test_checks_import_from_their_folder_by_its_name(toy: Toy) -> None:
    files = {
        "helpers.py": "ANSWER = 42\n",
        "test_toy.py": """
            import helpers
            from checks.helpers import ANSWER

            def test_answers():
                assert ANSWER == helpers.ANSWER
        """,
    }
    ran = toy.run(files)
    assert ran.exit_code == 0
    assert again(toy, ran).code == 0


def test_a_container_can_be_kept(toy: Toy) -> None:
    ran = toy.run(MIXED)
    done = again(toy, ran, "--keep")
    (name,) = names(toy)
    try:
        container, volume = resources_of(name)
        assert container in done.err
        # Runs that come later sweep up what was lost, and nothing else.
        toy.run(PASSING)
        assert resources_of(name) == [container, volume]
        assert docker("cp", f"{container}:/matrixci/results/results.jsonl", str(toy.folder)) == ""
    finally:
        for container in docker("ps", "-aq", "--filter", f"label=org.matrixci.run={name}").split():
            docker("rm", "--force", "--volumes", container)
        for volume in resources_of(name):
            docker("volume", "rm", volume)


def test_an_interruption_leaves_nothing(toy: Toy) -> None:
    slow = "import time\n\ndef test_slow():\n    print('begun', flush=True)\n    time.sleep({})\n"
    ran = toy.run({"test_toy.py": slow.format(0)})
    toy.write({"test_toy.py": slow.format(300)})
    with subprocess.Popen(
        arguments(toy, ran, "--checks", str(toy.checks)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=toy.folder,
    ) as process:
        try:
            began = wait_until(lambda: [t for name in names(toy) for t in resources_of(name)])
            assert began
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert [thing for name in names(toy) for thing in resources_of(name)] == []
