"""Any file gives a Matrix, or an error with one readable line for each mistake."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matrixci.errors import MatrixFileError
from matrixci.matrix.loader import load_matrix

REAL = Path(__file__).parents[3] / "matrix.yaml"
ISSUE = "{check: a*, where: {numpy: 2.x}, reference: r, reason: r, expires: 2027-06-30}"
PIECES = st.sampled_from(
    [
        *"abc:-[]{},#&*!|>'\"%@`~?=\t\r\n 019.\0\u2028\x85é\ufeff\U0001f600",
        *(": ", "- ", "\n  ", "\n    ", "? ", "<<: ", "&a", "*a", "---\n", "...\n", "%YAML 1.1\n"),
        *("!!str", "!!int", "!!set {a}", "!!binary", "\\ud800", "\\U", "null", "on", "yes"),
        *("3.10", '"3.12"', "1e3", ".inf", ".nan", "0x1f", "0b_", "1__0", "1:30", "2024-13-45"),
        *("9" * 5000, "subject", "axes", "python", "exclude", "include", "known-issues", "limits"),
    ]
)
ADDED = {
    "exclude: []": 'exclude: [{python: "3.13", numpy: [1.x]}, {device: cuda}]',
    "include: []": 'include: [{device: cuda, python: "3.12"}]',
    "\nknown-issues:": f"\nknown-issues:\n  - {ISSUE}",
}


def with_every_section(text: str) -> str:
    """Return the text of matrix.yaml with an entry in each section that may be empty."""
    for old, new in ADDED.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


FULL = with_every_section(REAL.read_text())
LINE = re.compile(r"matrix\.yaml:(\d+:\d+:)? \S.*")
QUICK = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@pytest.fixture(autouse=True, scope="module")
def in_a_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with contextlib.chdir(tmp_path_factory.mktemp("fuzz")):
        yield


def check(text: str) -> None:
    """Assert that a text gives a Matrix or an error with readable lines."""
    Path("matrix.yaml").write_bytes(text.encode(errors="surrogatepass"))
    message = ""
    try:
        load_matrix(Path("matrix.yaml"))
    except MatrixFileError as error:
        message = str(error) or "nothing"
    assert all(LINE.fullmatch(line) for line in message.splitlines())
    assert "Input should" not in message


@QUICK
@given(st.text())
@example("\udfff")
@example(": ")
def test_any_text_gives_no_traceback(text: str) -> None:
    check(text)


@QUICK
@given(st.lists(PIECES, max_size=30).map("".join))
@example("limits: {pids: 1__0}")
@example('"\\U')
@example("? - !!int a: *b")
def test_any_pieces_of_yaml_give_no_traceback(text: str) -> None:
    check(text)


def test_text_to_mutate_is_a_valid_matrix() -> None:
    Path("matrix.yaml").write_text(FULL)
    matrix = load_matrix(Path("matrix.yaml"))
    assert len(matrix.exclude) == 2
    assert len(matrix.include) == 1
    assert matrix.known_issues[0].where == {"numpy": "2.x"}


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = FULL
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 2, 8, 40])))
        text = text[:start] + draw(PIECES | st.sampled_from(["", text[start:end] * 2])) + text[end:]
    return text


@QUICK
@given(mutated())
def test_a_mutated_matrix_gives_no_traceback(text: str) -> None:
    check(text)
