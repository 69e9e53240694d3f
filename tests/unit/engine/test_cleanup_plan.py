"""What a cleanup removes: decided from what there is, with no engine."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from matrixci.engine.cleanup_plan import (
    CellImage,
    CurrentRun,
    FoundContainer,
    FoundImage,
    FoundVolume,
    Inventory,
    Scope,
    plan_cleanup,
    plan_superseded,
)
from matrixci.engine.image_references import Folder, Reference
from matrixci.reports.cleanup_text import age, listing, phrase, size

NOW = datetime(2026, 11, 28, tzinfo=UTC)
HERE, ELSEWHERE = Folder.of(Path("/projects/one/.matrixci")), Folder.of(Path("/projects/two"))
MATRIX, OTHER_MATRIX = "0123abcd", "ffffffff"
OLD, NEW, OLDEST = (letter * 20 for letter in "abc")
CELL = "py3.12-mode-plain"


def ref(
    key: str = OLD,
    cell: str = CELL,
    *,
    folder: Folder = HERE,
    matrix: str = MATRIX,
    green: bool = False,
) -> str:
    made = Reference(repository=folder.repository, matrix=matrix, cell=cell, key=key, green=green)
    return made.tag


def image(*refs: str, key: str = OLD, days: float = 1, more: tuple[str, ...] = ()) -> FoundImage:
    used = NOW - timedelta(days=days)
    names = (f"matrixci/cell:{key}", *refs, *more)
    return FoundImage(
        id=f"sha256:{key}",
        kind="image",
        names=names,
        shared=f"cell-lock-{key[:12]}",
        created=used,
        used=used,
        size=212_345_678,
    )


def base(days: float = 1) -> FoundImage:
    used = NOW - timedelta(days=days)
    return FoundImage(
        id="sha256:base", kind="base", names=("matrixci/system:1",), created=used, used=used
    )


def container(
    name: str, *, folder: Folder = HERE, in_use: bool = False, days: float = 1, of: str = OLD
) -> FoundContainer:
    return FoundContainer(
        id=name,
        image=f"sha256:{of}",
        volumes=frozenset({f"volume of {name}"}),
        folder=folder.id,
        created=NOW - timedelta(days=days),
        in_use=in_use,
        about="py3.12-cpu of run 2",
    )


def volume(name: str, *, folder: Folder = HERE, in_use: bool = False) -> FoundVolume:
    return FoundVolume(name=name, folder=folder.id, created=NOW - timedelta(days=1), in_use=in_use)


def current(
    *, green: bool = True, key: str = NEW, cells: tuple[str, ...] = (CELL,), ran: bool = True
) -> CurrentRun:
    return CurrentRun(
        folder=HERE,
        matrix=MATRIX,
        began=NOW,
        cells=frozenset(cells),
        images={CELL: CellImage(key=key, green=green)} if ran else {},
    )


# Images of earlier runs


def test_a_newer_image_of_a_cell_replaces_an_older_one() -> None:
    found = Inventory(images=(image(ref()), image(ref(NEW), ref(NEW, green=True), key=NEW)))
    older, newer = plan_superseded(found, current())
    # The reference goes last: an image that turns out to be in use is still known by it.
    assert (older.names, older.whole) == ((f"matrixci/cell:{OLD}", ref()), True)
    assert (newer.names, newer.whole) == ((ref(NEW),), False)  # it is known as green now


def test_an_image_that_another_folder_uses_stays() -> None:
    found = Inventory(images=(image(ref(), ref(folder=ELSEWHERE)),))
    (removal,) = plan_superseded(found, current())
    assert (removal.names, removal.whole) == ((ref(),), False)


@pytest.mark.parametrize(
    "other",
    [
        ref(folder=ELSEWHERE),
        ref(matrix=OTHER_MATRIX),
        ref(cell="py3.13-mode-plain"),  # it was not selected
        "someone/own:tag",
    ],
)
def test_images_of_other_folders_matrices_and_cells_stay(other: str) -> None:
    found = Inventory(images=(image(other),))
    run = current(cells=(CELL, "py3.13-mode-plain"))
    assert plan_superseded(found, run) == ()


def test_an_image_of_a_cell_that_the_matrix_no_longer_has_goes() -> None:
    (removal,) = plan_superseded(Inventory(images=(image(ref(cell="py3.9")),)), current())
    assert removal.whole


def test_a_cell_without_an_image_in_this_run_keeps_its_last_one() -> None:
    assert plan_superseded(Inventory(images=(image(ref()),)), current(ran=False)) == ()


def test_while_a_cell_is_not_green_the_last_image_in_which_it_was_stays() -> None:
    green, red = image(ref(OLDEST, green=True), key=OLDEST), image(ref())
    now_red, now_green = current(green=False), current(green=True)
    assert [each.image for each in plan_superseded(Inventory(images=(green, red)), now_red)] == [
        red
    ]
    assert [each.image for each in plan_superseded(Inventory(images=(green, red)), now_green)] == [
        green,
        red,
    ]


def test_an_image_that_a_container_uses_stays() -> None:
    kept = container("kept", folder=ELSEWHERE)
    assert plan_superseded(Inventory(images=(image(ref()),), containers=(kept,)), current()) == ()


def test_an_image_that_was_used_since_the_run_began_stays() -> None:
    assert plan_superseded(Inventory(images=(image(ref(), days=-0.001),)), current()) == ()


def test_the_name_in_a_registry_goes_along_and_a_name_of_the_users_own_stays() -> None:
    shared = f"registry.example:5000/team/matrixci:cell-lock-{OLD[:12]}"
    (removal,) = plan_superseded(Inventory(images=(image(ref(), more=(shared,)),)), current())
    assert removal.whole
    assert removal.names == (f"matrixci/cell:{OLD}", shared, ref())
    (removal,) = plan_superseded(Inventory(images=(image(ref(), more=("my/own:1",)),)), current())
    assert not removal.whole
    assert removal.names == (f"matrixci/cell:{OLD}", ref())


# The command


def test_without_all_only_what_is_the_folders_goes() -> None:
    found = Inventory(
        containers=(container("mine"), container("theirs", folder=ELSEWHERE, of=OLDEST)),
        volumes=(volume("mine"), volume("theirs", folder=ELSEWHERE)),
        images=(
            image(ref()),
            image(ref(NEW), ref(NEW, folder=ELSEWHERE), key=NEW),
            image(key=OLDEST),  # made before there were references
            base(),
        ),
    )
    plan = plan_cleanup(found, Scope(folder=HERE))
    assert [each.id for each in plan.containers] == ["mine"]
    assert [each.name for each in plan.volumes] == ["mine"]
    assert [each.image.id for each in plan.images if each.whole] == [f"sha256:{OLD}"]
    assert phrase(plan) == (
        "removed 1 container, 1 volume, 1 image; "
        "left for other folders: 2 images (--all removes them)"
    )
    every = plan_cleanup(found, Scope(folder=None))
    assert phrase(every) == "removed 2 containers, 2 volumes, 4 images"
    assert every.images[-1].image.kind == "base"
    assert {each.names for each in every.images} == {None}


def test_only_what_was_not_used_for_so_long_goes() -> None:
    found = Inventory(
        containers=(container("old", days=9, of=OLDEST), container("new", days=2)),
        images=(image(ref(), days=8), image(ref(NEW), key=NEW, days=2), base(days=30)),
    )
    for folder in (HERE, None):
        plan = plan_cleanup(found, Scope(folder=folder, unused_since=NOW - timedelta(days=7)))
        assert [each.id for each in plan.containers] == ["old"]
        # The older image is that of a container that stays, and the base is below an image.
        assert plan.images == ()
    alone = Inventory(images=found.images)
    plan = plan_cleanup(alone, Scope(folder=None, unused_since=NOW - timedelta(days=7)))
    assert [each.image.id for each in plan.images] == [f"sha256:{OLD}"]
    plan = plan_cleanup(alone, Scope(folder=None, unused_since=NOW - timedelta(days=1)))
    assert [each.image.kind for each in plan.images] == ["image", "image", "base"]


def test_what_a_living_run_uses_is_spared() -> None:
    found = Inventory(
        containers=(container("alive", in_use=True), container("kept", of=NEW)),
        volumes=(volume("volume of alive"), volume("its own", in_use=True), volume("nobody's")),
        images=(image(ref()), image(ref(NEW), key=NEW), base()),
    )
    plan = plan_cleanup(found, Scope(folder=None))
    assert [each.id for each in plan.containers] == ["kept"]
    assert [each.name for each in plan.volumes] == ["nobody's"]
    assert phrase(plan) == (
        "removed 1 container, 1 volume, 1 image; "
        "spared, for a run is under way with them: 1 container, 2 volumes, 2 images"
    )
    assert "1 container, 2 volumes, 1 image" in phrase(plan_cleanup(found, Scope(folder=HERE)))


@pytest.mark.parametrize("folder", [HERE, None])
def test_while_another_process_works_in_the_folder_all_its_images_stay(
    folder: Folder | None,
) -> None:
    theirs = image(ref(NEW, folder=ELSEWHERE), key=NEW)
    plan = plan_cleanup(Inventory(images=(image(ref()), theirs)), Scope(folder=folder, busy=HERE))
    assert plan.spared.images == 1
    assert [each.image for each in plan.images] == ([] if folder else [theirs])


def test_a_dry_run_lists_sizes_and_ages() -> None:
    found = Inventory(
        containers=(container("0123456789abcdef", days=3),),
        volumes=(volume("volume of 0123456789abcdef"),),
        images=(image(ref(), days=2),),
    )
    plan = plan_cleanup(found, Scope(folder=HERE))
    assert phrase(plan, dry_run=True) == "would remove 1 container, 1 volume, 1 image"
    assert list(listing(plan, NOW)) == [
        "  container  0123456789ab  3 days old  py3.12-cpu of run 2",
        "  volume     volume of 01  1 day old",
        f"  image      matrixci/cell:{OLD}  212 MB  last used 2 days ago  {CELL} of one-{HERE.id}",
        "Sizes include layers that images share.",
    ]
    assert list(listing(plan_cleanup(Inventory(), Scope(folder=None)), NOW)) == []


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (17_700_000_000, "17.7 GB")]
)
def test_a_size_is_told_in_its_unit(number: int, told: str) -> None:
    assert size(number) == told


@pytest.mark.parametrize(
    ("time", "told"),
    [
        (timedelta(seconds=-1), "0 seconds"),
        (timedelta(seconds=61), "1 minute"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(days=8), "8 days"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(time: timedelta, told: str) -> None:
    assert age(time) == told
