import asyncio
import string
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixci.util.redaction import redact, redact_file
from matrixci.util.subprocesses import Completed, run_process

QUICK = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def run(argv: Sequence[str], **options: object) -> Completed:
    return asyncio.run(run_process(argv, **options))  # type: ignore[arg-type]


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


# A child's life


@pytest.mark.parametrize("status", [0, 1, 2, 255])
def test_a_child_is_run_to_its_end(status: int) -> None:
    done = run(sh(f"echo out; echo err >&2; exit {status}"))
    assert done == Completed(exit_status=status, stdout="out\n", stderr="err\n")


def test_a_child_that_a_signal_ended_has_no_good_status() -> None:
    assert run(sh("kill -9 $$")).exit_status == -9


def test_no_shell_is_involved() -> None:
    assert run(["printf", "%s|", "a b", "$HOME", "*", ";"]).stdout == "a b|$HOME|*|;|"


@pytest.mark.parametrize("text", ["", "one\ntwo é", "x" * 1_000_000], ids=["none", "some", "much"])
def test_a_child_reads_what_it_is_given(text: str) -> None:
    assert run(["cat"], stdin=text).stdout == text


def test_a_child_that_is_given_nothing_reads_an_end() -> None:
    assert run(["cat"]) == Completed(exit_status=0, stdout="", stderr="")


def test_a_child_that_does_not_read_does_no_harm() -> None:
    assert run(["true"], stdin="x" * 1_000_000).exit_status == 0


def test_a_child_gets_the_whole_environment_and_the_folder(tmp_path: Path) -> None:
    done = run(["/bin/sh", "-c", "pwd; /usr/bin/env"], env={"ONLY": "this"}, cwd=tmp_path)
    folder, *variables = done.stdout.splitlines()
    assert folder == str(tmp_path)
    assert "ONLY=this" in variables
    assert not any(line.startswith(("HOME=", "PATH=/root")) for line in variables)


def test_output_that_is_not_text_is_decoded_leniently() -> None:
    assert run(["printf", r"a\377b"]).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_missing_command_is_reported() -> None:
    with pytest.raises(FileNotFoundError):
        run(["/no/such/command"])


def test_a_log_takes_both_outputs(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with path.open("ab") as log:
        done = run(sh("echo out; echo err >&2; echo more"), log=log)
    assert done == Completed(exit_status=0, stdout="", stderr="")
    assert path.read_text(encoding="utf-8") == "before\nout\nerr\nmore\n"


def test_outputs_hold_no_credentials() -> None:
    url = "https://me:secret@host.example/simple"
    done = run(sh(f"echo {url}; echo {url} >&2"))
    assert (done.stdout, done.stderr) == ("https://***@host.example/simple\n",) * 2


# A child's end, with all that it started


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody waits for counts as ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}


