import pytest
from _pytest.mark.expression import Expression
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matrixci.check_filter import make_sure_of_filter
from matrixci.errors import ExitCode, UsageError

QUICK = settings(max_examples=500, deadline=None, derandomize=True, database=None)
WORDS = ["and", "or", "not", "a", "x", "True", "None", "in", "if", "lambda", "test_a.py::b[c-1]"]
PIECES = st.sampled_from(
    [*WORDS, "(", ")", " ", " ", "\t", "\n", "=", ",", "'", "-", ":", "é", "#"]
)


def is_understood(text: str) -> bool:
    try:
        make_sure_of_filter(text)
    except UsageError:
        return False
    return True


def pytest_understands(text: str) -> bool:
    try:
        Expression.compile(text)
    except SyntaxError:
        return False
    return "=" not in text  # in a call, which is for -m alone


@QUICK
@given(st.text(max_size=20) | st.lists(PIECES, max_size=10).map("".join))
@example("a(b)")
@example("a(b=1)")
@example("()")
@example("a not b")
@example("a.b\\c/d+e-f:[g]")
@example("(a)or(b)and not(not c)")
@example("")
@example(" \t ")
@example("a;b")
@example("a if b else c")
@example("\x00")
def test_what_pytest_understands_is_understood_and_nothing_else(text: str) -> None:
    assert is_understood(text) == pytest_understands(text)


def test_what_is_not_understood_is_told_with_what_to_write() -> None:
    with pytest.raises(UsageError, match=r"^--check 'a b' is not understood: write words") as told:
        make_sure_of_filter("a b")
    assert told.value.exit_code is ExitCode.USAGE


def test_neither_depth_nor_length_is_too_much() -> None:
    assert is_understood("a" * 100_000)
    assert not is_understood("a" * 100_000 + "=")
    assert not is_understood("(" * 100_000)
    assert not is_understood("not " * 100_000 + "a")
