import json
import os
import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from matrixci.errors import ExitCode, MatrixFileError
from matrixci.matrix.axes import MatrixSection
from matrixci.matrix.definition import Base, Matrix
from matrixci.matrix.digest import matrix_digest
from matrixci.matrix.gates import Gates
from matrixci.matrix.limits import Limits
from matrixci.matrix.loader import load_matrix
from matrixci.matrix.renamed_keys import RENAMED_KEYS
from matrixci.model import KnownIssue

ABSENT = """\
file not found; name another one with --matrix, or create it, such as
  subject: .
  checks: tests
  axes:
    python: ["3.12", "3.13"]"""
REAL = Path(__file__).parents[3] / "matrix.yaml"
TOP = 'subject: transformers\naxes:\n  python: {"3.12": , "3.13": }\n'
"""Three lines, so the text of a case starts on line 4."""
ISSUE = "check: a*, reference: owner/name#1, reason: broken, expires: 2027-06-30"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str | bytes) -> Matrix:
    content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    Path("matrix.yaml").write_bytes(content)
    return load_matrix(Path("matrix.yaml"))


def mistakes(text: str | bytes) -> list[str]:
    """Return the lines of the error without the name of the file."""
    with pytest.raises(MatrixFileError) as caught:
        load(text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("matrix.yaml:") for line in lines)
    return [line.removeprefix("matrix.yaml:") for line in lines]


def test_the_matrix_of_this_repository_lists_the_defaults() -> None:
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


def test_an_axis_can_be_a_list_of_values() -> None:
    rest = "  numpy: {1.x: {requires: numpy<2}}\n"
    matrix = load(f'subject: toy\naxes:\n  python: ["3.10", "3.13"]\n{rest}')

    assert list(matrix.axes["python"]) == ["3.10", "3.13"]
    written = load(f'subject: toy\naxes:\n  python: {{"3.10": , "3.13": {{}}}}\n{rest}')
    assert matrix == written
    assert matrix_digest(matrix) == matrix_digest(written)


def test_an_unquoted_version_in_a_list_is_reported() -> None:
    lines = mistakes("subject: toy\naxes:\n  python: [3.10, 3.13]\n")

    assert lines == [
        '3:12: axes.python[0]: write "3.10" in quotes: YAML reads 3.10 as the number 3.1',
        '3:18: axes.python[1]: write "3.13" in quotes: YAML reads 3.13 as a number',
    ]


def test_ignored_keys_can_contain_anchors_to_merge() -> None:
    matrix = load(
        "x-limits: &limits {memory: 1 GiB, pids: 7}\n"
        "x-anything: [{on: 3.10}, null]\n"
        "x-more: &more {<<: *limits, pids: 8, cpus: 2}\n"
        + TOP
        + "limits: {cpus: 3, <<: [*more, {pids: 9, check-timeout: 20}]}\n"
    )

    assert (matrix.limits.memory, matrix.limits.pids) == (2**30, 8)
    assert (matrix.limits.cpus, matrix.limits.check_timeout) == (3, 20)


def test_only_top_level_keys_are_ignored() -> None:
    assert mistakes(TOP + "limits: {x-own: 1}\n") != []


def test_each_form_of_a_value_is_accepted() -> None:
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
    assert type(matrix.known_issues[0]) is KnownIssue  # otherwise it is not equal to one from a run
    assert matrix.known_issues[0].expires.isoformat() == "2027-06-30"
    assert matrix.known_issues[0].where == {"python": "3.13"}


def test_tiers_and_runners_are_loaded() -> None:
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


def test_tiers_and_runners_do_not_change_the_digest() -> None:
    axes = TOP + "  device: {cpu: }\n"
    placed = TOP + "  device: {cpu: {runner: a}}\nrunner: b\ntiers: {all: [{}]}\n"
    assert matrix_digest(load(placed)) == matrix_digest(load(axes))
    assert matrix_digest(load(placed + "requires: torch\n")) != matrix_digest(load(axes))


def test_aliases_are_expanded() -> None:
    matrix = load(TOP + "requires: &both [torch, accelerate]\n")
    assert matrix.requires == ("torch", "accelerate")
    again = load(TOP + "  a: {x: &it {requires: torch}}\n  b: {y: *it}\n")
    assert again.axes["b"]["y"].requires == ("torch",)


def test_a_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    assert load("\ufeff" + TOP.replace("\n", "\r\n")).subject == "transformers"


def mistake_cases() -> list[ParameterSet]:
    """Return the cases of mistakes.txt: a text and the lines of its error message."""
    table = (Path(__file__).parent / "mistakes.txt").read_text(encoding="utf-8")
    cases = []
    for block in table.split("\n=== ")[1:]:
        name, _, rest = block.partition("\n")
        text, _, lines = rest.rpartition("\n---\n")
        whole = name.endswith(" (whole file)")
        case = ("" if whole else TOP) + text + "\n"
        cases.append(
            pytest.param(case, lines.strip().splitlines(), id=name.removesuffix(" (whole file)"))
        )
    return cases


