import ast
from pathlib import Path

from typer.main import get_command

from matrixci.cli.main import app

NOXFILE = Path(__file__).parents[2] / "noxfile.py"


def sessions() -> dict[str, str]:
    """Return the sessions in the order in which nox lists them, with what it says of each."""
    tree = ast.parse(NOXFILE.read_text(encoding="utf-8"))
    return {
        each.name: ast.get_docstring(each) or ""
        for each in tree.body
        if isinstance(each, ast.FunctionDef) and each.decorator_list
    }


def test_the_sessions_of_users_are_listed_before_those_of_contributors() -> None:
    told = sessions()
    commands = getattr(get_command(app), "commands", {})
    users = [name for name in told if name in commands]
    assert users[0] == "matrix"
    assert list(told)[: len(users)] == users
    contributors = [name for name, text in told.items() if text.startswith("Contributors: ")]
    assert list(told) == [*users, *contributors]


def test_a_session_is_described_in_a_sentence_without_arguments() -> None:
    for text in sessions().values():
        assert text.endswith(".")
        assert len(text) <= 90
        assert not any(word.isupper() and len(word) > 2 for word in text.split())
