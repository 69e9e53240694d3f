"""Markdown tables."""

from collections.abc import Iterable, Sequence
from html import escape


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; text of its cells may hold any character.

    Args:
        header: titles of the columns.
        rows: cells of each row, as Markdown.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(_in_cell, line))} |\n" for line in lines)


def code(text: str) -> str:
    """Return a text as inline code, or nothing for an empty one."""
    if "|" in text:  # would end a cell; an escaped one is shown with its backslash
        return f"<code>{escape(text).replace('|', '&#124;')}</code>"
    return f"`{text}`" if text else ""


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
