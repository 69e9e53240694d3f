from collections.abc import Sequence

import pytest
from cli_runs import Command

from matrixci.errors import ExitCode


@pytest.mark.parametrize("name", ["matrix", "plan", "show", "reproduce", "clean", "history list"])
@pytest.mark.parametrize("option", [("--home", "kept"), ("--home=kept",)])
def test_renamed_option_is_reported_with_its_new_name(
    command: Command, name: str, option: Sequence[str]
) -> None:
    done = command(*name.split(), *option)
    assert done.code == ExitCode.USAGE
    assert done.err == [f'Unknown option {option[0]}. Did you mean "--work-dir"?']
