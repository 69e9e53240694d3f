import json
import os
import re
import time
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from matrixci.errors import ExitCode, MatrixFileError
from matrixci.matrix.definition import Base, Limits, Matrix
from matrixci.matrix.digest import matrix_digest
from matrixci.matrix.loader import load_matrix
from matrixci.model import KnownIssue

ABSENT = """\
there is no such file; name another with --matrix, or write one, such as
  subject: .
  checks: tests
  axes:
    python: ["3.12", "3.13"]"""
REAL = Path(__file__).parents[3] / "matrix.yaml"
TOP = 'subject: transformers\naxes:\n  python: {"3.12": , "3.13": }\n'
"""Three lines, so what a case adds begins on line 4."""
ISSUE = "check: a*, reference: owner/name#1, reason: broken, expires: 2027-06-30"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str | bytes) -> Matrix:
    content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    Path("matrix.yaml").write_bytes(content)
    return load_matrix(Path("matrix.yaml"))


def mistakes(text: str | bytes) -> list[str]:
    """Return the lines of the error, the file's name and the colon after it taken off."""
    with pytest.raises(MatrixFileError) as caught:
        load(text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("matrix.yaml:") for line in lines)
    return [line.removeprefix("matrix.yaml:") for line in lines]


def test_the_real_file_loads_and_says_what_the_defaults_are() -> None:
    matrix = load_matrix(REAL)

    assert matrix.subject == "transformers"
    assert matrix.requires == ("torch", "accelerate")
    assert list(matrix.axes) == ["python", "numpy", "device"]
    assert matrix.axes["numpy"]["1.x"].requires == ("numpy<2",)
    assert matrix.axes["device"]["cuda"].gpu
    assert matrix.limits == Limits()
    assert matrix.base == Base()
    assert (matrix.limits.memory, matrix.limits.log_size) == (6 * 2**30, 10 * 2**20)
    assert len(matrix.combinations()) == 16
    assert matrix.runner == ("ubuntu-24.04",)


def test_an_axis_may_list_its_values() -> None:
    rest = "  numpy: {1.x: {requires: numpy<2}}\n"
    matrix = load(f'subject: toy\naxes:\n  python: ["3.10", "3.13"]\n{rest}')

    assert list(matrix.axes["python"]) == ["3.10", "3.13"]
    written = load(f'subject: toy\naxes:\n  python: {{"3.10": , "3.13": {{}}}}\n{rest}')
    assert matrix == written
    assert matrix_digest(matrix) == matrix_digest(written)


def test_an_unquoted_version_in_a_list_is_not_taken_for_another() -> None:
    told = mistakes("subject: toy\naxes:\n  python: [3.10, 3.13]\n")

    assert told == [
        '3:12: axes.python[0]: write "3.10", in quotes: YAML reads 3.10 as the number 3.1',
        '3:18: axes.python[1]: write "3.13", in quotes: YAML reads 3.13 as a number',
    ]


def test_keys_of_ones_own_hold_anchors_and_merges_are_read() -> None:
    matrix = load(
        "x-limits: &limits {memory: 1 GiB, pids: 7}\n"
        "x-anything: [{on: 3.10}, null]\n"
        "x-more: &more {<<: *limits, pids: 8, cpus: 2}\n"
        + TOP
        + "limits: {cpus: 3, <<: [*more, {pids: 9, check-timeout: 20}]}\n"
    )

    assert (matrix.limits.memory, matrix.limits.pids) == (2**30, 8)
    assert (matrix.limits.cpus, matrix.limits.check_timeout) == (3, 20)


def test_a_key_of_ones_own_is_at_the_top_alone() -> None:
    assert mistakes(TOP + "limits: {x-own: 1}\n") != []


