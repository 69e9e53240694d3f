import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from factories import RUN, a_check, a_result, a_run, an_engine, cells, write_wheel
from tiny_index import serving

from matrixci.cli import install_engine as cli_install_engine
from matrixci.cli import locks_table as cli_locks_table
from matrixci.cli import main as cli
from matrixci.cli import matrix as cli_matrix
from matrixci.cli import plan as cli_plan
from matrixci.cli import run_settings as cli_run_settings
from matrixci.cli.clean import parse_age
from matrixci.engine.client import Engine
from matrixci.errors import ExitCode, ResolverError, UsageError
from matrixci.execution import execute as running
from matrixci.execution.new_run import new_run
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.fanout.plan import Plan, PlannedCell, PlannedLock, read_plan
from matrixci.fanout.planner import PlanRequest
from matrixci.locks.lock import Lock, Unsatisfiable, parse_lock
from matrixci.matrix.axes import RESERVED
from matrixci.matrix.loader import load_matrix
from matrixci.matrix.selection import SelectedCells
from matrixci.model import BaseOrigin, Cell, CellOutcome, CheckOutcome, Reason, Run
from matrixci.runs.folder import RunFolder, read_run
from matrixci.util.resources import data_folder
from matrixci.util.subprocesses import Completed
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder

MATRIX = """\
subject: toy
requires: [torch]
axes:
  python: {"3.12": , "3.13": }
  numpy:
    1.x: {id: numpy1, requires: numpy<2}
    2.x: {id: numpy2, requires: numpy>=2}
  device: {cpu: {id: cpu, torch-backend: cpu}, cuda: {id: cuda, gpu: true}}
tiers:
  newest: [{python: "3.13"}]
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: list[str]
    err: list[str]


Command = Callable[..., Done]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return a function that runs the command line in a folder with a matrix.yaml."""
    (tmp_path / "matrix.yaml").write_text(MATRIX, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the tests' own stays

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["matrixci", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        code = caught.value.code
        return Done(
            code=code if isinstance(code, int) else 0,
            out=[line.rstrip() for line in printed.out.splitlines()],
            err=[line.rstrip() for line in printed.err.splitlines()],
        )

    return run


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that takes the ids of the cells of which a plan is made."""
    ids: list[str] = []

    async def resolve(
        _: Settings, of: Sequence[Cell], architecture: str
    ) -> dict[str, Lock | Unsatisfiable]:
        assert architecture
        ids.extend(cell.id for cell in of)
        return {cell.id: answer(cell) for cell in of}

    monkeypatch.setattr(cli_matrix, "resolve_only", resolve)
    return ids


def answer(cell: Cell) -> Lock | Unsatisfiable:
    if cell.id.startswith("py3.13-numpy1"):
        return Unsatisfiable(reason="no wheel of numpy[x]<2 for [/] \x1b[31m", detail="")
    numpy = "1.26.4" if "numpy1" in cell.id else "2.5.5"
    text = f"attrs==26.1.0\nnumpy=={numpy}\ntorch==2.15.0\ntoy==1.0\n"
    return Lock(pins=parse_lock(text), torch_backend=None, fallback=not cell.gpu)


EVERY = [
    f"py{python}-{numpy}-{device}"
    for python in ("3.12", "3.13")
    for numpy in ("numpy1", "numpy2")
    for device in ("cpu", "cuda")
]


# Selection of cells


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ("", EVERY),
        ("--python 3.12", EVERY[:4]),
        ("--python=3.12", EVERY[:4]),
        ("--python 3.12,3.13", EVERY),
        ("--python 3.12 --python 3.13", EVERY),
        ("--python 3.13 --numpy 2.x --device cpu", [EVERY[6]]),
        ("--numpy numpy2 --device=cuda", [EVERY[3], EVERY[7]]),
        ("--cell py3.12-*-cpu", [EVERY[0], EVERY[2]]),
        ("--cell py3.12-numpy1-cpu --cell py3.13-numpy2-cuda", [EVERY[0], EVERY[7]]),
        ("--cell *-cpu --python 3.13", [EVERY[4], EVERY[6]]),
        ("--device cpu --jobs 2 --fresh --python 3.12", [EVERY[0], EVERY[2]]),
        ("--tier newest", EVERY[4:]),
        ("--tier newest --numpy 2.x --cell *-cpu", [EVERY[6]]),
    ],
)
def test_cells_are_chosen_by_axis_and_by_id(
    command: Command, planned: list[str], arguments: str, chosen: list[str]
) -> None:
    assert command("matrix", "--plan", *arguments.split()).code == ExitCode.READY
    assert planned == chosen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--pyton 3.12", 'Unknown option --pyton. Did you mean "--python"?'),
        ("--devices=cpu", 'Unknown option --devices=cpu. Did you mean "--device"?'),
        ("--subjet x", 'Unknown option --subjet. Did you mean "--subject"?'),
        ("--instal-engine", 'Unknown option --instal-engine. Did you mean "--install-engine"?'),
        ("-x", "Unknown option -x. Available: --python, --numpy, --device, --matrix"),
        ("py3.12-numpy1-cpu", "Unknown option py3.12-numpy1-cpu. Available: --python, "),
        ("--python", "--python needs a value of the axis python."),
        ("--python=", "--python= needs a value of the axis python."),
        ("--python 3.9", 'Unknown value "3.9" of the axis python. '),
        ("--python 3.12,", 'Unknown value "" of the axis python. Values: 3.12, 3.13.'),
        ("--cell py9*", 'No cell matches "py9*". Available cells: py3.12-numpy1-cpu, '),
        (
            "--cell *-cpu --device cuda",
            'No cell matches device=cuda and "*-cpu". Available cells: py3.12-numpy1-cpu, ',
        ),
        ("--tier newst", 'Unknown tier "newst". Did you mean "newest"? Tiers: newest.'),
        ("--tier newest --python 3.12", "No cell matches python=3.12 and tier newest"),
        ("--numpy 3.x --device gpu", 'Unknown value "3.x" of the axis numpy. '),
    ],
)
def test_mistake_in_the_selection_is_reported_with_available_values(
    command: Command, planned: list[str], arguments: str, message: str
) -> None:
    done = command("matrix", "--plan", *arguments.split())
    assert done.code == ExitCode.USAGE
    assert done.err[0].startswith(message)
    assert (done.out, planned) == ([], [])


def test_all_mistakes_in_the_selection_are_reported_together(command: Command) -> None:
    done = command("matrix", "--numpy", "3.x", "--device", "gpu", "--cell", "x")
    assert len(done.err) == 3


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
    ("line", "meant"),
    [
        ("matrix --jbos 3", "--jobs"),
        ("plan --shardsize 3", "--shard-size"),
        ("plan --teir x", "--tier"),
    ],
)
def test_similar_option_is_suggested(command: Command, line: str, meant: str) -> None:
    done = command(*line.split())
    assert done.code == ExitCode.USAGE
    assert meant in done.err[0].partition("Did you mean")[2]


@pytest.mark.parametrize("name", ["matrix", "plan", "show", "reproduce", "clean", "history list"])
@pytest.mark.parametrize("option", [("--home", "kept"), ("--home=kept",)])
def test_renamed_option_is_reported_with_its_new_name(
    command: Command, name: str, option: Sequence[str]
) -> None:
    done = command(*name.split(), *option)
    assert done.code == ExitCode.USAGE
    assert done.err == [f'Unknown option {option[0]}. Did you mean "--work-dir"?']


def test_option_names_are_reserved(command: Command) -> None:
    text = "\n".join(line for name in ("matrix", "plan") for line in command(name, "--help").out)
    options = set(re.findall(r"--([a-z-]+)", text)) - {"python", "device", "numpy"}
    assert options == RESERVED


# Errors before a run


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


def test_missing_engine_is_reported_in_two_lines(command: Command, tmp_path: Path) -> None:
    done = command("matrix")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert done.err == [
        "No container engine is installed on this machine (/nonexistent.sock).",
        "Start one, or run: matrixci matrix --install-engine",
    ]
    assert done.out == []
    assert not (tmp_path / ".matrixci/runs").exists()  # no run that never was


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


def test_no_engine_is_installed_if_a_remote_one_is_configured(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.sh").write_text('echo "$@" >asked\n', encoding="utf-8")
    (tmp_path / "test_x.py").touch()
    monkeypatch.setattr(cli_install_engine, "data_folder", lambda _: tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    done = command("matrix", "--install-engine")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert done.err[0] == "--install-engine has no effect: DOCKER_HOST names tcp://127.0.0.1:9"
    assert not (tmp_path / "asked").exists()


def test_failed_installation_of_an_engine_is_reported(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.sh").write_text('echo "$@" >asked; exit 1\n', encoding="utf-8")
    (tmp_path / "test_x.py").touch()
    monkeypatch.setattr(cli_install_engine, "data_folder", lambda _: tmp_path)
    done = command("matrix", "--install-engine")
    assert (done.code, done.err) == (
        ExitCode.INFRASTRUCTURE,
        ["The container engine could not be installed."],
    )
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "install\n"


def test_version_is_printed(command: Command) -> None:
    assert command("--version").out == [f"matrixci {version('matrixci')}"]


def test_commands_are_listed_in_the_order_of_use(command: Command) -> None:
    lines = [line.strip("│ ").partition(" ")[0] for line in command("--help").out]
    every = [name for name in lines if name in {"matrix", "show", "reproduce", "history", "clean"}]
    assert every == ["matrix", "show", "reproduce", "history", "clean"]


@pytest.mark.parametrize("words", [[], ["matrix"], ["plan"], ["show"], ["history"]])
def test_a_flag_is_shown_without_a_value(command: Command, words: list[str]) -> None:
    assert not any("bool" in line for line in command(*words, "--help").out)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["matrix", "--help"], ["show", "--help"]])
def test_help_needs_no_matrix(command: Command, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "matrix.yaml").unlink()
    assert any("Usage: " in line for line in command(*arguments).out)


# The plan


@pytest.mark.usefixtures("planned")
def test_a_plan_shows_each_cell_with_its_lock(command: Command) -> None:
    done = command("matrix", "--plan", "--device", "cpu")
    assert done.code == ExitCode.READY
    rows = [line.split(maxsplit=2) for line in done.out[1:-1]]
    assert [row[0] for row in rows] == [EVERY[0], EVERY[2], EVERY[4], EVERY[6]]
    assert rows[0][2] == "toy 1.0, torch 2.15.0, numpy 1.26.4 (default index)"
    assert rows[1][2] == "toy 1.0, torch 2.15.0, numpy 2.5.5 (default index)"
    assert rows[2][1] == "∅"
    # What the resolver says is shown as it is: no markup, and no colours of its own.
    assert rows[2][2] == r"unsatisfiable: no wheel of numpy[x]<2 for [/] \x1b[31m"
    assert rows[1][1] == rows[3][1] != rows[0][1]
    assert done.out[-1] == "4 cells, 2 distinct locks"


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
    ("base", "message"),
    [
        ([], "so the base image must come from a registry"),
        (["--base", "assembled"], "so the base image cannot be assembled"),
        (["--base", "registry"], None),
    ],
)
def test_plan_lists_cells_whose_interpreter_is_missing(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    base: list[str],
    message: str | None,
) -> None:
    (wheels := tmp_path / "wheels").mkdir()
    for release in ("toy-1.0", "torch-2.0", "numpy-1.0", "numpy-2.0", "pytest-8.4.0"):
        write_wheel(wheels, release)

    async def missing(versions: Collection[str]) -> list[str]:
        return [version for version in versions if version == "3.13"]

    monkeypatch.setattr(cli_locks_table, "missing_interpreters", missing)
    with serving(wheels) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        done = command("matrix", "--plan", "--device", "cpu", *base)

    assert done.code == ExitCode.READY
    lines = [line for line in done.err if "CPython 3.13" in line]
    assert len(lines) == (message is not None)
    assert all(message and line.endswith(message) and "py3.12" not in line for line in lines)


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


@pytest.mark.parametrize("plan", [["--plan"], []])
def test_unwritable_work_dir_is_reported_in_one_line(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: list[str]
) -> None:
    async def nothing(*_: object, **__: object) -> Completed:
        return Completed(exit_status=0, stdout="toy==1.0\n", stderr="")

    async def connect() -> Engine:
        return Roomy()

    monkeypatch.setattr("matrixci.locks.uv_command.run_process", nothing)
    monkeypatch.setattr(Engine, "connect", connect)
    (tmp_path / "file").touch()

    done = command("matrix", *plan, "--work-dir", "file/home")

    assert done.code == ExitCode.INFRASTRUCTURE
    assert len(done.err) == 1
    assert "file/home" in done.err[0]
    assert "Not a directory" in done.err[0]


class Roomy(Engine):
    """An engine of which nothing but its room is asked."""

    def __init__(self) -> None:
        """Have no limit that it would drop."""
        self.host = "unix:///nowhere"
        self.facts = an_engine()

    async def free_disk(self) -> int | None:
        return 2**40


@pytest.fixture
def limitless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an engine answer that enforces neither memory nor pids."""

    async def connect() -> Engine:
        engine = Roomy()
        engine.facts = engine.facts.model_copy(update={"unenforced": ("memory", "pids")})
        return engine

    monkeypatch.setattr(Engine, "connect", connect)


@pytest.mark.usefixtures("limitless")
def test_engine_without_required_limits_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("matrix", "--require-limits")

    assert done.code == ExitCode.INFRASTRUCTURE
    assert any("cannot enforce limits on memory, pids" in line for line in done.err)
    assert not (tmp_path / ".matrixci/runs").exists()


@pytest.mark.usefixtures("limitless")
def test_a_planned_cell_is_an_error_where_its_plan_requires_limits(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def plan(request: PlanRequest, *_: object) -> Plan:
        (cell,) = request.chosen.cells
        lock = answer(cell)
        assert isinstance(lock, Lock)
        planned = PlannedCell(lock=lock.digest, fallback=lock.fallback, runner=())
        return Plan(
            run=new_run(request.settings, request.chosen, request.command),
            matrix=request.settings.matrix,
            architecture="x86_64",
            locks={lock.digest: PlannedLock.of(lock)},
            cells={cell.id: planned},
            unsatisfiable={},
            tools={},
        )

    monkeypatch.setattr(cli_plan, "make_plan", plan)
    assert command("plan", "--cell", EVERY[0], "--require-limits").code == 0
    written = read_plan(tmp_path / ".matrixci/plan/plan.json")
    assert written.run.require_limits
    assert "--require-limits" in written.run.command

    done = command("cell", EVERY[0])

    assert done.code == ExitCode.INFRASTRUCTURE
    (result,) = read_run(tmp_path / ".matrixci/cells" / EVERY[0]).results.values()
    assert (result.outcome, result.reason) == (CellOutcome.ERROR, Reason.ENGINE)
    assert "cannot enforce limits on memory, pids, and --require-limits" in result.message


def test_an_index_that_does_not_answer_is_infrastructure(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        msg = "The package index refused access: 403 Forbidden"
        raise ResolverError(msg)

    monkeypatch.setattr(cli_matrix, "resolve_only", refuse)
    done = command("matrix", "--plan")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert done.err == ["The package index refused access: 403 Forbidden"]


# A run


def stored(work_dir: Path, *results: CellOutcome, interrupted: bool = False) -> Path:
    """Write a run of cells with these outcomes."""
    of = cells(("3.10", "3.11", "3.12", "3.13"))[: len(results)]
    folder = RunFolder.create(work_dir, RUN)
    folder.write_run(a_run(of, interrupted=interrupted))
    for cell, outcome in zip(of, results, strict=True):
        failed = outcome is CellOutcome.FAILED
        checks = [a_check(outcome=CheckOutcome.FAILED)] if failed else None
        reason = Reason.CHECKS if failed else None
        folder.write_cell(a_result(cell, outcome, checks, reason=reason))
    folder.point_latest()
    return folder.path


def test_options_become_the_settings_of_the_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Settings, list[str], Sequence[str]]] = []

    async def execute(
        settings: Settings, chosen: SelectedCells, _: object, words: Sequence[str]
    ) -> JudgedRun:
        seen.append((settings, [cell.id for cell in chosen.cells], words))
        return judge_folder(stored(settings.work_dir, CellOutcome.FAILED))

    monkeypatch.setattr(running, "execute", execute)
    checks = tmp_path / "mine"
    checks.mkdir()
    (checks / "test_x.py").touch()
    line = "matrix --work-dir kept --python 3.12 --device cpu --subject other>=1 --check not(slow) "
    line += "--checks mine --as-of 2025-01-31 --jobs 3 --base assembled --fresh"
    done = command(*line.split())
    ((settings, ids, words),) = seen
    assert done.code == ExitCode.FAILURES
    assert done.out[1] == "NOT READY  1 cell: 1 failed"
    assert f"locks, logs and results: kept/runs/{RUN}" in done.out
    assert ids == [EVERY[0], EVERY[2]]
    assert list(words) == line.split()
    assert settings.subject.subject.requirement == "other>=1"
    assert str(settings.as_of) == "2025-01-31"
    assert (settings.work_dir, settings.checks) == (Path("kept"), Path("mine"))
    assert settings.check_filter == "not(slow)"
    assert settings.options == ExecutionOptions(
        jobs=3, fresh=True, base_origin=BaseOrigin.ASSEMBLED
    )


def test_run_records_the_requested_tier(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[Run] = []

    async def execute(
        settings: Settings, chosen: SelectedCells, _: object, words: Sequence[str]
    ) -> JudgedRun:
        recorded.append(new_run(settings, chosen, words))
        return judge_folder(stored(settings.work_dir, CellOutcome.PASSED))

    monkeypatch.setattr(running, "execute", execute)
    command("matrix", "--tier", "newest", "--device", "cpu")
    command("matrix")
    some, every = recorded
    assert (some.tier, every.tier) == ("newest", None)
    assert [cell.id for cell in some.cells] == [EVERY[4], EVERY[6]]
    assert set(some.unselected) == {*EVERY} - {EVERY[4], EVERY[6]}


@pytest.mark.parametrize("where", ["the matrix", "the subject", "the run"])
def test_interrupt_has_its_own_exit_code(
    command: Command, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    name = {"the matrix": "load_matrix", "the subject": "resolve_subject", "the run": "running"}
    if where == "the run":
        monkeypatch.setattr(running, "execute", interrupt)
    else:
        monkeypatch.setattr(cli_run_settings, name[where], interrupt)
    assert command("matrix").code == ExitCode.INTERRUPTED


def test_interrupted_run_prints_the_command_to_resume(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = stored(tmp_path / ".matrixci", CellOutcome.PASSED, interrupted=True)

    async def execute(*_: object) -> JudgedRun:
        return judge_folder(path)

    monkeypatch.setattr(running, "execute", execute)
    done = command("matrix", "--no-history")
    assert done.code == ExitCode.INTERRUPTED
    assert done.err[-1] == "interrupted; resume with: matrixci matrix --resume"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_process_and_its_children(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "matrix.yaml").write_text(MATRIX, encoding="utf-8")
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 60\n", encoding="utf-8")
    uv.chmod(0o755)
    starter = f"""
import uv; uv.find_uv_bin = lambda: {str(uv)!r}
import sys; sys.argv = ["matrixci", "matrix", "--plan", "--cell", "py3.12-numpy1-cuda"]
from matrixci.cli.main import main
main()
"""
    argv = [sys.executable, "-c", starter]
    process = subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 20
        while not (tmp_path / "pids").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in err
    assert out == ""
    for pid in (tmp_path / "pids").read_text(encoding="utf-8").split():
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text(encoding="utf-8").rpartition(") ")[2][0] in "ZX"


# Showing a run again


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (CellOutcome.PASSED, ExitCode.READY),
        (CellOutcome.PARTIAL, ExitCode.READY),
        (CellOutcome.FAILED, ExitCode.FAILURES),
        (CellOutcome.UNSATISFIABLE, ExitCode.FAILURES),
        (CellOutcome.BLOCKED, ExitCode.FAILURES),
        (CellOutcome.ERROR, ExitCode.INFRASTRUCTURE),
        (CellOutcome.CANCELLED, ExitCode.FAILURES),
    ],
)
def test_showing_a_run_exits_as_the_run_did(
    command: Command, tmp_path: Path, outcome: CellOutcome, code: ExitCode
) -> None:
    stored(tmp_path / ".matrixci", outcome)
    done = command("show")
    assert done.code == code
    word = "passed" if outcome is CellOutcome.PARTIAL else str(outcome)
    assert any(word in line for line in done.out)
    assert done.err == []


def test_showing_an_interrupted_run_exits_as_it_did(command: Command, tmp_path: Path) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.PASSED, interrupted=True)
    assert command("show").code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("how", ["latest", "id", "beginning", "path"])
def test_run_can_be_named_in_several_ways(command: Command, tmp_path: Path, how: str) -> None:
    path = stored(tmp_path / "home", CellOutcome.PASSED)
    names = {"latest": [], "id": [RUN], "beginning": [RUN[:8]], "path": [str(path)]}
    done = command("show", "--work-dir", "home", *names[how])
    assert done.code == ExitCode.READY
    assert done.out[-1] == "READY  1 cell: 1 passed"


@pytest.mark.parametrize("name", [[], ["2026"], ["/no/such/folder"], ["*"]])
def test_unknown_run_is_reported(command: Command, name: list[str]) -> None:
    done = command("show", *name)
    assert done.code == ExitCode.USAGE
    message = "No runs yet" if not name else f"No run {name[0]!r}, and no other runs"
    assert done.err == [f"{message} in .matrixci/runs.", "Start one: matrixci matrix"]


def test_unreadable_run_is_reported(command: Command, tmp_path: Path) -> None:
    path = stored(tmp_path / ".matrixci", CellOutcome.PASSED)
    (path / "run.json").write_text("{", encoding="utf-8")
    done = command("show")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert "run.json: " in done.err[0]


def test_run_without_results_is_not_ready(command: Command, tmp_path: Path) -> None:
    path = stored(tmp_path / ".matrixci", CellOutcome.PASSED)
    next(path.glob("cells/*")).unlink()
    assert command("show").code == ExitCode.INFRASTRUCTURE


def test_table_can_be_written_as_svg(command: Command, tmp_path: Path) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.PASSED, CellOutcome.FAILED)
    done = command("show", "--svg", "deep/table.svg")
    picture = (tmp_path / "deep/table.svg").read_text(encoding="utf-8")
    assert done.code == ExitCode.FAILURES
    assert any("✗" in line for line in done.out)
    assert picture.startswith("<svg")
    assert "✗" in picture
    assert "matrixci" in picture
    assert "@font-face" not in picture


def test_unwritable_svg_is_reported(command: Command, tmp_path: Path) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.PASSED)
    (tmp_path / "in-the-way").touch()
    done = command("show", "--svg", "in-the-way/table.svg")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert "table.svg cannot be written: " in done.err[-1]


