from pathlib import Path

import pytest
from cli_runs import MATRIX, Command

from matrixci.errors import ExitCode, UsageError
from matrixci.execution import execute as running
from matrixci.execution.settings import Settings
from matrixci.matrix.loader import load_matrix
from matrixci.util.resources import data_folder


@pytest.mark.parametrize(
    "arguments",
    ["--jobs 0", "--jobs many", "--as-of yesterday", "--base elsewhere", "--as-of", "--matrix"],
)
def test_invalid_option_value_is_reported(command: Command, arguments: str) -> None:
    done = command("matrix", *arguments.split())
    assert done.code == ExitCode.USAGE
    assert any(arguments.split(maxsplit=1)[0] in line for line in done.err)


@pytest.mark.parametrize(
    ("day", "message"),
    [
        ("9999-12-30", "is in the future"),
        ("2005-01-01", "is too early"),
    ],
)
@pytest.mark.parametrize("name", ["matrix", "plan"])
def test_impossible_day_is_refused(command: Command, name: str, day: str, message: str) -> None:
    done = command(name, "--as-of", day)
    assert done.code == ExitCode.USAGE
    assert f"--as-of {day} {message}" in done.err[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axes: {python: {3.10: }}", "3.10"),
        ("{", "matrix.yaml:"),
        ("", "matrix.yaml:"),
        ("subject: toy\naxis: {}", 'did you mean "axes"?'),
        ("\x00", "matrix.yaml"),
    ],
)
def test_mistake_in_the_matrix_file_is_reported_with_its_place(
    command: Command, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "matrix.yaml").write_text(text, encoding="utf-8")
    done = command("matrix")
    assert done.code == ExitCode.USAGE
    assert all(line.startswith("matrix.yaml") for line in done.err)
    assert any(message in line for line in done.err)
    assert done.out == []


def test_missing_matrix_file_is_reported_with_an_example(command: Command, tmp_path: Path) -> None:
    done = command("matrix", "--matrix", "other.yaml")
    assert done.code == ExitCode.USAGE
    assert done.err[0].startswith("other.yaml: file not found; name another one with --matrix")
    (tmp_path / "other.yaml").write_text("\n".join(done.err[1:]), encoding="utf-8")
    assert set(load_matrix(tmp_path / "other.yaml").axes) == {"python"}  # the example is a matrix


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--subject ./absent", "The subject ./absent does not exist (looked for "),
        ("--subject a==", "invalid requirement: "),
        ("--subject ftp://host.example/a", "unsupported URL"),
        ("--check not", "Invalid value for --check: 'not'. Write an expression as for pytest's -k"),
        ("--check a=1", "Invalid value for --check: 'a=1'. "),
        ("--checks empty", "No checks found in empty: no file is named test_*.py or *_test.py."),
        ("--checks absent", "The folder of checks absent does not exist."),
        (
            "--checks matrix.yaml",
            (
                "matrix.yaml is a file, not a folder. "
                "To run only this file: --checks . --check 'matrix.yaml*'"
            ),
        ),
    ],
)
def test_mistake_in_the_command_is_reported(
    command: Command, tmp_path: Path, arguments: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = command("matrix", *arguments.split())
    assert done.code == ExitCode.USAGE
    assert done.err[0].startswith(message)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nowhere", "The folder of checks nowhere does not exist."),
        ("matrix.yaml", "matrix.yaml is a file, not a folder. "),
        ("empty", "No checks found in empty: "),
    ],
)
def test_invalid_folder_of_checks_in_the_matrix_is_reported_with_its_line(
    command: Command, tmp_path: Path, named: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "matrix.yaml").write_text(f"{MATRIX}checks: {named}\n", encoding="utf-8")
    line = MATRIX.count("\n") + 1

    done = command("matrix", "--plan")

    assert done.code == ExitCode.USAGE
    assert any(each.startswith(f"matrix.yaml:{line}:9: checks: {message}") for each in done.err)


@pytest.mark.parametrize(
    ("key", "words", "where"),
    [
        ("", [], None),
        ("checks: builtin\n", [], "builtin"),
        ("checks: own\n", [], "deep/own"),
        ("checks: own\n", ["--checks", "other"], "other"),
        ("", ["--checks", "other"], "other"),
    ],
)
def test_matrix_or_command_selects_the_checks(
    command: Command, monkeypatch: pytest.MonkeyPatch, key: str, words: list[str], where: str | None
) -> None:
    asked: list[Settings] = []

    async def execute(settings: Settings, *_: object) -> None:
        asked.append(settings)
        raise UsageError

    monkeypatch.setattr(running, "execute", execute)
    for name in ("deep/own", "other"):
        Path(name).mkdir(parents=True)
        Path(name, "test_it.py").write_text("def test_it(): ...\n")
    Path("deep/matrix.yaml").write_text(f'subject: toy\n{key}axes:\n  python: ["3.12"]\n')

    assert command("matrix", "--matrix", "deep/matrix.yaml", *words).code == ExitCode.USAGE

    expected = data_folder("checks") if where in {None, "builtin"} else Path(str(where))
    assert asked[0].checks.resolve() == expected.resolve()
    assert asked[0].checks_chosen is (where is not None)
