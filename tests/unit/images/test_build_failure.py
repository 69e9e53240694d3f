import pytest

from matrixci.images.build_failure import BuildCause, cause_of, reported_cause

UV_REFUSED = """\
error: Failed to fetch: `http://index.example/simple/toy/`
  Caused by: Request failed after 3 retries
  Caused by: error sending request for url (http://index.example/simple/toy/)
  Caused by: client error (Connect)
  Caused by: tcp connect error
  Caused by: Connection refused (os error 111)
"""
UV_SERVER = """\
  x Failed to download `toy==1.0`
  ├─▶ Failed to fetch: `http://index.example/toy-1.0-py3-none-any.whl`
  ├─▶ Request failed after 3 retries
  ╰─▶ HTTP status server error (503 Service Unavailable) for url
      (http://index.example/toy-1.0-py3-none-any.whl)
"""
UV_SLOW = """\
  x Failed to download `toy==1.0`
  ├─▶ Failed to fetch: `http://index.example/toy-1.0-py3-none-any.whl`
  ╰─▶ Failed to download distribution due to network timeout. Try increasing
      UV_HTTP_TIMEOUT (current value: 30s).
"""
UV_BROKEN = """\
  x Failed to download `toy==1.0`
  ├─▶ request or response body error
  ╰─▶ end of file before message length reached
"""
UV_HASH = """\
  x Failed to download `toy==1.0`
  ╰─▶ Hash mismatch for `toy==1.0`

      Expected:
        sha256:00

      Computed:
        sha256:11
"""
UV_FORBIDDEN = """\
error: Failed to fetch: `http://index.example/toy-1.0-py3-none-any.whl`
  Caused by: HTTP status client error (403 Forbidden) for url (http://index.example/toy)
"""
PIP_REFUSED = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(
Failed to establish a new connection: [Errno 111] Connection refused')': /simple/uv/
ERROR: No matching distribution found for uv==0.13.9
"""
PIP_SERVER = "ERROR: HTTP error 502 while getting http://index.example/uv.whl\n"
PIP_HASH = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated
    uv==0.13.9 from http://index.example/uv.whl:
        Expected sha256 00
"""
UV_DISK = """\
error: Failed to install: toy-1.0-py3-none-any.whl (toy==1.0)
  Caused by: failed to copy file: No space left on device (os error 28)
"""
BUILDKIT_DISK = "ERROR: write /var/lib/docker/tmp/x: no space left on device\n"
SUBJECT = """\
Traceback (most recent call last):
  File "<string>", line 1, in <module>
ConnectionRefusedError: [Errno 111] Connection refused
TimeoutError: timed out
500 Internal Server Error
"""


@pytest.mark.parametrize("text", [UV_REFUSED, UV_SERVER, UV_SLOW, UV_BROKEN])
def test_index_failure_in_uv(text: str) -> None:
    assert cause_of(text) is BuildCause.INDEX


@pytest.mark.parametrize("text", [PIP_REFUSED, PIP_SERVER])
def test_index_failure_in_pip(text: str) -> None:
    assert cause_of(text) is BuildCause.INDEX


@pytest.mark.parametrize("text", [UV_DISK, BUILDKIT_DISK])
def test_full_disk(text: str) -> None:
    assert cause_of(text) is BuildCause.DISK


@pytest.mark.parametrize("text", [UV_HASH, PIP_HASH])
def test_wrong_hash(text: str) -> None:
    assert cause_of(text) is BuildCause.HASH


@pytest.mark.parametrize("text", [SUBJECT, UV_FORBIDDEN, "", "ImportError: no toy\n"])
def test_failure_of_the_build_itself(text: str) -> None:
    assert cause_of(text) is None


REACHED = "network is unreachable"
RECEIVE = "ERROR: failed to receive status: "
FAILED_TO_SOLVE = "ERROR: failed to solve: "
STEP = f'{FAILED_TO_SOLVE}process "/bin/sh -c uv" did not complete successfully: '


@pytest.mark.parametrize(
    "line",
    [
        f"{RECEIVE}rpc error: code = Unavailable desc = error reading from server: EOF",
        f"{FAILED_TO_SOLVE}Unavailable: error reading from server: EOF",
        f"{FAILED_TO_SOLVE}Canceled: context canceled",
        "ERROR: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
        f"{FAILED_TO_SOLVE}no active session for abc: context deadline exceeded",
        f"{STEP}failed to create endpoint x5l on network bridge: Device does not exist",
        f"{STEP}mount callback failed on /tmp/containerd-mount1: no such file or directory",
    ],
)
def test_engine_failure_during_a_build(line: str) -> None:
    assert reported_cause(line) is BuildCause.ENGINE


def test_missing_base_image() -> None:
    line = (
        f"{FAILED_TO_SOLVE}matrixci/python:3.12: failed to resolve source metadata for"
        f" registry.example/matrixci/python:3.12: failed to do request: Head: dial tcp: {REACHED}"
    )
    assert reported_cause(line) is BuildCause.BASE
    assert reported_cause(f"{line}: 503 Service Unavailable") is BuildCause.BASE


@pytest.mark.parametrize(
    "line",
    [
        f"{STEP}exit code: 1",
        f"{STEP}exit code: 137",
        "unexpected status: 503 Service Unavailable",
        REACHED,
    ],
)
def test_other_failures_are_not_put_down_to_the_engine(line: str) -> None:
    assert reported_cause(line) is None


def test_full_disk_reported_by_buildkit() -> None:
    assert reported_cause(BUILDKIT_DISK) is BuildCause.DISK
