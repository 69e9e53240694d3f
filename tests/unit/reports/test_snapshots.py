"""Reports of stored runs equal their snapshots, which --refresh-snapshots rewrites."""

from collections.abc import Callable
from pathlib import Path

import pytest
import stored_runs

from matrixci.reports import comparison, terminal
from matrixci.reports.formats import FORMATS, write_all

SNAPSHOTS = Path(__file__).parent / "snapshots"
SameAs = Callable[[Path, str], None]
ENDINGS = {"json": "json", "junit": "xml", "markdown": "md", "shields": "json"}


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"html", "terminal"}))
def test_report_equals_its_snapshot(name: str, same_as: SameAs) -> None:
    each = FORMATS[name]
    same_as(SNAPSHOTS / each.file, "".join(each.chunks(stored_runs.report(for_release=True))))


def test_readiness_report_equals_its_snapshot(same_as: SameAs) -> None:
    report = stored_runs.report(for_release=True, subject_version="5.23.0")
    same_as(SNAPSHOTS / "readiness.txt", stored_runs.printed(terminal.render_readiness(report)))


def test_terminal_report_equals_its_snapshot(same_as: SameAs) -> None:
    report = stored_runs.report(baseline=None)
    same_as(SNAPSHOTS / "matrix.txt", stored_runs.printed(terminal.render(report)))


@pytest.mark.parametrize("name", sorted(set(comparison.FORMATS) - {"html"}))
def test_comparison_equals_its_snapshot(name: str, same_as: SameAs) -> None:
    path = SNAPSHOTS / f"compare-{name}.{ENDINGS.get(name, 'txt')}"
    same_as(path, comparison.FORMATS[name](stored_runs.report()))


def test_comparison_in_the_terminal_equals_its_snapshot(same_as: SameAs) -> None:
    made = stored_runs.printed(comparison.render_terminal(stored_runs.report()))
    same_as(SNAPSHOTS / "compare.txt", made)


def test_all_formats_are_written_to_a_folder(tmp_path: Path) -> None:
    paths = write_all(stored_runs.report(), tmp_path / "report")
    assert [path.name for path in paths] == [each.file for each in FORMATS.values()]
    assert all(path.stat().st_size for path in paths)
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "report", *paths])