def test_reproduce_command_is_not_folded_without_a_terminal(
    command: Command, tmp_path: Path
) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.FAILED)
    folder = tmp_path / ".matrixci/runs" / RUN / "run.json"
    long = "transformers @ git+https://host.example/" + "x" * 200
    text = folder.read_text(encoding="utf-8").replace('"spec": "transformers"', f'"spec": "{long}"')
    folder.write_text(text, encoding="utf-8")
    (line,) = (line for line in command("show").out if "reproduce: " in line)
    assert long in shlex.split(line)


def test_the_module_is_the_command_line_too(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "matrixci", "show"]
    done = subprocess.run(
        argv, cwd=tmp_path, env={**os.environ, "COLUMNS": "200"}, capture_output=True, check=False
    )
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.decode().startswith("No runs yet in ")


RUNS = Path(__file__).parents[1] / "reports/runs"
BEFORE, AFTER = sorted(RUNS.iterdir())


def test_readiness_writes_every_format_and_exits_by_the_verdict(
    command: Command, tmp_path: Path
) -> None:
    done = command("readiness", str(AFTER), "--baseline", str(BEFORE), "--out", "out")
    assert done.code == ExitCode.FAILURES
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.md", "report.json", "junit.xml", "report.sarif", "badge.svg"} <= written
    assert done.out[1].startswith("NOT READY  12 cells: ")
    assert {line.strip() for line in done.out} >= {f"out/{name}" for name in written}
    assert done.err == []


