from datetime import timedelta

import pytest
from cli_runs import Command

from matrixci.cli.clean import parse_age
from matrixci.errors import ExitCode


def test_cleaning_without_an_engine_is_an_error(command: Command) -> None:
    assert command("clean").code == ExitCode.INFRASTRUCTURE


@pytest.mark.parametrize("age", ["soon", "7y", "-1d", ""])
def test_invalid_age_is_refused(command: Command, age: str) -> None:
    done = command("clean", f"--older-than={age}")
    assert done.code == ExitCode.USAGE
    assert "is not an age" in " ".join(done.err)


@pytest.mark.parametrize(
    ("text", "hours"), [("7", 168), ("7d", 168), ("12h", 12), (" 2W ", 336), ("0", 0)]
)
def test_an_age_is_a_number_of_days_or_has_a_unit(text: str, hours: int) -> None:
    assert parse_age(text) == timedelta(hours=hours)
