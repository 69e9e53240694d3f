"""Checks that disabled frameworks are not imported, even if they are broken."""

from __future__ import annotations

import pytest
from support.claims import Metric, refute, subject
from support.decoy_probes import (
    JAX,
    JAX_OFF,
    NOTHING,
    TENSORFLOW,
    TENSORFLOW_OFF,
    DecoyProbes,
    EntryResult,
    smallest_script,
)
from support.decoys import Manner
from support.entries import EVERYTHING, PARAMETERS

REFERENCE = "huggingface/transformers#40292"
pytestmark = [pytest.mark.reference(REFERENCE)]


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> DecoyProbes:
    """Return the probes with decoys on the path."""
    return DecoyProbes(tmp_path_factory.mktemp("decoys"))


def assert_not_executed(
    probes: DecoyProbes, setting: str, names: tuple[str, ...], entry: str
) -> None:
    """Fail the check if importing an entry executes one of the named frameworks."""
    if entry not in EVERYTHING:
        pytest.skip(why_skipped(entry))
    seen = probes.apart(setting, names, entry)
    if seen.absent is not None and "." in entry:  # the subject itself must exist
        pytest.skip(f"the installed release has no {entry}: {seen.absent}")
    if seen.absent is None and seen.clean:
        return
    refute(
        expected=f"with {setting}, importing {entry} executes none of {', '.join(names)}",
        seen=describe(seen),
        chain=next(iter(seen.chains.values()), ()),
        script=smallest_script(entry, names),
        command=f"{setting} python",
    )


def why_skipped(entry: str) -> str:
    """Return why an entry does not apply to this cell."""
    if subject() != "transformers":
        return f"{entry} does not belong to the subject, {subject()}"
    return f"{entry} needs a package that is not installed"


def describe(seen: EntryResult) -> str:
    """Describe the result of an entry."""
    everything = seen.executed or tuple(seen.chains) or seen.seen
    executed = sorted(everything, key=lambda name: (name.count("."), name))
    more = f" and {len(executed) - 5} more modules" if len(executed) > 5 else ""
    first = f"executed: {', '.join(executed[:5]) or 'none of them'}{more}"
    return "\n".join([first, *(text for text in (seen.absent, seen.ending, seen.error) if text)])


@pytest.mark.parametrize("entry", PARAMETERS)
@pytest.mark.parametrize("setting", TENSORFLOW_OFF)
def test_tensorflow_stays_out(probes: DecoyProbes, setting: str, entry: str) -> None:
    """TensorFlow is not imported when it is disabled."""
    assert_not_executed(probes, setting, TENSORFLOW, entry)


@pytest.mark.parametrize("entry", PARAMETERS)
def test_jax_stays_out(probes: DecoyProbes, entry: str) -> None:
    """JAX and Flax are not imported when they are disabled."""
    assert_not_executed(probes, JAX_OFF, JAX, entry)


def test_frameworks_without_a_setting(probes: DecoyProbes, metric: Metric) -> None:
    """The frameworks imported without any setting are recorded."""
    names = (*TENSORFLOW, *JAX)
    results = probes.together(NOTHING, names)
    for name in names:
        count = sum(
            any(module.partition(".")[0] == name for module in result.executed)
            for result in results
        )
        metric(f"imports_that_execute_{name}", count)


@pytest.mark.parametrize(
    "manner",
    [
        pytest.param(Manner.RAISES_NUMPY_ABI, id="numpy-abi-error"),
        pytest.param(Manner.ABORTS, id="abort"),
    ],
)
def test_broken_tensorflow_does_no_harm(probes: DecoyProbes, manner: Manner) -> None:
    """The subject can be imported with a broken TensorFlow that is disabled."""
    setting = TENSORFLOW_OFF[0]
    for result in probes.together(setting, TENSORFLOW, manner):
        if not result.clean:
            refute(
                expected=f"with {setting}, {result.entry} can be imported although an installed "
                f"TensorFlow {manner.value}",
                seen=result.ending or result.error or f"executed: {', '.join(result.executed)}",
                chain=next(iter(result.chains.values()), ()),
                script=smallest_script(result.entry, TENSORFLOW, "__import__('os').abort()"),
                command=f"{setting} python",
            )
