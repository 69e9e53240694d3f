import ast
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from factories import a_result, a_run

import matrixci
from matrixci.cli.main import app
from matrixci.util.invocation import VARIABLE, Caller, argv, called, caller, command_of
from matrixci.verdict.reproduce_command import of_check, reproduction, run_command

PACKAGE = Path(matrixci.__file__).parent
CALLS = [
    (Caller.PROGRAM, "matrixci matrix --fresh"),
    (Caller.MODULE, "python3 -m matrixci matrix --fresh"),
    (Caller.UVX, "uvx matrixci matrix --fresh"),
    (Caller.NOX, "python3 -m nox -s matrix -- --fresh"),
]


def parse(words: list[str]) -> None:
    """Parse a command line with the real parser, without running it."""
    command: Any = typer.main.get_command(app)
    name = ""
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    command.make_context(name, list(words))


def words_of(line: str) -> list[str]:
    words = shlex.split(line)
    name = command_of(words)
    assert name is not None
    return [name, *(word for word in words[words.index(name) + 1 :] if word != "--")]


def printed() -> Iterator[tuple[str, ...]]:
    """Yield the words of each command that a message of the package prints."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "called":
                yield tuple(
                    str(each.value) if isinstance(each, ast.Constant) else "given"
                    for each in node.args
                    if not isinstance(each, ast.Starred)  # options that are there now and then
                )


PRINTED = sorted(set(printed()))


def test_the_commands_of_the_messages_are_found() -> None:
    assert ("clean", "--all") in PRINTED
    assert ("cell", "ID", "--plan", "given") in PRINTED


@pytest.mark.parametrize("by", Caller)
@pytest.mark.parametrize("words", PRINTED, ids=" ".join)
def test_each_command_of_a_message_is_one_that_the_command_line_takes(
    by: Caller, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, by)
    parse(words_of(called(*words)))


@pytest.mark.parametrize("by", Caller)
def test_each_command_of_a_report_is_one_that_the_command_line_takes(by: Caller) -> None:
    run = a_run(called_by=by, command=("matrix", "--tier", "nightly"))
    cell = run.cells[0].id
    for result in (None, a_result(run.cells[0])):
        line = reproduction(run, cell, result)
        assert line[:2] == argv(by, line[1])[:2]
        parse(words_of(shlex.join(line)))
        parse(words_of(shlex.join(of_check(line, "test_a.py::test_one"))))
    parse(words_of(shlex.join(run_command(run))))


@pytest.mark.parametrize(("by", "line"), CALLS)
def test_command_is_printed_as_it_was_called(
    by: Caller, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, by)
    assert called("matrix", "--fresh") == line
    assert command_of(shlex.split(line)) == "matrix"


@pytest.mark.parametrize(
    ("program", "prefix", "by"),
    [
        ("/usr/bin/matrixci", "/usr", Caller.PROGRAM),
        ("/lib/matrixci/__main__.py", "/usr", Caller.MODULE),
        ("/cache/uv/archive-v0/abc/bin/matrixci", "/cache/uv/archive-v0/abc", Caller.UVX),
    ],
)
def test_the_caller_is_known_from_the_program(program: str, prefix: str, by: Caller) -> None:
    assert caller({}, program, prefix) is by
    assert caller({VARIABLE: "nox"}, program, prefix) is Caller.NOX
    assert caller({VARIABLE: "something else"}, program, prefix) is by


def test_no_other_module_names_the_program_that_called() -> None:
    found = [
        str(path)
        for path in PACKAGE.rglob("*.py")
        if path.name != "invocation.py"
        and any(text in path.read_text(encoding="utf-8") for text in ("nox -s", '"nox", "-s"'))
    ]
    assert found == []


def test_command_for_a_whole_run_names_its_day() -> None:
    run = a_run(command=("matrix", "--checks", "mine"))
    day = f"{run.began:%Y-%m-%d}"
    assert run_command(run) == ("matrixci", "matrix", "--checks", "mine", "--as-of", day)
    pinned = a_run(command=("matrix", "--as-of", "2025-08-25"))
    assert run_command(pinned) == ("matrixci", "matrix", "--as-of", "2025-08-25")
