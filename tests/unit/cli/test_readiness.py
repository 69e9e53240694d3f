import json
import shutil
from pathlib import Path

from cli_runs import Command

from matrixci.errors import ExitCode

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
