"""Plans of a cleanup, without an engine."""

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
from matrixci.engine.image_references import Reference, WorkDirId
from matrixci.reports.cleanup_text import age, listing, phrase, size

NOW = datetime(2026, 11, 28, tzinfo=UTC)
HERE, ELSEWHERE = WorkDirId.of(Path("/projects/one/.matrixci")), WorkDirId.of(Path("/projects/two"))
MATRIX, OTHER_MATRIX = "0123abcd", "ffffffff"
OLD, NEW, OLDEST = (letter * 20 for letter in "abc")
CELL = "py3.12-mode-plain"


def ref(
    key: str = OLD,
    cell: str = CELL,
    *,
    work_dir: WorkDirId = HERE,
    matrix: str = MATRIX,
    green: bool = False,
) -> str:
    made = Reference(repository=work_dir.repository, matrix=matrix, cell=cell, key=key, green=green)
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
    name: str, *, work_dir: WorkDirId = HERE, in_use: bool = False, days: float = 1, of: str = OLD
) -> FoundContainer:
    return FoundContainer(
        id=name,
        image=f"sha256:{of}",
        volumes=frozenset({f"volume of {name}"}),
        work_dir=work_dir.id,
        created=NOW - timedelta(days=days),
        in_use=in_use,
        about="py3.12-cpu of run 2",
    )


def volume(name: str, *, work_dir: WorkDirId = HERE, in_use: bool = False) -> FoundVolume:
    return FoundVolume(
        name=name, work_dir=work_dir.id, created=NOW - timedelta(days=1), in_use=in_use
    )


def current(
    *, green: bool = True, key: str = NEW, cells: tuple[str, ...] = (CELL,), ran: bool = True
) -> CurrentRun:
    return CurrentRun(
        work_dir=HERE,
        matrix=MATRIX,
        began=NOW,
        cells=frozenset(cells),
        images={CELL: CellImage(key=key, green=green)} if ran else {},
    )


# Images of earlier runs


def test_newer_image_of_a_cell_replaces_an_older_one() -> None:
    found = Inventory(images=(image(ref()), image(ref(NEW), ref(NEW, green=True), key=NEW)))
    older, newer = plan_superseded(found, current())
    # The reference comes last, so that an image that is in use by now keeps it.
    assert (older.names, older.whole) == ((f"matrixci/cell:{OLD}", ref()), True)
    assert (newer.names, newer.whole) == ((ref(NEW),), False)  # it has a green reference now


def test_image_of_another_work_directory_is_kept() -> None:
    found = Inventory(images=(image(ref(), ref(work_dir=ELSEWHERE)),))
    (removal,) = plan_superseded(found, current())
    assert (removal.names, removal.whole) == ((ref(),), False)


@pytest.mark.parametrize(
    "other",
    [
        ref(work_dir=ELSEWHERE),
        ref(matrix=OTHER_MATRIX),
        ref(cell="py3.13-mode-plain"),  # not selected
        "someone/own:tag",
    ],
)
def test_images_of_other_work_directories_matrices_and_cells_are_kept(other: str) -> None:
    found = Inventory(images=(image(other),))
    run = current(cells=(CELL, "py3.13-mode-plain"))
    assert plan_superseded(found, run) == ()


def test_image_of_a_removed_cell_is_removed() -> None:
    (removal,) = plan_superseded(Inventory(images=(image(ref(cell="py3.9")),)), current())
    assert removal.whole


def test_cell_without_a_new_image_keeps_its_last_one() -> None:
    assert plan_superseded(Inventory(images=(image(ref()),)), current(ran=False)) == ()


def test_last_green_image_is_kept_until_the_cell_is_green_again() -> None:
    green, red = image(ref(OLDEST, green=True), key=OLDEST), image(ref())
    now_red, now_green = current(green=False), current(green=True)
    assert [each.image for each in plan_superseded(Inventory(images=(green, red)), now_red)] == [
        red
    ]
    assert [each.image for each in plan_superseded(Inventory(images=(green, red)), now_green)] == [
        green,
        red,
    ]


def test_image_of_a_container_is_kept() -> None:
    kept = container("kept", work_dir=ELSEWHERE)
    assert plan_superseded(Inventory(images=(image(ref()),), containers=(kept,)), current()) == ()


def test_image_used_since_the_start_of_the_run_is_kept() -> None:
    assert plan_superseded(Inventory(images=(image(ref(), days=-0.001),)), current()) == ()


def test_registry_name_is_removed_and_a_name_of_the_user_is_kept() -> None:
    shared = f"registry.example:5000/team/matrixci:cell-lock-{OLD[:12]}"
    (removal,) = plan_superseded(Inventory(images=(image(ref(), more=(shared,)),)), current())
    assert removal.whole
    assert removal.names == (f"matrixci/cell:{OLD}", shared, ref())
    (removal,) = plan_superseded(Inventory(images=(image(ref(), more=("my/own:1",)),)), current())
    assert not removal.whole
    assert removal.names == (f"matrixci/cell:{OLD}", ref())


