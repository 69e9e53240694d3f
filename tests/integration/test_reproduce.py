"""Tests of reproducing a cell of an earlier run."""

import os
import pty
import select
import signal
import subprocess
from pathlib import Path

from engine_state import TIMEOUT_SECONDS, docker, resources_of, wait_until
from reproduction import arguments, names, reproduce
from toy import PASSING, Toy

SANDBOX_CHECKS = Path(__file__).parents[1] / "support/sandbox_checks.py"
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


def test_cell_is_reproduced_with_all_its_checks(toy: Toy) -> None:
    ran = toy.run(MIXED)
    done = reproduce(toy, ran)
    assert done.code == ran.exit_code == 1
    assert "said by the check that passes" in done.out
    assert "said by the check that fails 2" in done.out
    assert f"failed  {FAILS}  (in the run: failed)" in done.out
    assert "note:" not in done.err
    assert "rebuilding" not in done.err


def test_single_check_is_reproduced(toy: Toy) -> None:
    ran = toy.run(MIXED)
    done = reproduce(toy, ran, FAILS)
    assert done.code == 1
    assert "said by the check that fails 1" in done.out
    assert "said by the check that fails 2" not in done.out
    assert "said by the check that passes" not in done.out
    assert reproduce(toy, ran, "*test_answers").code == 0


def test_reproduction_runs_in_the_same_sandbox(toy: Toy) -> None:
    modes = {"plain": {"environment": {"OF_THE_CELL": "1"}}}
    ran = toy.run({"test_sandbox_checks.py": SANDBOX_CHECKS.read_text()}, modes)
    done = reproduce(toy, ran)
    assert done.code == 0, done.out


def test_edited_checks_do_not_change_a_reproduction(toy: Toy) -> None:
    ran = toy.run(MIXED)
    toy.write(PASSING)
    done = reproduce(toy, ran)
    assert done.code == 1
    assert f"failed  {FAILS}  (in the run: failed)" in done.out
    assert "changed since" not in done.out + done.err
    edited = reproduce(toy, ran, "--checks", str(toy.checks))
    assert edited.code == 0
    assert f"with the checks in {toy.checks}" in edited.out
    for archive in (toy.work_dir / "runs" / ran.run / "checks").iterdir():
        archive.unlink()
    older = reproduce(toy, ran)
    assert older.code == 0
    assert "the checks have changed since the run" in older.out


def test_missing_image_is_rebuilt_from_the_stored_lock(toy: Toy) -> None:
    ran = toy.run(PASSING, precompile=["import pytest", "import json"])
    (cell,) = ran.cells.values()
    assert cell.image is not None
    docker("image", "rm", "--force", cell.image.id)
    done = reproduce(toy, ran)
    assert done.code == 0, done.err
    assert "rebuilding it from the stored lock" in done.err
    assert "the new image differs" not in done.err
    assert docker("image", "ls", "--quiet", cell.image.tag).split()


def test_shell_is_opened_in_the_container(toy: Toy) -> None:
    ran = toy.run(MIXED)
    script = """
        python3 -c 'import toysubject; print("answer", toysubject.ANSWER)'
        python3 /matrixci/harness/supervise.py >/dev/null
        tail -n 1 /matrixci/results/results.jsonl
        python3 /matrixci/harness/supervise.py 2>&1 | grep -c 'written only once'
        check && echo unexpected
        check test_toy.py::test_answers && check '*test_answers' && echo "twice as $USER"
        touch /written 2>/dev/null || echo read-only
        exit 5
    """
    done = reproduce(toy, ran, FAILS, "--shell", typed=script)
    assert done.code == 5, done.err
    assert "answer 42" in done.out
    assert '"kind": "footer"' in done.out
    assert "\n1\n" in done.out
    assert f"failed  {FAILS}\n    assert 42 == 1\n" in done.out
    assert "unexpected" not in done.out
    assert done.out.count("\npassed  test_toy.py::test_answers\n") == 2
    assert "twice as matrixci" in done.out
    assert "read-only" in done.out


def test_shell_prompt_names_the_cell(toy: Toy) -> None:
    ran = toy.run(PASSING)
    (cell,) = ran.stored.results
    prompt = f"{cell}$ ".encode()
    terminal, of_process = pty.openpty()
    with subprocess.Popen(
        arguments(toy, ran, "--shell"),
        stdin=of_process,
        stdout=of_process,
        stderr=of_process,
        cwd=toy.folder,
    ) as process:
        os.close(of_process)
        try:
            printed = read_until(terminal, prompt)
            assert b"no name" not in printed
            os.write(terminal, b"check\n")
            assert b"passed  test_toy.py::test_answers" in read_until(terminal, prompt)
            os.write(terminal, b"exit 3\n")
            assert process.wait(TIMEOUT_SECONDS) == 3
        finally:
            process.kill()
            os.close(terminal)
    assert [each for name in names(toy) for each in resources_of(name)] == []


def read_until(terminal: int, end: bytes) -> bytes:
    """Read the output of a terminal up to a prompt."""
    printed = b""
    while not printed.endswith(end):
        ready, _, _ = select.select([terminal], [], [], TIMEOUT_SECONDS)
        assert ready, printed
        printed += os.read(terminal, 4096)
    return printed


def test_checks_import_helpers_from_their_folder(toy: Toy) -> None:
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
    assert reproduce(toy, ran).code == 0


def test_container_can_be_kept(toy: Toy) -> None:
    ran = toy.run(MIXED)
    done = reproduce(toy, ran, "--keep")
    (name,) = names(toy)
    try:
        container, volume = resources_of(name)
        assert container in done.err
        # Later runs remove only the leftovers of dead runs.
        toy.run(PASSING)
        assert resources_of(name) == [container, volume]
        assert docker("cp", f"{container}:/matrixci/results/results.jsonl", str(toy.folder)) == ""
    finally:
        for container in docker("ps", "-aq", "--filter", f"label=org.matrixci.run={name}").split():
            docker("rm", "--force", "--volumes", container)
        for volume in resources_of(name):
            docker("volume", "rm", volume)


def test_interrupted_reproduction_leaves_nothing(toy: Toy) -> None:
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
    assert [each for name in names(toy) for each in resources_of(name)] == []
