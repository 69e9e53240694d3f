"""Any text survives a round trip through shells, URLs, files and reports.

The escaping functions of the reports are tested in test_escape.py.
"""

import json
import re
import runpy
import shlex
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

from factories import a_cell, a_check, a_lock, a_result, a_run
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from matrixci.engine.labels import label_instruction
from matrixci.history import database as history_file
from matrixci.locks.index_settings import _as_shell
from matrixci.locks.lock import Lock, Pin, parse_lock
from matrixci.locks.own_wheels import with_subjects_wheel
from matrixci.locks.wheel_build import file_name
from matrixci.matrix.loader import _printable
from matrixci.model import CellOutcome, CheckOutcome, Subject
from matrixci.reports import annotations as github
from matrixci.reports import badge, json_report, junit, sarif
from matrixci.reports.constraints import constraints
from matrixci.reports.escape import cut, markdown_code, visible
from matrixci.reports.page import html
from matrixci.reports.page.data import as_script
from matrixci.reports.page.tables import quoted
from matrixci.reports.page.words import link_of
from matrixci.reports.provenance import reproduce_all
from matrixci.reports.report import Report
from matrixci.sandbox import result_file
from matrixci.util.invocation import given as given_of
from matrixci.util.redaction import redact, redact_file
from matrixci.util.resources import data_folder
from matrixci.util.text import in_line, printable
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.reproduce_command import anew_command, of_check, reproduce_command

