"""Escape untrusted text for the format in which it is printed.

Check ids, claims, messages, versions and log lines come from containers. Any of them may be an
attack on a format or on a program that reads it.
"""

import re
from typing import Final
from xml.sax.saxutils import escape as escape_markup

from matrixci.util.text import printable

BREAK: Final = "\u200b"
"""A zero-width space: invisible to readers, and prevents programs from recognizing a pattern."""

_COMMANDS: Final = (
    "error|warning|notice|debug|group|endgroup|echo|add-mask|add-path|add-matcher|remove-matcher"
    "|set-env|set-output|save-state|stop-commands|internal-set-repo-path"
)
# A runner interprets a line that starts with :: (after spaces) as a command, and ##[ anywhere in a
# line. Lines of a report may be wrapped, so every :: after a space could start a line.
_COMMAND: Final = re.compile(rf"(?<!\S)::|::(?=(?:{_COMMANDS})(?![\w-]))", re.IGNORECASE)
_OLD_COMMAND: Final = "##["
# GitHub turns these into links and notifications even if escaped: @name, #123, GH-123, URLs.
_MENTION: Final = re.compile(r"@|#(?=\d)|GH(?=-\d)|:(?=//)|www(?=\.)", re.IGNORECASE)
_MARKDOWN: Final = re.compile(r"[\\`*_\[\]|~$]|^[-+=#]")
_NUMBERED: Final = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_BACKTICKS: Final = re.compile(r"`+")


def visible(text: str) -> str:
    """Return text as part of one line, with control characters shown and runner commands broken."""
    shown = printable(text)
    if "::" in shown:
        shown = _COMMAND.sub(r":\\x3a", shown)
    return shown.replace(_OLD_COMMAND, r"#\x23[")


def visible_lines(text: str) -> list[str]:
    """Return the lines of a text, each as `visible` returns it."""
    return [visible(line) for line in text.split("\n")] if text else []


def cut(text: str, most: int) -> str:
    """Return a text of at most `most` characters, followed by how many were cut."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def markdown(text: str) -> str:
    """Return text for a line or a table of Markdown, without any markup taking effect."""
    broken = _MENTION.sub(lambda found: f"{found[0]}{BREAK}", visible(text).strip())
    escaped = _MARKDOWN.sub(lambda found: f"\\{found[0]}", broken)
    escaped = _NUMBERED.sub(r"\1\\\2", escaped)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_code(text: str) -> str:
    """Return text as inline code of Markdown, in which links, mentions and tags have no effect."""
    return _spanned(visible(text)) if text else ""


def markdown_cell_code(text: str) -> str:
    """Return text as inline code for a Markdown table, where a pipe would end the table cell."""
    return markdown_code(text).replace("|", "\\|")


def _spanned(shown: str) -> str:
    longest = max((len(run) for run in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    room = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{room}{shown}{room}{fence}"


def markdown_block(text: str) -> str:
    """Return text of several lines as a code block of Markdown."""
    shown = "\n".join(visible_lines(text))
    longest = max((len(run) for run in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def xml(text: str) -> str:
    """Return text as one line for a double-quoted attribute or for content of XML."""
    return escape_markup(visible(text), {'"': "&quot;"})


def xml_lines(text: str) -> str:
    """Return text of several lines for the content of XML."""
    return escape_markup("\n".join(visible_lines(text)))


def json_text(document: str) -> str:
    """Return an equivalent JSON document that contains no runner command."""
    return document.replace(_OLD_COMMAND, "\\u0023#[")


def command_data(text: str) -> str:
    """Return text of one or more lines for the message of a workflow command."""
    lines = "\n".join(visible_lines(text))
    return lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """Return text for a property of a workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")
