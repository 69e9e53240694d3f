from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from matrixci.cli.option_groups import with_option_groups


@dataclass(frozen=True, kw_only=True)
class Where:
    home: Annotated[Path, typer.Option("--home", help="A folder.")] = Path("here")
    name: Annotated[str | None, typer.Option("--name")] = None


@dataclass(frozen=True, kw_only=True)
class How:
    jobs: Annotated[int, typer.Option(min=1)]
    fresh: Annotated[bool, typer.Option("--fresh")] = False


@pytest.fixture
def calls() -> list[tuple[object, ...]]:
    return []


@pytest.fixture
def app(calls: list[tuple[object, ...]]) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    @with_option_groups
    def run(
        context: typer.Context,
        cell: Annotated[str, typer.Argument()],
        *,
        where: Where,
        quiet: Annotated[bool, typer.Option("--quiet")] = False,
        how: How,
    ) -> None:
        """Run a cell."""
        calls.append((cell, where, quiet, how, context.args))

    return app


def test_a_command_gets_its_options_as_objects(
    app: typer.Typer, calls: list[tuple[object, ...]]
) -> None:
    line = ["one", "--home", "there", "--jobs", "2", "--fresh", "--quiet", "--more"]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    expected = Where(home=Path("there")), True, How(jobs=2, fresh=True)
    assert calls == [("one", *expected, ["--more"])]


def test_defaults_are_those_of_the_fields(
    app: typer.Typer, calls: list[tuple[object, ...]]
) -> None:
    assert CliRunner().invoke(app, ["one", "--jobs", "3"]).exit_code == 0
    assert calls == [("one", Where(), False, How(jobs=3), [])]


def test_help_lists_options_in_the_order_of_parameters_and_fields(app: typer.Typer) -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    options = [word for word in text.split() if word.startswith("--")]
    assert options == ["--home", "--name", "--quiet", "--jobs", "--fresh", "--help"]
    assert "Run a cell." in text
    assert "A folder." in text


@pytest.mark.parametrize(
    ("line", "error"), [(["one"], "Missing option '--jobs'"), (["one", "--jobs", "0"], "--jobs")]
)
def test_mistakes_are_reported_as_for_any_option(
    app: typer.Typer, line: list[str], error: str
) -> None:
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 2
    assert error in result.output