def wait_for(path: Path, lines: int) -> list[int]:
    """Return the process ids that a file has, once it has so many."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if text.count("\n") >= lines:
            return [int(line) for line in text.splitlines()]
        time.sleep(0.01)
    pytest.fail(f"{path} has not {lines} lines")


POLITE = "while :; do sleep 0.02; done"
STUBBORN = f"trap '' TERM; {POLITE}"
FAMILIES = {
    "one": f"echo $$ >>pids; {POLITE}",
    "one that ignores the request": f"echo $$ >>pids; {STUBBORN}",
    "with grandchildren": (
        f"echo $$ >>pids; sh -c 'echo $$ >>pids; {POLITE} & echo $! >>pids; wait' & {POLITE}"
    ),
    "that leaves a stubborn grandchild": (
        f'echo $$ >>pids; (sh -c "echo \\$\\$ >>pids; {STUBBORN}") & (sleep 0.01); {POLITE}'
    ),
    "all stubborn": f'echo $$ >>pids; (sh -c "echo \\$\\$ >>pids; {STUBBORN}") & {STUBBORN}',
}
SIZES = dict(zip(FAMILIES, (1, 1, 3, 2, 2), strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_cancellation_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setattr("matrixci.util.subprocesses._GRACE_SECONDS", 0.15)

    async def cancel() -> list[int]:
        task = asyncio.create_task(run_process(sh(FAMILIES[family]), cwd=tmp_path))
        pids = await asyncio.to_thread(wait_for, tmp_path / "pids", SIZES[family])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pids

    pids = asyncio.run(cancel())
    assert len(set(pids)) == SIZES[family]
    assert all(is_gone(pid) for pid in pids)


def test_a_time_limit_ends_a_child_and_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixci.util.subprocesses._GRACE_SECONDS", 0.15)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run(sh(FAMILIES["all stubborn"]), cwd=tmp_path, time_limit=2)
    assert time.monotonic() - began < 60
    assert all(is_gone(pid) for pid in wait_for(tmp_path / "pids", 2))


def test_a_child_within_its_time_is_left_alone() -> None:
    assert run(sh("sleep 0.05; echo done"), time_limit=30).stdout == "done\n"


def test_child_is_terminated_before_it_is_killed(tmp_path: Path) -> None:
    script = f"trap 'echo cleaned >up; exit' TERM; echo $$ >>pids; {POLITE}"

    async def cancel() -> None:
        task = asyncio.create_task(run_process(sh(script), cwd=tmp_path))
        await asyncio.to_thread(wait_for, tmp_path / "pids", 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert (tmp_path / "up").read_text(encoding="utf-8") == "cleaned\n"


def test_cancelled_a_second_time_it_still_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixci.util.subprocesses._GRACE_SECONDS", 0.15)

    async def cancel() -> int:
        task = asyncio.create_task(
            run_process(sh(FAMILIES["one that ignores the request"]), cwd=tmp_path)
        )
        (pid,) = await asyncio.to_thread(wait_for, tmp_path / "pids", 1)
        task.cancel()
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            while not is_gone(pid):  # noqa: ASYNC110 (nothing reports its end)
                await asyncio.sleep(0.02)
        return pid

    assert is_gone(asyncio.run(cancel()))


def test_the_terminals_interrupt_does_not_reach_a_child() -> None:
    script = "import os; print(os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid())"
    assert run([sys.executable, "-S", "-c", script]).stdout == "True True\n"


# Credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host.example/a", "https://***@host.example/a"),
        ("https://token@host.example/a", "https://***@host.example/a"),
        ("https://:pw@host.example/a", "https://***@host.example/a"),
        ("https://me:@host.example", "https://***@host.example"),
        ("https://me:p@w@host.example", "https://***@host.example"),
        ("https://me:p:w@host.example:8080", "https://***@host.example:8080"),
        ("https://me%40corp:p%2Fw@host.example", "https://***@host.example"),
        ("git+ssh://git@host.example/a/b@main", "git+ssh://***@host.example/a/b@main"),
        ("HTTPS://me:pw@HOST", "HTTPS://***@HOST"),
        ("x=http://a:b@c y=http://d:e@f", "x=http://***@c y=http://***@f"),
        ("http://a:b@c\nhttp://d:e@f", "http://***@c\nhttp://***@f"),
    ],
)
def test_credentials_are_removed_from_urls(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a.example/x?token=abc", "https://a.example/x?token=***"),
        (
            "https://a.example/x?a=1&access_token=abc&b=2",
            "https://a.example/x?a=1&access_token=***&b=2",
        ),
        ("GET /x?X-Amz-Signature=ab%2F12 failed", "GET /x?X-Amz-Signature=*** failed"),
        ('"https://a.example/x?api_key=abc"', '"https://a.example/x?api_key=***"'),
        ("https://a.example/#id_token=abc\nnext", "https://a.example/#id_token=***\nnext"),
        ("https://u:p@a.example/?password=abc", "https://***@a.example/?password=***"),
        ("https://a.example/x?sig=1;se=2", "https://a.example/x?sig=***;se=2"),
    ],
)
def test_tokens_are_removed_from_urls(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    ["token=abc", "https://a.example/token/x?page=2", "def f(token=None):", "a?b&c", "x?keyword=1"],
)
def test_other_parts_of_a_url_are_unchanged(text: str) -> None:
    assert redact(text) == text


def test_a_file_is_redacted_and_its_other_bytes_stay(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff https://me:secret@a.example/ \xc3\xa9\n")
    redact_file(path)
    assert path.read_bytes() == b"\xff https://***@a.example/ \xc3\xa9\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me@host.example",
        "https://host.example/a@b",
        "git+https://host.example/a/b@v1.0#subdirectory=c",
        "https://host.example?mail=me@host.example",
        "https://host.example#@",
        "see https://host.example or ask me@host.example",
        "numpy @ file:///srv/a@b.whl",
    ],
)
def test_text_without_credentials_is_unchanged(text: str) -> None:
    assert redact(text) == text


USER_INFO = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=%:@", max_size=20)
AROUND = st.text("/:@?#=.&0 \n\t", max_size=20)
SCHEMES = st.sampled_from(["http", "https", "git+ssh", "socks5"])


@QUICK
@given(SCHEMES, USER_INFO, AROUND, AROUND)
def test_no_credential_survives(scheme: str, secret: str, before: str, after: str) -> None:
    shown = redact(f"{before} {scheme}://SECRET{secret}SECRET@host.example/{after}")
    assert "SECRET" not in shown
    assert f"{scheme}://***@host.example/" in shown
    assert redact(shown) == shown
