import re
from pathlib import Path

import pytest
from derivations import PYTHON, cases, prove, why_not_used
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixci.locks.derivation import name_of
from matrixci.locks.unsatisfiable import (
    NO_SOLUTION,
    derivation_of,
    needed_pythons,
    one_line,
    readable_reason,
)

CASES = sorted((Path(__file__).parents[1] / "data/resolver").glob("*.txt"))
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def case(path: Path) -> tuple[str, str]:
    """Return the expected line and the recorded output of uv."""
    head, _, said = path.read_text(encoding="utf-8").partition("\n\n")
    return head.splitlines()[1], said


REASONS = [path for path in CASES if case(path)[0].startswith("reason: ")]


def test_enough_outputs_of_uv_are_recorded() -> None:
    assert len(REASONS) > 20


@pytest.mark.parametrize("path", REASONS, ids=lambda path: path.stem)
def test_recorded_output_becomes_one_readable_line(path: Path) -> None:
    expected, said = case(path)
    reason = readable_reason(said)
    assert f"reason: {reason}" == expected, reason
    assert len(reason) <= 220
    assert "\n" not in reason


PROOFS = cases()


def test_enough_kinds_of_proofs_are_recorded() -> None:
    assert len(PROOFS) >= 30


@pytest.mark.parametrize("name", PROOFS)
def test_a_reason_names_only_real_requirements(name: str) -> None:
    case = PROOFS[name]
    reason = readable_reason(case["said"], PYTHON)
    assert reason == case["reason"]
    if not derivation_of(case["said"]).understood:
        assert reason.startswith("Because ")
        return
    needed = {
        requirement.partition(";")[0].strip()
        for release in case["index"].values()
        for requirement in release.get("requires", [])
    }
    assert set(re.findall(r"needs ([a-z]\S*?)(?=[,;]|$)", reason)) - {"it"} <= {
        *needed,
        *map(name_of, needed),
    }
    asked = {re.sub(r">=(\S+),<=\1$", r"==\1", one) for one in case["asked"]}  # as uv writes it
    assert set(re.findall(r"(\S+) is required", reason)) <= asked


NOT_USED = {name: case for name, case in PROOFS.items() if "not_used" in case}


@pytest.mark.parametrize("name", NOT_USED)
def test_the_reason_for_a_held_back_release_follows_its_proof(name: str) -> None:
    case = NOT_USED[name]
    assert why_not_used(case["said"], case["not_used"]) == case["not_used"]["reason"]


def without_active_python(said: str) -> str:
    """Return output of uv without the hint that depends on the Python of the tests."""
    return re.sub(r"hint: While the active Python version is .*\n+", "", said)


@pytest.mark.parametrize("name", [*list(PROOFS)[:2], *list(NOT_USED)[:1]])
def test_recorded_proofs_equal_those_of_the_installed_uv(name: str) -> None:
    assert without_active_python(prove(PROOFS[name])) == without_active_python(PROOFS[name]["said"])


def test_the_split_markers_of_uv_are_left_out() -> None:
    (name,) = (name for name in NOT_USED if PROOFS[name].get("universal"))
    said = PROOFS[name]["said"]
    assert "for split (markers: " in said
    assert "split" not in readable_reason(said)
    assert "split" not in readable_reason(said.replace("we can conclude", "it is clear"))


def test_a_proof_with_an_unknown_fact_is_quoted() -> None:
    because = "toy==1 is out of fashion and you require toy, we can conclude that it is so."
    said = f"{NO_SOLUTION}\n  cause: Because {because}"
    assert readable_reason(said) == f"Because {because}"


def test_the_lowest_python_of_several_releases_is_named() -> None:
    (path,) = (path for path in CASES if path.stem == "universal-numpy-on-3.10")
    expected, said = case(path)
    needed = needed_pythons(said, "3.10")
    lines = [f"{need.package} needs Python {need.requirement}" for need in needed.values()]
    assert [f"needs: {each}" for each in lines] == [expected]
    whole = needed_pythons(said.replace("numpy==2.4.0 has no usable wheels and ", ""), "3.10")
    assert whole["numpy"].package == "numpy"