protocol = runpy.run_path(str(data_folder("harness") / "protocol.py"))  # not in a package
QUICK = settings(max_examples=200, deadline=None, derandomize=True, database=None)
SLOW = settings(max_examples=40, deadline=None, derandomize=True, database=None)
PIECES = st.sampled_from(
    [
        *"\x00\x07\x1b\r\n\t\x85\u2028\u202e\ufffe`*_[]()<>&|#@:!~$\\-+=.1%'\"? ;{}é\U0001f600",
        *("::error::x", "##[error]", "]]>", "</script>", "<!--", "{{ 7*7 }}", "--run", "$(id)"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))
ENCODABLE = TEXTS.map(lambda text: text.encode("utf-8", "ignore").decode())
LINES = ENCODABLE.map(lambda text: "".join(filter(str.isprintable, text)))
FULL = LINES.filter(lambda text: text.strip() == text != "")


# Messages


@QUICK
@given(TEXTS)
def test_printable_text_is_unchanged_and_the_rest_is_escaped(text: str) -> None:
    assert printable(text).isprintable()
    assert (printable(text) == text) is text.isprintable()
    assert printable(printable(text)) == printable(text)


@QUICK
@given(TEXTS | st.integers(400, 700).map("a\n".__mul__))
def test_in_line_text_is_short_and_keeps_its_beginning(text: str) -> None:
    shown = in_line(text)
    assert shown.isprintable()
    assert shown == printable(text) or shown == f"{printable(text[:500])}…"
    assert len(text) <= 500 or shown.endswith("…")


@QUICK
@given(TEXTS | st.integers(100, 700).map("a\n".__mul__))
def test_mistake_in_a_matrix_is_one_line(text: str) -> None:
    shown = _printable(text)
    assert shown.isprintable()
    assert len(shown) <= 403
    assert shown == text or not text.isprintable() or len(text) > 400


@QUICK
@given(TEXTS, st.integers(0, 20))
def test_cut_characters_are_counted(text: str, most: int) -> None:
    left_out = len(text) - most
    suffix = f"… ({left_out} more characters)" if left_out > 0 else ""
    assert cut(text, most) == f"{text[:most]}{suffix}"


# Credentials


@QUICK
@given(TEXTS)
def test_redaction_is_idempotent(text: str) -> None:
    shown = redact(f"https://me:{text}@host.example/?token={text}&a=1 {text}")
    assert redact(shown) == shown


@SLOW
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_redaction_of_a_file_keeps_all_other_bytes(before: bytes, after: bytes) -> None:
    assume(not any(each in before + after for each in (b"@", b":", b"=", b"/")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(before + b" https://me:secret@a.example/x " + after)
        redact_file(path)
        assert path.read_bytes() == before + b" https://***@a.example/x " + after


# Commands


@QUICK
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_shown_command_has_the_same_words_in_a_shell(words: list[str]) -> None:
    shown = visible(shlex.join(words))
    assert shown.isprintable()
    assert len(shlex.split(shown)) == len(words)
    if all(visible(word) == word for word in words):
        assert shlex.split(shown) == words


@QUICK
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_command_on_the_page_has_the_same_words_in_a_shell(words: list[str]) -> None:
    assert shlex.split(" ".join(map(quoted, words))) == [printable(word) for word in words]


@QUICK
@given(FULL, FULL, FULL)
def test_reproduce_command_names_cell_check_and_work_dir(
    cell: str, check: str, work_dir: str
) -> None:
    assume(not any(word.startswith("--") for word in (cell, check, work_dir)))
    run = a_run(command=("matrix", "--work-dir", work_dir, "--checks", "mine"))
    command = shlex.split(shlex.join(of_check(reproduce_command(run, cell), check)))
    assert command[:2] == ["matrixci", "reproduce"]
    assert (command[2], command[-1]) == (cell, check)
    assert (given_of(command, "--work-dir"), given_of(command, "--run")) == (work_dir, run.id)


@QUICK
@given(FULL, st.sampled_from(["--matrix", "--checks", "--base", "--work-dir"]), st.booleans())
def test_option_of_a_command_is_found(value: str, option: str, joined: bool) -> None:  # noqa: FBT001
    command = ("matrix", f"{option}={value}") if joined else ("matrix", option, value)
    assume(joined or not value.startswith("--"))
    assert given_of(command, option) == value
    assert given_of(anew_command(a_run(command=command), "a-cell"), option) == value


@QUICK
@given(st.lists(TEXTS, max_size=5))
def test_command_of_a_run_survives_a_round_trip(words: list[str]) -> None:
    run = a_run(command=words)
    argv = shlex.split(reproduce_all(JUDGED.model_copy(update={"run": run})))
    expected = [*(words or ["matrix"]), "--as-of", f"{run.began:%Y-%m-%d}"]
    assert argv == ["matrixci", *expected]


@SLOW
@given(ENCODABLE.map(lambda text: text.replace("\0", "")))
def test_index_setting_is_unchanged_by_a_shell(value: str) -> None:
    script = _as_shell({"UV_INDEX": value, "AFTER": "it"}) + 'printf %s "$UV_INDEX$AFTER"'
    done = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == f"{value}it"


@QUICK
@given(LINES)
@example('a"b\\c$d')
@example("$(id) ${HOME} \\")
def test_label_is_unchanged_by_a_dockerfile(value: str) -> None:
    found = re.fullmatch(r'LABEL name="((?:[^"\\$]|\\["\\$])*)"', label_instruction("name", value))
    assert found
    assert re.sub(r"\\(.)", r"\1", found[1]) == value


# Addresses


@QUICK
@given(FULL.filter(lambda text: "/" not in text))
def test_wheel_name_survives_its_url(name: str) -> None:
    subject = Subject(name="toy", spec="toy", requirement="toy", wheel=name)
    pin = Pin(name="toy", version="1.0", url=None, hashes=("sha256:00",), via=())
    (own,) = with_subjects_wheel(Lock(pins=(pin,), torch_backend=None), subject).pins
    assert own.url is not None
    assert file_name(own.url) == name
    requirement = Requirement(own.install_line("/run/wheels").partition(" \\\n")[0])
    assert requirement.url is not None
    assert requirement.url.startswith("file:///run/wheels/")
    assert file_name(requirement.url) == name


@QUICK
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True),
            st.from_regex(r"[1-9][0-9]{0,2}(\.[1-9]{1,3}){0,2}", fullmatch=True),
            st.lists(st.from_regex(r"sha256:[0-9a-f]{4}", fullmatch=True), max_size=2),
            st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z]", fullmatch=True), max_size=2),
        ),
        unique_by=lambda each: each[0],
    )
)
def test_lock_is_unchanged_by_a_round_trip(
    pins: list[tuple[str, str, list[str], list[str]]],
) -> None:
    lock = Lock(
        pins=tuple(
            Pin(name=name, version=version, url=None, hashes=tuple(hashes), via=tuple(via))
            for name, version, hashes, via in sorted(pins)
        ),
        torch_backend=None,
    )
    assert parse_lock(lock.annotated) == lock.pins
    assert [pin.line() for pin in parse_lock(lock.text)] == [pin.line() for pin in lock.pins]


