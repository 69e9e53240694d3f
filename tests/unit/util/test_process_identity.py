import os
import subprocess

from matrixci.util.process_identity import is_alive, is_dead, this_process


def test_only_certain_states_of_a_process_are_reported() -> None:
    process = subprocess.Popen(["true"])
    dead = this_process().replace(f"/{os.getpid()}/", f"/{process.pid}/")
    process.wait()
    for label, alive, gone in (
        (this_process(), True, False),
        (dead, False, True),
        ("another-machine/boot/1/1", False, False),
        ("", False, False),
        ("nonsense", False, False),
    ):
        assert (is_alive(label), is_dead(label)) == (alive, gone)
