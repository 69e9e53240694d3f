from pathlib import Path

import pytest
from harness_runs import CELL, HarnessRun, supervise

ONCE_MORE = """
    import os
    import pathlib
    import pytest

    RUNS = pathlib.Path({runs!r})

    def nth(name):
        with (RUNS / name).open("a") as file:
            file.write("x")
        return len((RUNS / name).read_text())

    def test_passes():
        assert nth("passes") == 1

    def test_flaky():
        assert nth("flaky") == 2

    def test_fails():
        nth("fails")
        raise AssertionError

    def test_known():
        nth("known")
        raise AssertionError

    def test_dies_once():
        if nth("dies") == 1:
            os._exit(3)

    @pytest.mark.parametrize("one", ["a", "b"])
    def test_each(one):
        assert nth(one) == (2 if one == "a" else 1)
"""


def ran_again(
    folder: Path, **cell: object
) -> tuple[HarnessRun, dict[str, str | None], dict[str, int]]:
    """Run the checks; also return the outcomes of the reruns, and how often each check ran."""
    (folder / "runs").mkdir()
    text = ONCE_MORE.format(runs=str(folder / "runs"))
    run = supervise(folder, text, None, **cell)
    again = {one["id"].partition("::")[2]: one["outcome"] for one in run.of("rerun")}
    return run, again, {file.name: len(file.read_text()) for file in (folder / "runs").iterdir()}


def test_failed_checks_are_rerun_alone(tmp_path: Path) -> None:
    limits = {**CELL["limits"], "reruns": 10, "cell_seconds": 3600}
    run, again, ran = ran_again(tmp_path, limits=limits, known=["test_it.py::test_kno*"])

    assert run.complete
    assert again == {
        "test_flaky": "passed",
        "test_fails": "failed",
        "test_dies_once": "passed",
        "test_each[a]": "passed",
    }
    assert ran == {"passes": 1, "flaky": 2, "fails": 2, "known": 1, "dies": 2, "a": 2, "b": 1}
    assert run.outcomes["test_it.py::test_dies_once"] == "crashed"  # the first outcome counts


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"reruns": 3}, "5 checks failed, and at most 3 are rerun"),
        ({"reruns": 0}, ""),
        ({}, ""),
    ],
)
def test_no_rerun_after_many_failures(tmp_path: Path, limits: dict[str, object], says: str) -> None:
    run, again, ran = ran_again(tmp_path, limits={**CELL["limits"], **limits})

    assert run.complete
    assert again == {}
    assert set(ran.values()) == {1}
    assert says in run.log


def test_reruns_fit_into_a_short_time_limit(tmp_path: Path) -> None:
    limits = {**CELL["limits"], "reruns": 10, "cell_seconds": 120}  # less than the start's limit
    run, again, _ = ran_again(tmp_path, limits=limits)

    assert run.complete
    assert again["test_flaky"] == "passed"


def test_rerun_without_time_left_is_recorded(tmp_path: Path) -> None:
    run, again, ran = ran_again(
        tmp_path, limits={**CELL["limits"], "reruns": 10, "cell_seconds": 5}
    )

    assert run.complete
    assert set(again.values()) == {None}
    assert len(again) == 5
    assert set(ran.values()) == {1}
