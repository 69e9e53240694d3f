"""What a check can't do, tried by checks inside the container."""

from matrixci.model import CellOutcome

from .toy import Toy, checks_of

INSIDE = {
    "test_inside.py": """
        import errno
        import os
        import pathlib
        import signal
        import socket
        import subprocess
        import sys
        import threading

        import pytest

        STATUS = dict(
            line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines()
        )

        def status(name):
            return STATUS[name].split()

        def test_no_network_is_there_but_loopback():
            assert {name for _, name in socket.if_nameindex()} == {"lo"}

        @pytest.mark.parametrize("address", [("1.1.1.1", 443), ("172.17.0.1", 80)])
        def test_no_connection_goes_out(address):
            with pytest.raises(OSError) as caught:
                socket.create_connection(address, timeout=5)
            assert caught.value.errno == errno.ENETUNREACH

        def test_no_name_is_resolved():
            with pytest.raises(socket.gaierror):
                socket.getaddrinfo("example.com", 443)

        def test_the_user_is_not_root():
            assert status("Uid") == status("Gid") == ["65532"] * 4
            assert set(status("Groups")) <= {"65532"}

        @pytest.mark.parametrize("kind", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
        def test_there_are_no_capabilities(kind):
            assert int(STATUS[kind], 16) == 0

        def test_no_privileges_can_be_had_anew():
            assert status("NoNewPrivs") == ["1"]

        def test_system_calls_are_filtered():
            assert status("Seccomp") == ["2"]

        @pytest.mark.parametrize(
            "place", ["/", "/etc", "/usr/local/lib/python3/site-packages", "/var/tmp", "/run"]
        )
        def test_the_root_can_not_be_written(place):
            with pytest.raises(OSError) as caught:
                pathlib.Path(place, "written").write_text("")
            assert caught.value.errno in (errno.EROFS, errno.EACCES)

        def test_the_whole_root_is_mounted_read_only():
            mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
            root = next(options for _, point, _, options, *_ in mounts if point == "/")
            assert "ro" in root.split(",")

        @pytest.mark.parametrize("name", ["cell.json", "checks/test_inside.py", "harness/wire.py"])
        def test_what_it_was_given_can_not_be_changed(name):
            given = pathlib.Path("/matrixci", name)
            for change in (given.unlink, lambda: given.write_text("")):
                with pytest.raises(PermissionError):
                    change()

        @pytest.mark.parametrize("place", ["/tmp", os.environ["TMPDIR"], os.getcwd()])
        def test_the_scratch_can_be_written_and_run_from(place):
            script = pathlib.Path(place, "script")
            script.write_text("#!/bin/sh\\nexit 7\\n")
            script.chmod(0o700)
            assert subprocess.run([script]).returncode == 7

        def test_the_scratch_has_an_end():
            big = pathlib.Path("/tmp/big")
            try:
                with pytest.raises(OSError) as caught:
                    big.write_bytes(bytes(65 * 2**20))
                assert caught.value.errno == errno.ENOSPC
            finally:
                big.unlink()

        def test_processes_have_an_end():
            stop = threading.Event()
            threads = []
            try:
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    for _ in range(128):
                        threads.append(threading.Thread(target=stop.wait))
                        threads[-1].start()
            finally:
                stop.set()
                for thread in threads[:-1]:
                    thread.join()
            assert len(threads) > 64

        def test_orphans_are_reaped_by_an_init():
            assert pathlib.Path("/proc/1/comm").read_text() != "python3"

        def test_nothing_of_the_host_is_in_the_environment():
            known = {"PATH", "HOME", "HOSTNAME", "TMPDIR", "PYTHONDONTWRITEBYTECODE",
                     "PYTHONUNBUFFERED", "OF_THE_CELL", "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
                     "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "LC_CTYPE"}
            assert set(os.environ) <= known
            assert os.environ["OF_THE_CELL"] == "1"

        def test_the_engine_is_out_of_reach():
            assert not pathlib.Path("/var/run/docker.sock").exists()
        """
}


def test_a_check_is_shut_in(toy: Toy) -> None:
    ran = toy.run(INSIDE, {"plain": {"environment": {"OF_THE_CELL": "1"}}})

    cell = ran.cells["plain"]
    wrong = {check.id: check.message for check in cell.checks if check.outcome != "passed"}
    assert wrong == {}
    assert cell.outcome is CellOutcome.PASSED
    assert len(checks_of(cell)) == INSIDE["test_inside.py"].count("def test_") + 15
    assert ran.exit_code == 0