def test_readiness_of_a_green_run_is_ready(command: Command, tmp_path: Path) -> None:
    work_dir = tmp_path / ".matrixci"
    shutil.copytree(BEFORE, work_dir / "runs" / BEFORE.name)
    done = command("readiness", BEFORE.name[:6], "--format", "json")
    assert done.code == ExitCode.READY
    report = work_dir / "runs" / BEFORE.name / "report"
    assert [path.name for path in report.iterdir()] == ["report.json"]
    version = command("readiness", BEFORE.name, "--subject-version", "5.20.2", "--format", "json")
    assert version.code == ExitCode.READY
    other = command("readiness", BEFORE.name, "--subject-version", "5.23.0", "--format", "json")
    assert other.code == ExitCode.FAILURES
    assert any("most cells have transformers 5.23.0" in line for line in other.out[:3])


def test_report_with_other_options_has_its_own_folder(command: Command, tmp_path: Path) -> None:
    runs = tmp_path / ".matrixci/runs"
    for run in (BEFORE, AFTER):
        shutil.copytree(run, runs / run.name)
    folder = runs / AFTER.name

    def asked(*options: str) -> str:
        """Return where the report of a question is, and what the page is compared with."""
        done = command("readiness", AFTER.name, "--format", "json", *options)
        assert done.code == ExitCode.FAILURES
        return next(line.strip() for line in done.out if line.endswith("report.json"))

    own = asked()
    assert own.endswith(f"{AFTER.name}/report/report.json")
    before = (folder / "report/report.json").read_bytes()
    assert json.loads(before)["comparison"]["before"] == BEFORE.name
    assert asked("--baseline", BEFORE.name) == own  # the same question
    names = {
        ("--baseline", "none"): "report-against-none",
        ("--subject-version", "2.0"): "report-2.0",
        ("--subject-version", "../2 0"): "report-.._2_0",
        ("--baseline", "none", "--subject-version", "2.0"): "report-2.0-against-none",
    }
    for options, name in names.items():
        assert Path(asked(*options)).parent.name == name
        assert (folder / name / "report.json").is_file()
    assert (folder / "report/report.json").read_bytes() == before
    assert asked("--baseline", "none", "--out", "elsewhere") == "elsewhere/report.json"


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