def test_every_form_of_a_value_is_read() -> None:
    matrix = load(
        TOP
        + "  tensorflow:\n    absent: {}\n    installed: {requires: [tensorflow-cpu, h5py>=3]}\n"
        + "exclude: [{python: ['3.12', '3.13'], tensorflow: installed}]\n"
        + "include:\n  - python: '3.13'\n    tensorflow: installed\n"
        + "environment: {HF_HUB_OFFLINE: '1'}\n"
        + "limits: {memory: 0.5 GiB, tmp-size: 1048576, cpus: .5, check-timeout: 1_0.5}\n"
        + f"known-issues:\n  - {{{ISSUE}, where: {{python: '3.13'}}, versions: {{torch: <2.15}}}}\n"
        + "base: {os: 'host.example:5000/team/debian:12@sha256:"
        + "0" * 64
        + "'}\n"
    )

    assert matrix.axes["tensorflow"]["installed"].requires == ("tensorflow-cpu", "h5py>=3")
    assert matrix.exclude == ({"python": ("3.12", "3.13"), "tensorflow": ("installed",)},)
    assert [each["tensorflow"] for each in matrix.combinations()] == ["absent"] * 2 + ["installed"]
    assert (matrix.limits.memory, matrix.limits.tmp_size) == (2**29, 2**20)
    assert (matrix.limits.cpus, matrix.limits.check_timeout) == (0.5, 10.5)
    assert type(matrix.known_issues[0]) is KnownIssue  # else it equals none that a run is read from
    assert matrix.known_issues[0].expires.isoformat() == "2027-06-30"
    assert matrix.known_issues[0].where == {"python": "3.13"}


def test_tiers_and_runners_are_read() -> None:
    matrix = load(
        TOP
        + "  device: {cpu: , cuda: {gpu: true, runner: [self-hosted, gpu]}}\n"
        + "runner: a-label\n"
        + "tiers: {some: [{python: ['3.12', '3.13'], device: cpu}, {device: cuda}], all: [{}]}\n"
    )

    assert matrix.runner == ("a-label",)
    assert matrix.axes["device"]["cuda"].runner == ("self-hosted", "gpu")
    assert matrix.axes["device"]["cpu"].runner is None
    assert matrix.tiers == {
        "some": ({"python": ("3.12", "3.13"), "device": ("cpu",)}, {"device": ("cuda",)}),
        "all": ({},),
    }


def test_a_tier_or_a_runner_makes_no_other_matrix() -> None:
    axes = TOP + "  device: {cpu: }\n"
    placed = TOP + "  device: {cpu: {runner: a}}\nrunner: b\ntiers: {all: [{}]}\n"
    assert matrix_digest(load(placed)) == matrix_digest(load(axes))
    assert matrix_digest(load(placed + "requires: torch\n")) != matrix_digest(load(axes))


def test_an_alias_is_read_as_what_it_stands_for() -> None:
    matrix = load(TOP + "requires: &both [torch, accelerate]\n")
    assert matrix.requires == ("torch", "accelerate")
    again = load(TOP + "  a: {x: &it {requires: torch}}\n  b: {y: *it}\n")
    assert again.axes["b"]["y"].requires == ("torch",)


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    assert load("\ufeff" + TOP.replace("\n", "\r\n")).subject == "transformers"


def told_cases() -> list[ParameterSet]:
    """Read the table of mistakes: text, and the lines that are told of it."""
    table = (Path(__file__).parents[1] / "matrix_mistakes.txt").read_text(encoding="utf-8")
    cases = []
    for block in table.split("\n=== ")[1:]:
        name, _, rest = block.partition("\n")
        text, _, told = rest.rpartition("\n---\n")
        whole = name.endswith(" (whole file)")
        case = ("" if whole else TOP) + text + "\n"
        cases.append(
            pytest.param(case, told.strip().splitlines(), id=name.removesuffix(" (whole file)"))
        )
    return cases


@pytest.mark.parametrize(("text", "told"), told_cases())
def test_each_mistake_is_told_with_its_place(text: str, told: list[str]) -> None:
    found = mistakes(text)
    assert len(found) == len(told)
    for line, expected in zip(found, told, strict=True):
        assert re.fullmatch(re.escape(expected).replace(r"\.\.\.", "[A-Z].+"), line), line


