"""Import isolation: a framework that is switched off stays out, however broken it is."""

from __future__ import annotations

import pytest
from claims import Figure, refute, subject
from decoy import Manner
from isolation import (
    CLAIMED,
    EVERYTHING,
    JAX,
    JAX_OFF,
    NOTHING,
    TENSORFLOW,
    TENSORFLOW_OFF,
    Decoyed,
    Entered,
    smallest_script,
)

REFERENCE = "huggingface/transformers#40292"
pytestmark = [pytest.mark.reference(REFERENCE)]


@pytest.fixture(scope="module")
def decoyed(tmp_path_factory: pytest.TempPathFactory) -> Decoyed:
    """Return the probes in front of decoys."""
    return Decoyed(tmp_path_factory.mktemp("decoys"))


def stays_out(decoyed: Decoyed, setting: str, names: tuple[str, ...], entry: str) -> None:
    """Assert that none of the named frameworks is executed by the import of an entry."""
    if entry not in EVERYTHING:
        pytest.skip(why_not(entry))
    seen = decoyed.apart(setting, names, entry)
    if seen.absent is not None and "." in entry:  # the subject itself must be there
        pytest.skip(f"the installed release has no {entry}: {seen.absent}")
    if seen.absent is None and seen.clean:
        return
    refute(
        expected=f"{entry} is imported under {setting} and executes none of {', '.join(names)}",
        seen=what_came(seen),
        chain=next(iter(seen.chains.values()), ()),
        script=smallest_script(entry, names),
        command=f"{setting} python",
    )


def why_not(entry: str) -> str:
    """Say why a claim about an entry makes no sense in this cell."""
    if subject() != "transformers":
        return f"{entry} is no entry of {subject()}, which is the subject"
    return f"{entry} needs a package that is not installed"


def what_came(seen: Entered) -> str:
    """Say what an entry came to."""
    everything = seen.executed or tuple(seen.chains) or seen.seen
    executed = sorted(everything, key=lambda name: (name.count("."), name))
    more = f" and {len(executed) - 5} more modules" if len(executed) > 5 else ""
    said = [f"executed: {', '.join(executed[:5]) or 'none of them'}{more}"]
    return "\n".join([*said, *(text for text in (seen.absent, seen.ending, seen.error) if text)])


@pytest.mark.parametrize("entry", CLAIMED)
@pytest.mark.parametrize("setting", TENSORFLOW_OFF)
def test_tensorflow_stays_out(decoyed: Decoyed, setting: str, entry: str) -> None:
    """TensorFlow stays out when it is switched off."""
    stays_out(decoyed, setting, TENSORFLOW, entry)


@pytest.mark.parametrize("entry", CLAIMED)
def test_jax_stays_out(decoyed: Decoyed, entry: str) -> None:
    """JAX and Flax stay out when they are switched off."""
    stays_out(decoyed, JAX_OFF, JAX, entry)


def test_frameworks_without_a_setting(decoyed: Decoyed, figure: Figure) -> None:
    """Which frameworks come along where nothing is set is recorded, and not judged."""
    names = (*TENSORFLOW, *JAX)
    came = decoyed.together(NOTHING, names)
    for name in names:
        entries = [one for one in came if any(f.partition(".")[0] == name for f in one.executed)]
        figure(f"entries_that_execute_{name}", len(entries))


@pytest.mark.parametrize(
    "manner",
    [
        pytest.param(Manner.RAISES_NUMPY_ABI, id="numpy-abi-error"),
        pytest.param(Manner.ABORTS, id="abort"),
    ],
)
def test_broken_tensorflow_does_no_harm(decoyed: Decoyed, manner: Manner) -> None:
    """A broken TensorFlow that is switched off doesn't keep the subject from being imported."""
    setting = TENSORFLOW_OFF[0]
    for one in decoyed.together(setting, TENSORFLOW, manner):
        if not one.clean:
            refute(
                expected=f"{one.entry} is imported under {setting} beside a TensorFlow that "
                f"{manner.value}",
                seen=one.ending or one.error or f"executed: {', '.join(one.executed)}",
                chain=next(iter(one.chains.values()), ()),
                script=smallest_script(one.entry, TENSORFLOW, "__import__('os').abort()"),
                command=f"{setting} python",
            )
