from pathlib import Path

from harness_runs import supervise

HINT = "The sandbox has no network: nothing outside the container can be reached."
OFFLINE = """
    import errno
    import os
    import socket
    import subprocess
    import sys
    import pytest

    def lookup():
        raise socket.gaierror(socket.EAI_AGAIN, "in a language nobody reads")

    class Wrapped(Exception):
        pass

    def test_lookup():
        lookup()

    def test_wrapped():
        try:
            lookup()
        except OSError as error:
            raise Wrapped("no connection") from error

    def test_wrapped_without_a_cause():
        try:
            lookup()
        except OSError:
            raise Wrapped("no connection") from None

    def test_in_the_arguments():
        raise Wrapped(Wrapped(OSError(errno.ENETUNREACH, "unreachable")))

    def test_message_of_many_lines():
        try:
            lookup()
        except OSError:
            pytest.fail("one\\ntwo\\nthree\\nfour")

    def test_child():
        os.system("echo could not resolve host: example.org >&2")
        assert 0, "the child failed"

    def test_child_that_is_collected():
        script = "raise OSError(101, 'Network is unreachable')"
        done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
        assert "Error" not in done.stderr, "it failed"

    def test_crash():
        os.system("echo Temporary failure in name resolution >&2")
        os._exit(3)

    def test_another_error():
        '''It says network is unreachable in its source alone.'''
        raise OSError(errno.ECONNREFUSED, "nobody listens")

    def test_passes():
        with pytest.raises(OSError):
            lookup()

    def test_skips():
        try:
            lookup()
        except OSError:
            pytest.skip("offline")
"""


def test_failures_without_network_get_a_hint(tmp_path: Path) -> None:
    run = supervise(tmp_path, OFFLINE)
    messages = {
        check.partition("::test_")[2]: end["message"].splitlines()
        for check, end in run.ends.items()
    }
    assert {name for name, lines in messages.items() if HINT in lines} == {
        *("lookup", "wrapped", "wrapped_without_a_cause", "in_the_arguments"),
        *("message_of_many_lines", "child", "child_that_is_collected", "crash"),
    }
    assert messages["child"] == ["the child failed", HINT]
    assert messages["message_of_many_lines"] == ["one", HINT, "two", "three", "four"]
    assert all(lines.count(HINT) <= 1 for lines in messages.values())


def test_import_error_without_network_gets_a_hint(tmp_path: Path) -> None:
    source = "import socket\nraise socket.gaierror(-3, 'Temporary failure in name resolution')\n"
    run = supervise(tmp_path, source)
    assert run.ends["test_it.py"]["message"].splitlines()[-1] == HINT