AXES_OF_4 = "".join(f"  a{n}: {{a: , b: , c: , d: }}\n" for n in range(6))
LONG_IDS = f"{'i' * 60}-{'j' * 60}"
LONG = f"  a: {{x: {{id: {'i' * 60}}}}}\n  b: {{x: {{id: {'j' * 60}}}}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: nothing at the top; write keys there, of which subject and axes are needed"),
        ("a: 1\nb: \0\n", "2:4: the character U+0000 can't be here; take it out"),
        ("a: " + "[" * 2000, "1:34: nested deeper than 32 levels; a matrix has 5"),
        ("a: 1".encode("utf-16"), " not UTF-8 (the byte 0xFF in line 1); save it as UTF-8"),
        (b"a: 1\nb: \xe9\n", " not UTF-8 (the byte 0xE9 in line 2); save it as UTF-8"),
        ("#" * 200_000, " over 128 KiB; a matrix is far smaller"),
        (
            TOP + LONG,
            f'3:3: axes: the cell id "py3.12-{LONG_IDS}" is over 100 characters; write shorter ids',
        ),
        (
            TOP + AXES_OF_4,
            "3:3: axes: 8192 combinations; write fewer values, so that there are at most 4096",
        ),
        (
            TOP + AXES_OF_4[len(AXES_OF_4) // 6 :] + "exclude:\n" + "- {a1: a}\n" * 500,
            "10:1: exclude: 500 rules for 2048 combinations; write fewer, with lists of values",
        ),
    ],
    ids=["empty", "nul", "deep", "utf-16", "latin-1", "large", "long-id", "combinations", "rules"],
)
def test_a_mistake_that_no_table_can_show_is_told(text: str | bytes, told: str) -> None:
    assert mistakes(text) == [told]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    told = mistakes(
        "subject: ht tp\n"
        "axes:\n"
        "  python: {3.10: , '3.9': }\n"
        "  numpy: {1.x: {require: x, id: A}, on: }\n"
        "  device: []\n"
        "  empty: {}\n"
        "exclude: [{numpy: 1.z}, {python: 3.10}, {}, 5, {device: cpu}]\n"
        "known-issues: [{check: '', where: {numpi: 2.x}, versions: {torch: x}, expires: x}]\n"
        "limits: {memory: 6g, cpus: many}\n"
        "axis: 1\n"
        "axis: 2\n"
    )

    places = [line.split(": ")[:2] for line in told]
    assert places == [
        ["1:10", "subject"],
        ["3:12", "axes.python.3.10"],
        ["3:20", "axes.python.3.9"],
        ["4:17", "axes.numpy.1.x.require"],
        ["4:33", "axes.numpy.1.x.id"],
        ["4:37", "axes.numpy.on"],
        ["5:3", "axes.device"],
        ["6:3", "axes.empty"],
        ["7:19", "exclude[0].numpy"],
        ["7:34", "exclude[1].python"],
        ["7:41", "exclude[2]"],
        ["7:45", "exclude[3]"],
        ["7:57", "exclude[4].device"],
        ["8:16", "known-issues[0]"],
        ["8:16", "known-issues[0]"],
        ["8:24", "known-issues[0].check"],
        ["8:36", "known-issues[0].where.numpi"],
        ["8:67", "known-issues[0].versions.torch"],
        ["8:80", "known-issues[0].expires"],
        ["9:18", "limits.memory"],
        ["9:28", "limits.cpus"],
        ["10:1", "axis"],
        ["11:1", "axis"],
    ]


def test_aliases_that_expand_to_millions_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    began = time.monotonic()

    (told,) = mistakes("\n".join(lines))

    assert told.endswith("over 50000 values with all aliases written out; write fewer")
    assert time.monotonic() - began < 2


def test_of_many_mistakes_the_first_fifty_are_told() -> None:
    told = mistakes(TOP + "".join(f"wrong{n}: 1\n" for n in range(60)))
    assert len(told) == 51
    assert told[-1] == " and 10 more mistakes"


def test_no_text_of_the_file_can_break_or_colour_the_message() -> None:
    (told,) = mistakes(TOP + '"\\e[31m\\nx\\u202e' + "y" * 1000 + '": 1\n')
    assert told.startswith("4:1: \\x1b[31m\\nx\\u202eyyy")
    assert len(told) < 450


def test_credentials_of_a_subject_are_not_shown() -> None:
    for subject in ("ftp://me:hunter2@host.example/x", "x @ https://me:hunter2@host.example/ y z"):
        assert "hunter2" not in str(mistakes(TOP.replace("transformers", json.dumps(subject))))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "absent.yaml",
            f"absent.yaml: {ABSENT}",
        ),
        ("a-folder", "a-folder: a directory; name the file in it, matrix.yaml"),
        ("a-pipe", "a-pipe: not a file; name a matrix.yaml"),
        ("a-file/matrix.yaml", "a-file/matrix.yaml: can't be read: Not a directory"),
        ("a\0b", "a\\x00b: can't be read: embedded null byte"),
        ("a-loop", "a-loop: can't be read: Too many levels of symbolic links"),
    ],
)
def test_what_is_no_readable_file_is_told(path: str, told: str) -> None:
    Path("a-folder").mkdir()
    os.mkfifo("a-pipe")
    Path("a-file").touch()
    Path("a-loop").symlink_to("a-loop")

    with pytest.raises(MatrixFileError) as caught:
        load_matrix(Path(path))

    assert str(caught.value) == told
    assert caught.value.exit_code is ExitCode.USAGE
