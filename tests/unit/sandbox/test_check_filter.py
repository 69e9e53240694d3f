import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from matrixci.errors import ExitCode, UsageError
from matrixci.sandbox.check_filter import (
    is_by_id,
    names,
    selected,
    validate_filter,
    validate_match,
)
from matrixci.util.resources import data_folder

QUICK = settings(max_examples=500, deadline=None, derandomize=True, database=None)
WORDS = ["and", "or", "not", "a", "x", "True", "None", "in", "if", "lambda", "test_a.py::b[c-1]"]
PIECES = st.sampled_from(
    [*WORDS, "(", ")", " ", " ", "\t", "\n", "=", ",", "'", "-", ":", "é", "#"]
)


def is_understood(text: str) -> bool:
    try:
        validate_filter(text)
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
def test_filter_accepts_what_pytest_accepts(text: str) -> None:
    assume(not is_by_id(text))
    assert is_understood(text) == pytest_understands(text)


def test_invalid_filter_is_reported_with_an_example() -> None:
    with pytest.raises(UsageError, match=r"^Invalid value for --check: 'a b'\. Write an") as caught:
        validate_filter("a b")
    assert caught.value.exit_code is ExitCode.USAGE


def test_deep_and_long_filters_are_accepted_or_refused() -> None:
    assert is_understood("a" * 100_000)
    assert not is_understood("a" * 100_000 + "=")
    assert not is_understood("(" * 100_000)
    assert not is_understood("not " * 100_000 + "a")


# Ids and globs

harness = runpy.run_path(str(data_folder("harness") / "selection.py"))  # a plain file
IDS = (
    "test_a.py::test_one",
    "test_a.py::test_two[a-1]",
    "test_a.py::test_two[b]",
    "b/test_b.py::C::test_x",
)


@pytest.mark.parametrize(
    ("select", "found"),
    [
        ("test_a.py::test_one", [0]),
        ("test_a.py::test_two", [1, 2]),
        ("test_a.py::test_two[a-1]", [1]),
        ("test_a.py::*[b]", [2]),
        ("test_a.py::test_tw", []),
        ("*test_x", [3]),
        ("b/test_b.py::C", [3]),
        ("test_?.py::test_one", [0]),
        ("TWO and not a-1", [2]),
        ("one or test_x", [0, 3]),
        ("nothing", []),
    ],
)
def test_filter_selects_checks(select: str, found: list[int]) -> None:
    assert selected(select, IDS) == tuple(IDS[index] for index in found)


NAMES = st.text("ab:[]*?_. -", max_size=12)


@QUICK
@given(NAMES, NAMES)
def test_container_selects_like_the_host(select: str, check: str) -> None:
    assert harness["is_by_id"](select) == is_by_id(select)
    assert harness["names"](select, check) == names(select, check)


FILES = {
    "test_a.py": b"import x\ndef test_one(): ...\nclass TestC:\n    def test_in(self): ...\n",
    "data.txt": b"def test_no(): ...\n",
}


@pytest.mark.parametrize(
    "select",
    ["test_a.py::test_one", "test_a.py::test_one[x]", "*::test_in", "test_a.py::TestC", "words"],
)
def test_filter_that_may_match_is_accepted(select: str) -> None:
    validate_match(select, FILES)


def test_unknown_id_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r'did you mean "test_a\.py::test_one"') as caught:
        validate_match("test_a.py::test_onee", FILES)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("text", [b"from x import *\n", b"exec('')\nfor a in b: pass\n", b"def ("])
def test_nothing_is_refused_if_there_may_be_hidden_checks(text: bytes) -> None:
    validate_match("test_a.py::test_other", {**FILES, "test_b.py": text})


# What pytest itself collects is never refused

SUITES = {
    "functions": "def test_a(): ...\nasync def test_b(): ...\ndef testc(): ...\n",
    "class": 'class TestC:\n    """Doc."""\n    def test_in(self): ...\n',
    "imported": "from helper import test_imported\ndef test_a(): ...\n",
    "imported class": "from helper import TestBase\n",
    "assigned": "def mk():\n    return lambda: None\ntest_al = mk()\n",
    "inherited": "from helper import TestBase as Base\nclass TestI(Base): ...\n",
    "nested": "class TestO:\n    class TestN:\n        def test_x(self): ...\n",
    "alias": "class TestA:\n    def test_x(self): ...\n    test_y = test_x\n",
    "if": "class TestF:\n    if True:\n        def test_x(self): ...\n",
    "globals": "globals()['test_g'] = lambda: None\n",
    "unittest": "import unittest\nclass Case(unittest.TestCase):\n    def test_u(self): ...\n",
    "decorated": (
        "def deco(c):\n    c.test_z = lambda s: 0\n    return c\n@deco\nclass TestD: ...\n"
    ),
    "parametrised": (
        "import pytest\n@pytest.mark.parametrize('n', ['a b', '[x]'])\ndef test_p(n): ...\n"
    ),
    "tuple": "test_l, other = lambda: None, 1\n",
}
HELPER = "def test_imported(): ...\nclass TestBase:\n    def test_base(self): ...\n"


@pytest.mark.parametrize("suite", SUITES)
def test_no_collected_id_is_refused(tmp_path: Path, suite: str) -> None:
    files = {"test_it.py": SUITES[suite], "helper.py": HELPER}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-c", os.devnull]
    argv += ["--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    ids = [line for line in done.stdout.splitlines() if "::" in line]
    assert ids, done.stdout + done.stderr
    for check in ids:
        validate_match(check, {name: text.encode() for name, text in files.items()})


def test_only_checks_are_suggested() -> None:
    text = b"def mk(): ...\ndef test_make(): ...\n"
    with pytest.raises(UsageError, match="test_make") as caught:
        validate_match("test_a.py::mk", {"test_a.py": text, "conftest.py": b"def mk(): ...\n"})
    assert "conftest" not in str(caught.value)


def test_nothing_is_refused_if_conftest_has_hooks() -> None:
    conftest = b"def pytest_collect_file(parent, file_path): ...\n"
    validate_match("test_y.yaml::one", {"conftest.py": conftest, "test_y.yaml": b"one: 1\n"})
