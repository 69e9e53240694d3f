from datetime import UTC, date, datetime

import pytest
from factories import a_result, a_run, an_image

from matrixci.judge import judge
from matrixci.reports.environment import environment


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (None, "did not end"),
        (datetime(2026, 11, 21, 10, 0, 7, tzinfo=UTC), "took 7 s"),
        (datetime(2026, 11, 21, 11, 0, 7, tzinfo=UTC), "took 1 h 7 s"),
        (datetime(2026, 11, 21, 12, 3, tzinfo=UTC), "took 2 h 3 min 0 s"),
        (datetime(2026, 11, 21, 9, tzinfo=UTC), "took 0 s"),  # the clock was set back
    ],
)
def test_it_is_told_how_long_the_run_took(ended: datetime | None, told: str) -> None:
    judged = judge(a_run(ended=ended), {}, (), date(2026, 11, 21))
    assert dict(environment(judged))["run"].endswith(f"2026-11-21 10:00 UTC, {told}")


def test_each_base_is_told_with_where_it_is_from() -> None:
    run = a_run()
    (cell,) = run.cells
    image = an_image(base="a:1", base_digest="sha256:0123456789abcdef", base_origin="assembled")
    judged = judge(run, {cell.id: a_result(cell, image=image)}, (), date(2026, 11, 21))
    assert dict(environment(judged))["base images"] == (
        "a:1 (assembled, sha256:0123456789ab): 1 cell"
    )