# The clean command


def test_only_the_work_directory_is_cleaned_without_all() -> None:
    found = Inventory(
        containers=(container("mine"), container("other", work_dir=ELSEWHERE, of=OLDEST)),
        volumes=(volume("mine"), volume("other", work_dir=ELSEWHERE)),
        images=(
            image(ref()),
            image(ref(NEW), ref(NEW, work_dir=ELSEWHERE), key=NEW),
            image(key=OLDEST),  # built by a version without references
            base(),
        ),
    )
    plan = plan_cleanup(found, Scope(work_dir=HERE))
    assert [each.id for each in plan.containers] == ["mine"]
    assert [each.name for each in plan.volumes] == ["mine"]
    assert [each.image.id for each in plan.images if each.whole] == [f"sha256:{OLD}"]
    assert phrase(plan) == (
        "removed 1 container, 1 volume, 1 image; "
        "kept 2 images of other folders (--all removes them)"
    )
    every = plan_cleanup(found, Scope(work_dir=None))
    assert phrase(every) == "removed 2 containers, 2 volumes, 4 images"
    assert every.images[-1].image.kind == "base"
    assert {each.names for each in every.images} == {None}


def test_only_what_is_unused_for_the_given_time_is_removed() -> None:
    found = Inventory(
        containers=(container("old", days=9, of=OLDEST), container("new", days=2)),
        images=(image(ref(), days=8), image(ref(NEW), key=NEW, days=2), base(days=30)),
    )
    for work_dir in (HERE, None):
        plan = plan_cleanup(found, Scope(work_dir=work_dir, unused_since=NOW - timedelta(days=7)))
        assert [each.id for each in plan.containers] == ["old"]
        # A container keeps the older image, and an image keeps the base.
        assert plan.images == ()
    alone = Inventory(images=found.images)
    plan = plan_cleanup(alone, Scope(work_dir=None, unused_since=NOW - timedelta(days=7)))
    assert [each.image.id for each in plan.images] == [f"sha256:{OLD}"]
    plan = plan_cleanup(alone, Scope(work_dir=None, unused_since=NOW - timedelta(days=1)))
    assert [each.image.kind for each in plan.images] == ["image", "image", "base"]


def test_what_a_run_in_progress_uses_is_kept() -> None:
    found = Inventory(
        containers=(container("alive", in_use=True), container("kept", of=NEW)),
        volumes=(volume("volume of alive"), volume("owned", in_use=True), volume("unowned")),
        images=(image(ref()), image(ref(NEW), key=NEW), base()),
    )
    plan = plan_cleanup(found, Scope(work_dir=None))
    assert [each.id for each in plan.containers] == ["kept"]
    assert [each.name for each in plan.volumes] == ["unowned"]
    assert phrase(plan) == (
        "removed 1 container, 1 volume, 1 image; "
        "kept 1 container, 2 volumes, 2 images in use by a run"
    )
    assert "1 container, 2 volumes, 1 image" in phrase(plan_cleanup(found, Scope(work_dir=HERE)))


@pytest.mark.parametrize("work_dir", [HERE, None])
def test_all_images_of_a_work_directory_with_another_run_are_kept(
    work_dir: WorkDirId | None,
) -> None:
    other = image(ref(NEW, work_dir=ELSEWHERE), key=NEW)
    plan = plan_cleanup(
        Inventory(images=(image(ref()), other)), Scope(work_dir=work_dir, busy=HERE)
    )
    assert plan.spared.images == 1
    assert [each.image for each in plan.images] == ([] if work_dir else [other])


def test_dry_run_lists_sizes_and_ages() -> None:
    found = Inventory(
        containers=(container("0123456789abcdef", days=3),),
        volumes=(volume("volume of 0123456789abcdef"),),
        images=(image(ref(), days=2),),
    )
    plan = plan_cleanup(found, Scope(work_dir=HERE))
    assert phrase(plan, dry_run=True) == "would remove 1 container, 1 volume, 1 image"
    assert list(listing(plan, NOW)) == [
        "  container  0123456789ab  3 days old  py3.12-cpu of run 2",
        "  volume     volume of 01  1 day old",
        f"  image      matrixci/cell:{OLD}  212 MB  last used 2 days ago  {CELL} of one-{HERE.id}",
        "Sizes include layers shared between images.",
    ]
    assert list(listing(plan_cleanup(Inventory(), Scope(work_dir=None)), NOW)) == []


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (17_700_000_000, "17.7 GB")]
)
def test_size_is_printed_with_its_unit(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(seconds=-1), "0 seconds"),
        (timedelta(seconds=61), "1 minute"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(days=8), "8 days"),
    ],
)
def test_age_is_printed_in_its_largest_unit(time: timedelta, text: str) -> None:
    assert age(time) == text
