"""Whether pytest's -k understands a filter of checks, told before anything is built.

Its grammar is small, and the same in every pytest that a cell may have: words of certain
characters, `and`, `or`, `not` and parentheses. With another name for each word it is an expression
of Python, too.
"""

import ast
import re
from typing import Final

from matrixci.errors import UsageError

_BLANKS: Final = " \t"
_LETTERS: Final = r"\w:+\-.\[\]\\/"
_FILTER: Final = re.compile(rf"[{_LETTERS}(){_BLANKS}]*")
_PARTS: Final = (ast.Expression, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.Not, ast.Name, ast.Load)


def make_sure_of_filter(text: str) -> None:
    """Do nothing where pytest understands a filter.

    Raises:
        UsageError: it doesn't.
    """
    if text.strip(_BLANKS) and not (_FILTER.fullmatch(text) and _is_expression(text)):
        msg = (
            f"--check {text!r} is not understood: write words with and, or, not and parentheses, "
            "such as 'tensorflow and not slow', as pytest's -k takes them."
        )
        raise UsageError(msg)


def _is_expression(text: str) -> bool:
    python = re.sub(rf"[{_LETTERS}]+", _in_python, text).strip(_BLANKS)
    try:
        tree = ast.parse(python, mode="eval")
    except (SyntaxError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, _PARTS) for node in ast.walk(tree))


def _in_python(word: re.Match[str]) -> str:
    return word[0] if word[0] in {"and", "or", "not"} else "x"