@pytest.mark.parametrize(
    ("said", "needed"),
    [
        ("numpy==2 depends on Python>=3.12", {"numpy": ">=3.12"}),
        ("numpy==2 depends on Python<3.9", {"numpy": "<3.9"}),
        ("numpy==1 depends on Python<3.9 and numpy==2 depends on Python>=3.12", {}),
        ("numpy==2 is out of fashion", {}),
        ("numpy===weird depends on Python>=3.12", {}),
    ],
)
def test_the_required_python_is_named_only_if_unambiguous(
    said: str, needed: dict[str, str]
) -> None:
    text = f"{NO_SOLUTION}\n cause: Because {said}, we can conclude that it is so."
    found = needed_pythons(text, "3.11")
    assert {name: need.requirement for name, need in found.items()} == needed


PIECES = st.sampled_from(
    [
        "Because",
        "And because",
        "you require",
        "we can conclude that",
        "depends on",
        "depends on Python",
        "there is no version of",
        "was not found in the package registry",
        "and",
        ",",
        "numpy>=2",
        "numpy<2",
        "numpy!=2,!=3",
        "torch==2.15.0+cpu",
        "numpy==1.*",
        "numpy<1.dev0",
        "a[b,c]==0",
        "numpy===weird",
        "hint: Wheels are required for `numpy`",
        "hint: You require CPython 3.13 (`cp313`), but we only found wheels for `numpy`",
        "\n",
        "[bold]",
    ]
)


@QUICK
@given(st.lists(PIECES | st.text(max_size=20), max_size=40))
def test_any_output_gives_a_short_line(pieces: list[str]) -> None:
    reason = readable_reason(f"{NO_SOLUTION}\n  cause: {' '.join(pieces)}")
    assert reason.strip()
    assert len(reason) <= 220
    assert len(reason.splitlines()) == 1


def test_compatible_requirements_are_not_a_conflict() -> None:
    said = (
        "{}\n cause: Because a==1 depends on {} and you require {} and zzz==1, we can conclude that"
        " your requirements are unsatisfiable."
    )
    for needed, required in [
        ("numpy>=1", "numpy<2"),
        ("numpy>=1", "numpy>=2"),
        ("numpy<1", "numpy<2"),
        ("numpy>1,<2", "numpy>1.5"),
        ("numpy!=1", "numpy!=2"),
        ("numpy==1.*", "numpy>=1.2"),
        ("numpy", "numpy>=1.2"),
        ("other>=3", "numpy<2"),
    ]:
        assert " is required" not in readable_reason(said.format(NO_SOLUTION, needed, required))
    for needed, required in [("numpy<2", "numpy>=2"), ("numpy==1.*", "numpy>=2")]:
        reason = readable_reason(said.format(NO_SOLUTION, needed, required))
        assert reason == f"a==1 needs {needed}, and {required} is required"


def test_a_conclusion_is_not_a_requirement_of_the_user() -> None:
    said = (
        f"{NO_SOLUTION}\n cause: Because numpy<2 has no usable wheels and a==1 depends on "
        "numpy<2, we can conclude that a==1 cannot be used. And because you require a==1, we can "
        "conclude that you require numpy>=9.\nhint: You require CPython 3.13 (`cp313`), but we "
        "only found wheels for `numpy` (v1.26.4) with the following Python ABI tags: `cp312`"
    )
    assert readable_reason(said) == "no wheel of numpy<2 for CPython 3.13, and a==1 needs it"


def test_facts_after_the_requirements_of_the_user_are_not_requirements() -> None:
    because = "you require numpy<2 and numpy==20 has no usable wheels"
    said = f"{NO_SOLUTION}\n cause: Because {because}, we can conclude that it is so."
    assert derivation_of(said).required == ["numpy<2"]


def test_one_line_leaves_urls_out() -> None:
    text = "error: Failed to fetch: `https://me:pw@host.example/simple/`\n  cause: timed\n  out"
    assert one_line(text) == "Failed to fetch: `the index`: timed out"
    assert not re.search(r"host|me|pw", one_line("http://me:pw@host.example:8080/a?b=c d"))