@SLOW
@given(FULL.filter(lambda text: "/" not in text and text not in {".", ".."} and len(text) < 60))
def test_history_file_may_have_any_name(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history_file._open(Path(folder) / name, "rwc", 1.0).close()
        assert [path.name for path in Path(folder).iterdir()] == [name]


@QUICK
@given(TEXTS | st.from_regex(r"[\w.-]{1,9}/[\w.-]{1,9}#[0-9]{1,10}", fullmatch=True))
@example("owner/name#12")
def test_link_goes_to_an_issue_only(reference: str) -> None:
    link = link_of(reference)
    if link is not None:
        assert re.fullmatch(
            r"https://github\.com/[A-Za-z0-9-]+/[A-Za-z0-9._-]+/issues/[0-9]+", link
        )
        assert link.removeprefix("https://github.com/").replace("/issues/", "#") == reference


# Lines of JSON


@QUICK
@given(st.dictionaries(st.text(max_size=5), TEXTS, max_size=3))
def test_record_of_the_harness_is_one_line(record: dict[str, str]) -> None:
    line = protocol["encode"](record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    if json.dumps(record, ensure_ascii=False).encode("utf-8", "ignore") + b"\n" == line:
        assert json.loads(line) == record


@QUICK
@given(TEXTS)
def test_result_file_survives_a_round_trip(text: str) -> None:
    begin = {"kind": "begin", "id": text, "at": "2026-11-21T10:00:00+00:00"}
    found = result_file._parsed(protocol["encode"](begin).rstrip(b"\n"))
    assert found.kind == "begin"
    assert found.id == text.encode("utf-8", "replace").decode()


# Reports, each parsed in its format


def judged_with(text: str) -> JudgedRun:
    """Return a judged run in which every string from a container is the same text."""
    cell = a_cell()
    checks = (
        a_check(f"test_a.py::test_{text}", CheckOutcome.FAILED, claim=text, message=text),
        a_check("test_a.py::test_two", reference=text, detail=text),
    )
    lock = a_lock({"transformers": "1", "torch": text})
    run = a_run((cell,), tier=text, command=("matrix", text))
    return judge(
        run, {cell.id: a_result(cell, CellOutcome.FAILED, checks, lock=lock)}, (), date(2026, 1, 1)
    )


JUDGED = judged_with("x")


def report_with(text: str) -> Report:
    return Report(judged=judged_with(text), folder=text)


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(name for name, _ in attrs)]

    def handle_data(self, data: str) -> None:
        self.text += data


PLAIN = Tags(html.render(report_with("x"))).tags


@SLOW
@given(ENCODABLE.filter(bool))
def test_page_has_the_same_elements_for_any_text(text: str) -> None:
    page = Tags(html.render(report_with(text)))
    assert page.tags == PLAIN
    assert f"tier {printable(text)}" in page.text or len(text) > 400


@QUICK
@given(st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_script_data_survives_a_round_trip_and_ends_no_script(value: object) -> None:
    script = as_script({"a": value})
    assert json.loads(script) == {"a": value}
    assert script.isascii()
    assert not set(script) & set("<>&\n")


@SLOW
@given(ENCODABLE)
def test_junit_names_each_check_as_shown(text: str) -> None:
    root = ET.fromstring(junit.render(report_with(text)))  # noqa: S314 - made here
    names = [case.get("name") for case in root.iter("testcase")]
    assert visible(f"test_{text}") in names
    assert sum(case.find("failure") is not None for case in root.iter("testcase")) >= 1


@SLOW
@given(ENCODABLE)
def test_json_equals_the_judged_run(text: str) -> None:
    report = report_with(text)
    assert JudgedRun.model_validate_json(json_report.render(report)) == report.judged


@SLOW
@given(ENCODABLE)
def test_sarif_names_each_check_as_shown(text: str) -> None:
    (run,) = json.loads(sarif.render(report_with(text)))["runs"]
    assert visible(f"test_a.py::test_{text}") in {each["ruleId"] for each in run["results"]}


@SLOW
@given(ENCODABLE)
def test_each_annotation_is_one_line_and_one_command(text: str) -> None:
    for line in github.render(report_with(text)).splitlines():
        assert line.isprintable()
        assert re.fullmatch(
            r"::(notice|warning|error) (file=[^:,]+,(line=\d+,)?)?title=[^:,]+::.*", line
        )


@SLOW
@given(ENCODABLE)
def test_badge_shows_the_version_unchanged(text: str) -> None:
    cell = a_cell()
    lock = a_lock({"transformers": text})
    judged = judge(a_run((cell,)), {cell.id: a_result(cell, lock=lock)}, (), date(2026, 1, 1))
    report = Report(judged=judged, folder="")
    label = visible(cut(f"transformers {text}", 60))
    assert json.loads(badge.render_endpoint(report))["label"] == label
    root = ET.fromstring(badge.render_svg(report))  # noqa: S314 - made here
    assert label in [element.text for element in root.iter()]


@QUICK
@given(TEXTS, TEXTS)
def test_markdown_code_does_not_contain_its_fence(one: str, other: str) -> None:
    shown = markdown_code(shlex.join([one, other]))
    fence = shown[: len(shown) - len(shown.lstrip("`"))]
    assert fence not in re.findall("`+", shown[len(fence) : -len(fence)])


@SLOW
@given(ENCODABLE)
def test_constraints_equal_the_lock_for_any_header(text: str) -> None:
    cell = a_cell()
    lock = Lock(pins=parse_lock("toy==1.0\n"), torch_backend=None)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "locks").mkdir()
        (Path(folder) / "locks" / "a.txt").write_text(lock.text)
        record = a_lock(lock.versions, digest=lock.digest)
        checks = (a_check(outcome=CheckOutcome.SKIPPED, reason=text), a_check("b::c"))
        result = a_result(cell, checks=checks, lock=record, reused_from=text)
        subject = {"name": "toy", "spec": "toy", "requirement": "toy"}
        run = a_run((cell,), check_filter=text, subject=subject)
        judged = judge(run, {cell.id: result}, (), date(2026, 1, 1))
        (made,) = constraints(judged, Path(folder), cell.id).values()
    assert parse_lock(made) == lock.pins
    assert [line for line in made.splitlines() if not line.startswith("#")] == ["toy==1.0"]
