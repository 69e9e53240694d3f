from collections.abc import Callable
from pathlib import Path

import pytest

AddProgram = Callable[[str, str], None]
Refuse = Callable[[str], list[str]]


@pytest.mark.parametrize(
    "address",
    ["ssh://", "ssh://:22", "ssh://host:port", "ssh://host:0", "ssh://me:pw@host", "ssh://h?q=1"],
)
def test_invalid_address_is_reported(refused: Refuse, address: str) -> None:
    (message,) = refused(address)
    assert message.endswith("write ssh://USER@HOST or ssh://USER@HOST:PORT")


@pytest.mark.usefixtures("programs")
def test_missing_ssh_command_is_reported(refused: Refuse) -> None:
    (message,) = refused("ssh://engine.example")
    assert message.startswith("No ssh command on PATH")


def test_arguments_of_the_ssh_command(
    programs: AddProgram, refused: Refuse, tmp_path: Path
) -> None:
    programs("ssh", f'echo "$@" >{tmp_path}/called; echo "some warning" >&2; echo refused >&2')
    first, second, third = refused("ssh://me@engine.example:2222/run/my%20sock")
    assert first == "Cannot reach the engine at ssh://me@engine.example:2222/run/my%20sock: refused"
    assert second.startswith("Check that the host is up")
    assert third == "Try: ssh -p 2222 -l me engine.example docker version"
    call = (tmp_path / "called").read_text(encoding="utf-8")
    assert call.endswith(":/run/my sock -p 2222 -l me -- engine.example cat\n")
    assert "BatchMode=yes" in call
