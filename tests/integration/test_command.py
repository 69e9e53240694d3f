"""The command line, to its end."""

import pytest

from .toy import PASSING, Toy

FAILING = {"test_toy.py": "def test_fails():\n    assert False\n"}


@pytest.mark.parametrize(
    ("checks", "status", "verdict"), [(PASSING, 0, "READY"), (FAILING, 1, "NOT READY")]
)
def test_the_exit_status_is_the_verdict(
    toy: Toy, checks: dict[str, str], status: int, verdict: str
) -> None:
    toy.write(checks)

    with toy.command() as command:
        assert command.end() == status

    toy.ended(toy.latest(), status)
    assert verdict in command.stdout.split("\n\n")[0]
    assert "Traceback" not in command.stderr


def test_an_engine_out_of_reach_is_told_before_anything_is_made(toy: Toy) -> None:
    toy.write(PASSING)

    with toy.command(DOCKER_HOST=f"unix://{toy.folder}/nothing") as command:
        assert command.end() == 3

    assert f"{toy.folder}/nothing" in command.stderr
    assert "Traceback" not in command.stderr
    assert not toy.home.exists()
