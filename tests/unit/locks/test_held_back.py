"""Reasons for held-back releases, from the real uv and a test index."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from derivations import Release, write_index
from factories import a_cell
from tiny_index import serving

from matrixci.locks.held_back import LockedCell, held_back_releases
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.resolver import Resolver
from matrixci.model import Cell, Subject

PLATFORM = "x86_64-manylinux_2_36"
SUBJECT = Subject(name="toy", spec="toy", requirement="toy")
BASE: Mapping[str, Release] = {"toy-1.0": {}, "lib-1.0": {}, "pytest-8.4.0": {}}


def cell(python: str = "3.13", *requires: str) -> Cell:
    name = f"py{python}-{len(requires)}"
    return a_cell(python, id=name, requires=requires, torch_backend=None)


def remarks(
    folder: Path,
    index: Mapping[str, Release],
    cells: Sequence[Cell],
    packages: Sequence[str] = ("toy", "lib"),
) -> dict[str, dict[str, str]]:
    """Resolve cells and return the reasons for their held-back releases."""

    async def ask() -> dict[str, dict[str, str]]:
        resolver = Resolver(folder / "cache", PLATFORM, None, fresh=True)
        locks = {each.id: await resolver.resolve(each, SUBJECT) for each in cells}
        locked = [
            LockedCell(cell=each, versions=lock.versions)
            for each in cells
            if isinstance(lock := locks[each.id], Lock)
        ]
        assert len(locked) == len(cells)
        return await held_back_releases(resolver, SUBJECT, packages, locked)

    (folder / "index").mkdir()
    write_index(folder / "index", {**BASE, **index})
    with serving(folder / "index") as address, pytest.MonkeyPatch.context() as patch:
        for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("UV_DEFAULT_INDEX", address)
        return asyncio.run(ask())


OLD = "cp312-cp312-manylinux_2_17_x86_64"


@pytest.mark.parametrize(
    ("index", "newer", "older", "reason"),
    [
        pytest.param(
            {"lib-2.0": {"python": ">=3.13", "announced": True}},
            cell("3.13", "lib"),
            cell("3.12", "lib"),
            "lib 2.0 needs Python >=3.13",
            id="another Python, according to the index",
        ),
        pytest.param(
            {"lib-2.0": {"python": ">=3.13"}},
            cell("3.13", "lib"),
            cell("3.12", "lib"),
            "lib 2.0 needs Python >=3.13",
            id="another Python, according to the metadata only",
        ),
        pytest.param(
            {"lib-2.0": {"tag": OLD}},
            cell("3.12", "lib"),
            cell("3.13", "lib"),
            "lib 2.0 has no wheel for Python 3.13",
            id="no wheel for this Python",
        ),
        pytest.param(
            {"lib-2.0": {"yanked": True}},
            cell("3.13", "lib==2.0", "toy"),
            cell("3.13", "lib"),
            "lib 2.0 was yanked",
            id="yanked",
        ),
        pytest.param(
            {"lib-2.0rc1": {}},
            cell("3.13", "lib>=2.0rc1", "toy"),
            cell("3.13", "lib"),
            "lib 2.0rc1 is a pre-release",
            id="a pre-release",
        ),
        pytest.param(
            {"lib-2.0": {}},
            cell("3.13", "lib", "toy"),
            cell("3.13", "lib<2"),
            "lib<2 is required",
            id="excluded by the matrix",
        ),
        pytest.param(
            {"lib-2.0": {}, "mid-1.0": {"requires": ["lib<2"]}, "mid-2.0": {"requires": ["lib"]}},
            cell("3.13", "lib", "mid"),
            cell("3.13", "lib", "mid<2", "toy"),
            "mid 1.0 needs lib<2",
            id="excluded by another package",
        ),
        pytest.param(
            {
                "lib-2.0": {},
                "mid-1.0": {"requires": ["lib"]},
                "mid-2.0": {"requires": ["lib<2"]},
            },
            cell("3.13", "lib"),
            cell("3.13", "mid", "lib"),
            "mid 2.0 needs lib<2",
            id="held by another package whose older release would be compatible",
        ),
        pytest.param(
            {"lib-2.0": {"requires": ["base>=2"]}, "base-1.0": {}, "base-2.0": {}},
            cell("3.13", "lib"),
            cell("3.13", "lib", "base<2"),
            "lib 2.0 needs base>=2, and base<2 is required",
            id="the matrix excludes its dependency",
        ),
    ],
)
def test_the_reason_why_a_release_is_held_back(
    tmp_path: Path, index: Mapping[str, Release], newer: Cell, older: Cell, reason: str
) -> None:
    assert remarks(tmp_path, index, [newer, older]) == {older.id: {"lib": reason}}


def test_a_proof_that_cannot_be_parsed_gives_no_reason(tmp_path: Path) -> None:
    # uv prefers the newest base, which is incompatible with the newest lib.
    index: Mapping[str, Release] = {
        "lib-2.0": {"requires": ["base<2"]},
        "base-1.0": {},
        "base-2.0": {},
    }
    cells = [cell("3.13", "lib"), cell("3.13", "base", "lib")]
    assert remarks(tmp_path, index, cells) == {}


def test_markers_are_evaluated_by_the_resolver(tmp_path: Path) -> None:
    marked = "lib<2; python_version < '3.13'"
    cells = [cell("3.13", marked, "lib"), cell("3.12", marked, "lib")]
    reasons = remarks(tmp_path, {"lib-2.0": {}}, cells)
    assert reasons == {"py3.12-2": {"lib": "lib<2 is required"}}


def test_local_builds_of_one_release_are_not_older(tmp_path: Path) -> None:
    index: Mapping[str, Release] = {"lib-2.0+one": {}, "lib-2.0+two": {}}
    cells = [cell("3.13", "lib==2.0+one"), cell("3.13", "lib==2.0+two", "toy")]
    assert remarks(tmp_path, index, cells) == {}


NEW = "cp313-cp313-manylinux_2_17_x86_64"
NEWER: Mapping[str, Release] = {
    "lib-2.0": {"python": ">=3.12", "announced": True, "tag": NEW},
    "lib-3.0": {"python": ">=3.13", "announced": True, "tag": NEW},
}


@pytest.mark.parametrize(
    ("requires", "more", "reason"),
    [
        (["lib==2.0"], {}, "lib==2.0 needs Python >=3.12"),
        (["lib>=2"], {}, "lib==3.0 needs Python >=3.13"),  # the proof does not say so about 2.0
        (
            ["mid"],
            {"mid-1.0": {"requires": ["lib>=3"]}},
            "lib>=3 needs Python >=3.13, and mid needs it",
        ),
        (["old"], {"old-1.0": {"tag": OLD.replace("312", "39")}}, "no wheel of old"),
    ],
)
def test_an_unsatisfiable_cell_names_the_required_python(
    tmp_path: Path, requires: list[str], more: Mapping[str, Release], reason: str
) -> None:
    (tmp_path / "index").mkdir()
    write_index(tmp_path / "index", {**BASE, **NEWER, **more})
    with serving(tmp_path / "index") as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_DEFAULT_INDEX", address)
        resolver = Resolver(tmp_path / "cache", PLATFORM, None, fresh=True)
        answer = asyncio.run(resolver.resolve(cell("3.11", *requires), SUBJECT))
    assert isinstance(answer, Unsatisfiable)
    assert answer.reason.startswith(reason)
    assert "can be used here" not in answer.reason
