from pathlib import Path

import pytest
from cli_runs import Command

from matrixci.errors import ExitCode

RUNS = Path(__file__).parents[1] / "reports/runs"
BEFORE, AFTER = sorted(RUNS.iterdir())


@pytest.mark.parametrize("name", ["readiness", "compare"])
def test_unknown_format_is_reported(command: Command, name: str) -> None:
    done = command(
        name, str(BEFORE), *([str(AFTER)] if name == "compare" else []), "--format", "markdwn"
    )
    assert done.code == ExitCode.USAGE
    assert done.err == ["Unknown format 'markdwn'. Did you mean \"markdown\"?"]


@pytest.mark.parametrize("form", ["terminal", "markdown", "json", "junit", "github", "shields"])
def test_two_runs_are_compared_in_a_format(command: Command, form: str) -> None:
    done = command("compare", str(BEFORE), str(AFTER), "--format", form)
    assert done.code == ExitCode.READY
    assert done.out
    assert any("regressed" in line for line in done.out)
