"""Parse every command on the pages with the command line's own parser."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import typer.main
import yaml

from matrixci.cli.main import app

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "matrix.yaml")),
    *sorted((ROOT / "examples").glob("*.yaml")),
]
STARTS: Final = (
    ("matrixci",),
    ("python3", "-m", "matrixci"),
    ("uvx", "matrixci"),
    ("nox", "-s"),
    ("uvx", "nox", "-s"),
    ("python3", "-m", "nox", "-s"),
)
BLOCK: Final = re.compile(r"^```(?:bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE: Final = re.compile(r"`([^`\n]+)`")
ENDS: Final = {"|", "||", "&&", ";", ">", "<"}
AXES: Final = {"python", "numpy", "device"}


class Command(NamedTuple):
    """A command on a page."""

    page: str
    by_nox: bool
    words: tuple[str, ...]


def shell_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each simple command in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in ENDS:
            yield words
            words = []
        else:
            words.append(word)


def commands_in(page: str, text: str) -> Iterator[Command]:
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    prose = BLOCK.sub("", text)
    lines += [line.lstrip("# ") for line in prose.splitlines() if line.startswith("#   nox -s")]
    lines += [found for found in INLINE.findall(prose) if " " in found]
    for line in lines:
        try:
            parts = list(shell_commands(line))
        except ValueError:  # inline code that is no shell
            continue
        for words in parts:
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            for start in STARTS:
                rest = words[len(start) :]
                if tuple(words[: len(start)]) == start and rest:
                    yield Command(page, "nox" in start, tuple(rest))


COMMANDS: Final = sorted(
    {
        command
        for path in PAGES
        for command in commands_in(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    }
)


def sessions() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def parse(words: list[str]) -> list[str]:
    """Parse a command line without running it; return the words left for the axes."""
    command: Any = typer.main.get_command(app)
    name = ""
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    left: list[str] = command.make_context(name, list(words)).args
    return left


def test_commands_of_all_kinds_are_found() -> None:
    words = {command.words for command in COMMANDS}
    assert ("matrix", "--", "--install-engine") in words  # README, by nox
    assert ("matrix", "--resume", "RUN") in words
    assert ("readiness", "--baseline", "previous", "--fail-on", "regression") in words
    assert ("checkup",) in words
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: " ".join((each.page, *each.words)))
def test_each_command_is_one_that_the_command_line_takes(command: Command) -> None:
    name, *rest = command.words
    words = [name, *(word for word in rest if word != "--")]
    if command.by_nox:
        base = re.sub(r"-3\.\d+$", "", name)
        assert base in sessions() or name == "COMMAND"
        if base not in getattr(typer.main.get_command(app), "commands", {}):
            return
    if name == "COMMAND":
        return
    if not rest:  # the name of a command, in a sentence
        assert name in getattr(typer.main.get_command(app), "commands", {}) or name.startswith("--")
        return
    left = parse(words)
    if "--resume" in words:
        return  # followed by the name of a run
    options = {word.removeprefix("--").partition("=")[0] for word in left if word.startswith("--")}
    assert options <= AXES


def test_the_axes_are_those_of_the_default_matrix() -> None:
    assert {*yaml.safe_load((ROOT / "matrix.yaml").read_text())["axes"]} == AXES
