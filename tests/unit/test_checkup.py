from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "checkup" / "inside"))

import overlay
from checkup.__main__ import DefectVerdict
from checkup.container import DefectRun
from checkup.data import Defect, Release, Releases, matches, releases, seeded
from checkup.real import CellRun, differences


def test_there_are_enough_defects_with_unique_names() -> None:
    defects = [one for one in seeded() if one.caught_by]
    assert len(defects) >= 30
    assert len({one.name for one in seeded()}) == len(seeded())
    assert all(one.says and one.patches and one.what for one in defects)


def test_there_is_a_control_without_a_defect() -> None:
    assert [one.name for one in seeded() if not one.caught_by] == ["nothing-changed"]


def test_every_entry_of_the_releases_names_outcomes() -> None:
    table = releases()
    entries = [*table.every, *(one for release in table.releases for one in release.expected)]
    assert {outcome for one in entries for outcome in one.outcomes} <= {
        *("passed", "failed", "skipped")
    }


@pytest.mark.parametrize(
    ("glob", "check", "hit"),
    [
        ("test_a.py::test_b[x-1]", "test_a.py::test_b[x-1]", True),
        ("test_a.py::test_b[x-1]", "test_a.py::test_bx", False),
        ("test_a.py::test_b[*]", "test_a.py::test_b[x-1]", True),
        ("test_a.py::test_?", "test_a.py::test_b", True),
        ("test_a.py::test_b", "test_a.py::test_b[x]", False),
    ],
)
def test_brackets_are_literal(glob: str, check: str, *, hit: bool) -> None:
    assert matches(glob, check) is hit


# Verdicts


def defect(**changes: object) -> Defect:
    values = {"name": "d", "what": "w", "patches": (), "caught-by": ("t::a", "t::b*")}
    return Defect.model_validate({**values, "says": "why", **changes})


@pytest.mark.parametrize(
    ("fired", "problem", "caught", "note"),
    [
        ({"t::a": "failed\nthis is why"}, "", True, ""),
        ({"t::a": "failed\nsome", "t::b[1]": "crashed\nwhy"}, "", True, ""),
        (
            {"t::a": "failed\nsomething"},
            "",
            False,
            "does not name the cause (why): failed something",
        ),
        ({"t::c": "failed\nthis is why"}, "", False, "only t::c fired"),
        ({}, "", False, "nothing fired"),
        ({}, "it was not run", False, "it was not run"),
    ],
)
def test_defect_is_caught_by_an_expected_check_that_names_the_cause(
    fired: dict[str, str], problem: str, *, caught: bool, note: str
) -> None:
    verdict = DefectVerdict.of(DefectRun(defect=defect(), problem=problem, fired=fired))
    assert verdict.caught is caught
    assert note in verdict.note
    assert bool(verdict.note) is not caught


# Releases


def differing(checks: dict[str, str], **more: object) -> list[tuple[str, bool]]:
    release = Release.model_validate({"subject": "s==1", "accelerate": "1", "expected": (), **more})
    table = Releases.model_validate({"cell": "c", "every": (), "releases": (release,)})
    run = CellRun(
        release=release,
        seconds=0,
        image="",
        cell_values={},
        checks={check: (outcome, "") for check, outcome in checks.items()},
    )
    return [(one.check, one.is_false_alarm) for one in differences(run, table)]


def expected(check: str, outcome: str) -> dict[str, str]:
    return {"check": check, "outcome": outcome, "because": "so it is"}


def test_unlisted_check_must_pass() -> None:
    assert differing({"a": "passed", "b": "failed", "c": "skipped", "d": "missing"}) == [
        ("b", True),
        ("c", True),
        ("d", True),
    ]


def test_unexpected_pass_is_a_difference() -> None:
    entries = [expected("a*", "failed"), expected("a2", "passed or skipped")]
    assert differing({"a1": "passed", "a2": "skipped"}, expected=entries) == [("a1", False)]


def test_entry_without_a_check_is_a_difference() -> None:
    assert differing({"a": "passed"}, expected=[expected("b", "passed")]) == [("b", True)]


# Overlays


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    deep = site / "checkup_toy" / "deep"
    deep.mkdir(parents=True)
    (site / "checkup_toy" / "__init__.py").write_text("A = 1\n")
    (site / "checkup_toy" / "other.py").write_text("B = 2\n")
    (deep / "__init__.py").write_text("")
    (deep / "module.py").write_text("C = 3\n")
    info = site / "checkup_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: checkup-toy\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    return tmp_path / "overlay"


def test_patch_does_not_change_the_installed_file(package: Path) -> None:
    overlay.apply(package, {"file": "checkup_toy/deep/module.py", "append": "D = 4"})
    overlay.apply(package, {"file": "checkup_toy/__init__.py", "replace": "A = 1", "by": "A = 9"})
    made = package / "checkup_toy"
    assert (made / "__init__.py").read_text() == "A = 9\n"
    assert (made / "deep" / "module.py").read_text().endswith("D = 4")
    assert (made / "other.py").is_symlink()
    assert (made / "deep" / "__init__.py").is_symlink()
    site = package.parent / "site" / "checkup_toy"
    assert (site / "__init__.py").read_text() == "A = 1\n"
    assert (site / "deep" / "module.py").read_text() == "C = 3\n"


def test_patched_metadata_is_a_copy(package: Path) -> None:
    patch = {
        "file": "checkup-toy.dist-info/METADATA",
        "replace": "^Version: .*$",
        "by": "Version: 2",
    }
    overlay.apply(package, patch)
    name = "checkup_toy-1.0.dist-info/METADATA"
    assert "Version: 2" in (package / name).read_text()
    assert "Version: 1.0" in (package.parent / "site" / name).read_text()


@pytest.mark.parametrize(
    "patch",
    [
        {"file": "checkup_toy/nowhere.py", "append": ""},
        {"file": "checkup_toy/other.py", "replace": "Z", "by": ""},
        {"file": "checkup_nowhere/x.py", "append": ""},
    ],
)
def test_patch_that_does_not_apply_is_reported(package: Path, patch: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"no such file|nothing matches|no package"):
        overlay.apply(package, patch)


# Names


def test_every_named_check_exists() -> None:
    folder = Path(__file__).resolve().parents[2] / "checks"
    names = {
        f"{file.name}::{function}"
        for file in folder.glob("test_*.py")
        for function in re.findall(
            r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    table = releases()
    expected = [*table.every, *(one for release in table.releases for one in release.expected)]
    globs = [one.check for one in expected]
    globs += [glob for defect in seeded() for glob in (*defect.caught_by, *defect.related)]
    unknown = [glob for glob in globs if not any(matches(glob.partition("[")[0], n) for n in names)]
    assert not unknown
