"""Any text is printed as plain text in every format."""

import json
import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from matrixci.reports import escape

QUICK = settings(max_examples=200, deadline=None, derandomize=True, database=None)
PIECES = st.sampled_from(
    [
        *"\x00\x07\x1b\r\n\t\x85\u2028\u202e\ufffe\ud800`*_[]()<>&|#@:!~$\\-+=.1% ",
        "::error::x",
        "::set-env name=A::b",
        "##[error]",
        "]]>",
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](http://evil.example/x.png)",
        "http://evil.example",
        "www.evil.example",
        "@team/name",
        "owner/name#12",
        "```",
        "| --- |",
        "1. ",
        "    ",
        "\x1b]0;title\x07",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))
COMMAND = re.compile(r"(^|\n)\s*::|##\[")
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
HARMLESS = {
    *("paragraph_open", "paragraph_close", "inline", "text", "text_special", "code_inline"),
    *("fence", "softbreak"),
    *(f"{part}_{side}" for part in ("table", "thead", "tbody", "tr", "td", "th") for side in
      ("open", "close")),
}  # fmt: skip


def kinds(tokens: list[Token]) -> set[str]:
    return {token.type for token in tokens} | {
        child.type for token in tokens for child in token.children or ()
    }


def plain(tokens: list[Token]) -> str:
    """Return the text that a reader sees, without code."""
    children = [child for token in tokens for child in token.children or ()]
    return "".join(child.content for child in children if child.type in {"text", "text_special"})


@QUICK
@given(TEXTS)
def test_visible_text_is_one_printable_line_without_a_command(text: str) -> None:
    shown = escape.visible(text)
    assert all(char.isprintable() for char in shown)
    assert not COMMAND.search(shown)


@QUICK
@given(TEXTS, st.integers(1, 40))
def test_wrapped_line_cannot_become_a_command(text: str, width: int) -> None:
    shown = escape.visible(text)
    # A terminal wraps at spaces or, in long words, anywhere. Only known commands have an effect.
    for line in (shown[start : start + width] for start in range(0, len(shown), width)):
        assert not re.match(r"\s*::(error|warning|notice|set-env|stop-commands)\b", line)
    assert not any(word.startswith("::") for word in shown.split())


@QUICK
@given(TEXTS)
def test_markdown_text_has_no_markup(text: str) -> None:
    tokens = MARKDOWN.parse(f"{escape.markdown(text)}\n")
    assert kinds(tokens) <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    seen = plain(tokens)
    assert not re.search(r"@\w|#\d|://|www\.", seen)
    assert seen.replace(escape.BREAK, "") == escape.visible(text).strip().replace(escape.BREAK, "")


@QUICK
@given(TEXTS, TEXTS)
def test_markdown_text_stays_in_its_table_cell(one: str, other: str) -> None:
    row = f"| {escape.markdown(one)} | {escape.markdown_cell_code(other)} |"
    tokens = MARKDOWN.parse(f"| a | b |\n| --- | --- |\n{row}\n")
    assert kinds(tokens) <= HARMLESS
    assert [token.type for token in tokens].count("td_open") == 2


@QUICK
@given(TEXTS)
def test_markdown_text_in_a_list_starts_no_block(text: str) -> None:
    tokens = MARKDOWN.parse(f"- {escape.markdown(text)}\n")
    lists = {"bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"}
    assert kinds(tokens) <= HARMLESS | lists
    assert [token.type for token in tokens].count("list_item_open") == 1


@QUICK
@given(TEXTS)
def test_markdown_code_is_code_from_end_to_end(text: str) -> None:
    (paragraph,) = [
        token
        for token in MARKDOWN.parse(f"x{escape.markdown_code(text)}x\n")
        if token.type == "inline"
    ]
    assert {child.type for child in paragraph.children or ()} <= {"text", "code_inline"}
    seen = "".join(child.content for child in paragraph.children or ())
    assert seen == f"x{escape.visible(text)}x" or not text.strip()


@QUICK
@given(TEXTS)
def test_markdown_block_contains_all_lines(text: str) -> None:
    (fence,) = MARKDOWN.parse(f"{escape.markdown_block(text)}\n")
    assert fence.type == "fence"
    assert fence.content == "\n".join(escape.visible_lines(text)) + "\n"


@QUICK
@given(TEXTS)
def test_xml_text_survives_a_round_trip(text: str) -> None:
    document = f'<a b="{escape.xml(text)}">{escape.xml_lines(text)}</a>'
    element = ET.fromstring(document)  # noqa: S314 - made here
    assert element.get("b") == escape.visible(text)
    assert (element.text or "") == "\n".join(escape.visible_lines(text))
    assert not len(element)
    assert not COMMAND.search(document.replace('="', '=" '))


@QUICK
@given(TEXTS)
def test_json_is_equivalent_and_contains_no_command(text: str) -> None:
    document = escape.json_text(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(document) == {text: text}
    assert "##[" not in document


@QUICK
@given(TEXTS, TEXTS)
def test_workflow_command_has_one_title_and_one_message(title: str, text: str) -> None:
    command = f"::error title={escape.command_property(title)}::{escape.command_data(text)}"
    assert "\n" not in command
    assert "\r" not in command
    found = re.fullmatch(r"::error title=([^:,]*)::(.*)", command)
    assert found
    decoded = found[2].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    assert decoded == "\n".join(escape.visible_lines(text))
    assert not COMMAND.search(decoded)


def test_long_text_is_cut_with_a_count() -> None:
    assert escape.cut("abc", 3) == "abc"
    assert escape.cut("abcdef", 3) == "abc… (3 more characters)"


def test_check_id_is_unchanged() -> None:
    name = "test_a.py::TestIt::test_one[a-b]"
    assert escape.visible(name) == name
    assert escape.markdown_code(name) == f"`{name}`"
