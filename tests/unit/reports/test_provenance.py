from datetime import UTC, date, datetime

import pytest
from factories import a_result, a_run, an_engine, an_image

from matrixci.model import Subject
from matrixci.reports.provenance import environment
from matrixci.verdict.judge import judge


@pytest.mark.parametrize(
    ("ended", "duration"),
    [
        (None, "did not finish"),
        (datetime(2026, 11, 21, 10, 0, 7, tzinfo=UTC), "took 7 s"),
        (datetime(2026, 11, 21, 11, 0, 7, tzinfo=UTC), "took 1 h 7 s"),
        (datetime(2026, 11, 21, 12, 3, tzinfo=UTC), "took 2 h 3 min 0 s"),
        (datetime(2026, 11, 21, 9, tzinfo=UTC), "took 0 s"),  # the clock was set back
    ],
)
def test_environment_has_the_duration_of_the_run(ended: datetime | None, duration: str) -> None:
    judged = judge(a_run(ended=ended), {}, (), date(2026, 11, 21))
    assert dict(environment(judged))["run"].endswith(f"2026-11-21 10:00 UTC, {duration}")


def test_each_base_image_is_listed_with_its_origin() -> None:
    run = a_run()
    (cell,) = run.cells
    image = an_image(base="a:1", base_digest="sha256:0123456789abcdef", base_origin="assembled")
    judged = judge(run, {cell.id: a_result(cell, image=image)}, (), date(2026, 11, 21))
    assert dict(environment(judged))["base images"] == (
        "a:1 (assembled, sha256:0123456789ab): 1 cell"
    )


def test_each_kind_of_engine_is_listed_once() -> None:
    one = an_engine()
    like_it = one.model_copy(update={"memory": 16 * 2**30 - 4096})
    other = one.model_copy(update={"cpus": 64, "gpu": "CDI"})
    judged = judge(a_run(engines=(one, like_it, other)), {}, (), date(2026, 11, 21))
    assert dict(environment(judged))["engine"] == (
        "26.1.5, buildx 0.13.1, x86_64, 2 CPUs, 16 GiB, overlay2, no GPU; "
        "26.1.5, buildx 0.13.1, x86_64, 64 CPUs, 16 GiB, overlay2, GPU via CDI"
    )


def test_commit_of_the_subject_is_not_matrixcis() -> None:
    subject = Subject(name="toy", spec=".", requirement="toy @ file:///toy", commit="a" * 40)
    run = a_run(subject=subject, commit="b" * 40)
    facts = dict(environment(judge(run, {}, (), date(2026, 11, 21))))

    assert facts["subject"] == f"., commit {'a' * 40}"
    assert facts["matrixci"].endswith(f", commit {'b' * 40}")