@pytest.mark.parametrize(("text", "lines"), mistake_cases())
def test_each_mistake_is_reported_with_its_position(text: str, lines: list[str]) -> None:
    found = mistakes(text)
    assert len(found) == len(lines)
    for line, expected in zip(found, lines, strict=True):
        assert re.fullmatch(re.escape(expected).replace(r"\.\.\.", ".+"), line), line


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        ("", "entries", "imports"),
        ("gates", "ends", "bounds"),
        ("limits", "again", "reruns"),
        ("limits", "build", "build-timeout"),
        ("limits", "cell", "cell-timeout"),
        ("limits", "check", "check-timeout"),
        ("limits", "free-disk", "min-free-disk"),
        ("limits", "log", "log-size"),
        ("limits", "result", "result-size"),
        ("limits", "scratch", "tmp-size"),
        ("limits", "silence", "no-output-timeout"),
    ],
)
def test_a_renamed_key_is_reported_with_its_new_name(section: str, old: str, new: str) -> None:
    text = f"{section}: {{{old}: 1}}\n" if section else f"{old}: []\n"
    path = f"{section}.{old}" if section else old

    (line,) = mistakes(TOP + text)

    assert line == f'4:{text.index(old) + 1}: {path}: unknown key; it is now called "{new}"'


@pytest.mark.parametrize(("section", "model"), [("", Matrix), ("gates", Gates), ("limits", Limits)])
def test_the_new_names_of_keys_exist(section: str, model: type[MatrixSection]) -> None:
    keys = {each.alias for each in model.model_fields.values()}
    assert set(RENAMED_KEYS[section].values()) <= keys
    assert not keys & RENAMED_KEYS[section].keys()


AXES_OF_4 = "".join(f"  a{n}: {{a: , b: , c: , d: }}\n" for n in range(6))
LONG_IDS = f"{'i' * 60}-{'j' * 60}"
LONG = f"  a: {{x: {{id: {'i' * 60}}}}}\n  b: {{x: {{id: {'j' * 60}}}}}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1:1: the file contains nothing; write a mapping with the keys subject and axes"),
        ("a: 1\nb: \0\n", "2:4: the character U+0000 is not allowed; remove it"),
        ("a: " + "[" * 2000, "1:34: nested deeper than 32 levels; a matrix needs 5"),
        ("a: 1".encode("utf-16"), " not UTF-8 (the byte 0xFF in line 1); save it as UTF-8"),
        (b"a: 1\nb: \xe9\n", " not UTF-8 (the byte 0xE9 in line 2); save it as UTF-8"),
        ("#" * 200_000, " larger than 128 KiB, the maximum size of a matrix"),
        (
            TOP + LONG,
            (
                f'3:3: axes: the cell id "py3.12-{LONG_IDS}" has over 100 characters; '
                "write shorter ids"
            ),
        ),
        (
            TOP + AXES_OF_4,
            "3:3: axes: 8192 combinations; remove values until at most 4096 remain",
        ),
        (
            TOP + AXES_OF_4[len(AXES_OF_4) // 6 :] + "exclude:\n" + "- {a1: a}\n" * 500,
            "10:1: exclude: 500 rules for 2048 combinations; write fewer, with lists of values",
        ),
    ],
    ids=["empty", "nul", "deep", "utf-16", "latin-1", "large", "long-id", "combinations", "rules"],
)
def test_a_mistake_in_an_unusual_file_is_reported(text: str | bytes, line: str) -> None:
    assert mistakes(text) == [line]


def test_all_mistakes_are_reported_in_the_order_of_the_file() -> None:
    lines = mistakes(
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

    places = [line.split(": ")[:2] for line in lines]
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


def test_aliases_that_expand_to_billions_are_rejected() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    (line,) = mistakes("\n".join(lines))

    assert line.endswith("more than 50000 values with all aliases expanded; write fewer")


def test_only_the_first_fifty_mistakes_are_listed() -> None:
    lines = mistakes(TOP + "".join(f"wrong{n}: 1\n" for n in range(60)))
    assert len(lines) == 51
    assert lines[-1] == " and 10 more mistakes"


def test_control_characters_of_the_file_are_escaped() -> None:
    (line,) = mistakes(TOP + '"\\e[31m\\nx\\u202e' + "y" * 1000 + '": 1\n')
    assert line.startswith("4:1: \\x1b[31m\\nx\\u202eyyy")
    assert len(line) < 450


def test_credentials_in_a_subject_are_not_shown() -> None:
    for subject in ("ftp://me:hunter2@host.example/x", "x @ https://me:hunter2@host.example/ y z"):
        assert "hunter2" not in str(mistakes(TOP.replace("transformers", json.dumps(subject))))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "absent.yaml",
            f"absent.yaml: {ABSENT}",
        ),
        ("a-folder", "a-folder: this is a directory; name the file matrix.yaml in it"),
        ("a-pipe", "a-pipe: this is not a regular file; name a matrix.yaml"),
        ("a-file/matrix.yaml", "a-file/matrix.yaml: cannot be read: Not a directory"),
        ("a\0b", "a\\x00b: cannot be read: embedded null byte"),
        ("a-loop", "a-loop: cannot be read: Too many levels of symbolic links"),
    ],
)
def test_an_unreadable_file_is_reported(path: str, message: str) -> None:
    Path("a-folder").mkdir()
    os.mkfifo("a-pipe")
    Path("a-file").touch()
    Path("a-loop").symlink_to("a-loop")

    with pytest.raises(MatrixFileError) as caught:
        load_matrix(Path(path))

    assert str(caught.value) == message
    assert caught.value.exit_code is ExitCode.USAGE
