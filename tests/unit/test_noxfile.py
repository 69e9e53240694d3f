import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from matrixci.cli.main import app

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sessions() -> dict[str, str]:
    """Return the names of the sessions and their descriptions, in the order of `nox -l`."""
    return dict(re.findall(r"^[*-] (\S+) \[\w+\] -> (.*)$", list_sessions(), re.MULTILINE))


def list_sessions(*options: str) -> str:
    argv = [sys.executable, "-m", "nox", "--list-sessions", *options]
    return subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def test_sessions_for_users_are_listed_before_those_for_contributors(
    sessions: dict[str, str],
) -> None:
    commands = getattr(get_command(app), "commands", {})
    users = [name for name in sessions if name in commands]
    assert users[0] == "matrix"
    assert list(sessions)[: len(users)] == users
    contributors = [name for name, text in sessions.items() if text.startswith("Contributors: ")]
    assert list(sessions) == [*users, *contributors]


def test_tags_are_those_of_the_descriptions(sessions: dict[str, str]) -> None:
    # A star marks the sessions that the options select.
    tagged = re.findall(r"^\* (\S+)", list_sessions("--tags", "contributor"), re.MULTILINE)
    assert tagged == [name for name, text in sessions.items() if text.startswith("Contributors: ")]


def test_description_is_one_sentence_without_arguments(sessions: dict[str, str]) -> None:
    for text in sessions.values():
        assert text.endswith(".")
        assert len(text) <= 90
        assert not any(word.isupper() and len(word) > 2 for word in text.split())


def test_unit_tests_have_a_session_for_each_supported_python(sessions: dict[str, str]) -> None:
    on_a_python = {name for name in sessions if name.startswith("unit-")}
    assert on_a_python == {"unit-3.11", "unit-3.12", "unit-3.13", "unit-3.14"}
    assert {"unit", "integration", "tests"} <= sessions.keys()


def test_every_folder_with_tests_is_run() -> None:
    constants = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse((REPOSITORY / "noxfile.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.endswith("_TESTS")
    }
    listed = {path for paths in constants.values() for path in paths}
    tests = (path.relative_to(REPOSITORY) for path in REPOSITORY.glob("tests/*/**/test_*.py"))
    assert listed == {f"tests/{path.parts[1]}" for path in tests}
