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
    """Return the line that a person should read, and what the resolver really said."""
    head, _, said = path.read_text(encoding="utf-8").partition("\n\n")
    return head.splitlines()[1], said


REASONS = [path for path in CASES if case(path)[0].startswith("reason: ")]


def test_there_are_real_texts() -> None:
    assert len(REASONS) > 20


@pytest.mark.parametrize("path", REASONS, ids=lambda path: path.stem)
def test_what_the_resolver_said_becomes_one_readable_line(path: Path) -> None:
    expected, said = case(path)
    reason = readable_reason(said)
    assert f"reason: {reason}" == expected, reason
    assert len(reason) <= 220
    assert "\n" not in reason


PROOFS = cases()


def test_there_are_proofs_of_many_kinds() -> None:
    assert len(PROOFS) >= 30


@pytest.mark.parametrize("name", PROOFS)
def test_a_reason_names_only_requirements_that_there_are(name: str) -> None:
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
    asked = {re.sub(r">=(\S+),<=\1$", r"==\1", one) for one in case["asked"]}  # as uv says it
    assert set(re.findall(r"(\S+) is required", reason)) <= asked


NOT_USED = {name: case for name, case in PROOFS.items() if "not_used" in case}


@pytest.mark.parametrize("name", NOT_USED)
def test_why_a_release_is_not_used_is_what_the_proof_says_of_it(name: str) -> None:
    case = NOT_USED[name]
    assert why_not_used(case["said"], case["not_used"]) == case["not_used"]["reason"]


@pytest.mark.parametrize("name", [*list(PROOFS)[:2], *list(NOT_USED)[:1]])
def test_the_proofs_are_those_of_the_installed_uv(name: str) -> None:
    assert prove(PROOFS[name]) == PROOFS[name]["said"]


def test_for_which_python_a_proof_is_does_not_show() -> None:
    (name,) = (name for name in NOT_USED if PROOFS[name].get("universal"))
    said = PROOFS[name]["said"]
    assert "for split (markers: " in said
    assert "split" not in readable_reason(said)
    assert "split" not in readable_reason(said.replace("we can conclude", "it is clear"))


def test_a_fact_that_is_not_understood_leaves_the_proof_in_its_own_words() -> None:
    because = "toy==1 is out of fashion and you require toy, we can conclude that it is so."
    said = f"{NO_SOLUTION}\n  cause: Because {because}"
    assert readable_reason(said) == f"Because {because}"


def test_of_many_releases_the_lowest_python_that_would_do_is_told() -> None:
    (path,) = (path for path in CASES if path.stem == "universal-numpy-on-3.10")
    expected, said = case(path)
    needed = needed_pythons(said, "3.10")
    told = [f"{need.package} needs Python {need.requirement}" for need in needed.values()]
    assert [f"needs: {each}" for each in told] == [expected]
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
def test_which_python_is_needed_is_only_told_where_it_is_clear(
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
def test_whatever_the_resolver_says_there_is_a_short_line(pieces: list[str]) -> None:
    reason = readable_reason(f"{NO_SOLUTION}\n  cause: {' '.join(pieces)}")
    assert reason.strip()
    assert len(reason) <= 220
    assert len(reason.splitlines()) == 1


def test_requirements_that_agree_are_no_conflict() -> None:
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


def test_what_the_resolver_concludes_is_no_requirement_of_the_users() -> None:
    said = (
        f"{NO_SOLUTION}\n cause: Because numpy<2 has no usable wheels and a==1 depends on "
        "numpy<2, we can conclude that a==1 cannot be used. And because you require a==1, we can "
        "conclude that you require numpy>=9.\nhint: You require CPython 3.13 (`cp313`), but we "
        "only found wheels for `numpy` (v1.26.4) with the following Python ABI tags: `cp312`"
    )
    assert readable_reason(said) == "no wheel of numpy<2 for CPython 3.13, and a==1 needs it"


def test_what_follows_the_users_requirements_is_none_of_them() -> None:
    because = "you require numpy<2 and numpy==20 has no usable wheels"
    said = f"{NO_SOLUTION}\n cause: Because {because}, we can conclude that it is so."
    assert derivation_of(said).required == ["numpy<2"]


def test_one_line_leaves_out_who_was_asked() -> None:
    text = "error: Failed to fetch: `https://me:pw@host.example/simple/`\n  cause: timed\n  out"
    assert one_line(text) == "Failed to fetch: `the index`: timed out"
    assert not re.search(r"host|me|pw", one_line("http://me:pw@host.example:8080/a?b=c d"))
