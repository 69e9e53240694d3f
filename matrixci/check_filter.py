"""The language in which commands select checks: an id, a glob over ids, or pytest's -k.

The grammar of -k is small, and the same in every pytest that a cell may have: words of certain
characters, `and`, `or`, `not` and parentheses. With another name for each word it is an expression
of Python, too. Its mistakes are reported before anything is built.
"""

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from matrixci.errors import UsageError
from matrixci.wording import did_you_mean

_BLANKS: Final = " \t"
_LETTERS: Final = r"\w:+\-.\[\]\\/"
_FILTER: Final = re.compile(rf"[{_LETTERS}(){_BLANKS}]*")
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_PARTS: Final = (ast.Expression, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.Not, ast.Name, ast.Load)


def is_by_id(select: str) -> bool:
    """Tell whether a selection is an id or a glob; selection.py of the harness must agree."""
    return "::" in select or any(sign in select for sign in "*?")


def names(select: str, check: str) -> bool:
    """Tell whether an id or a glob names a check; selection.py of the harness must agree."""
    if check == select or check.startswith((f"{select}[", f"{select}::")):
        return True
    return fnmatchcase(check, select.replace("[", "[[]"))


def make_sure_of_filter(text: str) -> None:
    """Do nothing where a selection is an id, a glob, or an expression that pytest understands.

    Raises:
        UsageError: it is none of them.
    """
    if is_by_id(text) and not any(letter.isspace() for letter in text.partition("[")[0]):
        return
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


def selected(select: str, ids: Iterable[str]) -> tuple[str, ...]:
    """Return the checks that a selection names, in their order.

    Args:
        select: an id, a glob over ids, or an expression as -k takes them. Its words are looked for
            in the ids alone; what only pytest knows of a check, such as its markers, is not here.
        ids: the ids of the checks that there are.
    """
    known = tuple(dict.fromkeys(ids))
    if select in known:
        return (select,)
    if is_by_id(select):
        return tuple(check for check in known if names(select, check))
    make_sure_of_filter(select)
    holds = _predicate(select)
    return tuple(check for check in known if holds(check))


def make_sure_of_match(select: str, files: Mapping[str, bytes]) -> None:
    """Refuse an id or a glob that names no check, as far as that can be seen in the files.

    Args:
        select: what the command selects.
        files: path in the folder of checks to content.

    Raises:
        UsageError: no check has such an id.
    """
    if not is_by_id(select):
        return
    ids: list[str] = []
    for path, content in files.items():
        if path.endswith(".py"):
            found = _ids(path, content)
            if found is None:
                return  # more may be in it than can be seen
            ids += found
    plain = select.partition("[")[0]
    if not any(names(plain, check) or check.startswith(plain) for check in ids):
        msg = f"No check matches --check {select}; {did_you_mean(select, ids)}"
        raise UsageError(msg)


def _ids(path: str, content: bytes) -> list[str] | None:
    """Return the ids of the checks that a file defines; None where it may have others."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    ids = [path]
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                ids.append(f"{path}::{name}")
            case ast.ClassDef(name=name, body=body, bases=bases):
                if bases:
                    ids.append(f"{path}::{name}")
                methods = [each for each in body if isinstance(each, _FUNCTIONS)]
                ids += [f"{path}::{name}::{method.name}" for method in methods]
            case ast.Assign() | ast.AnnAssign() | ast.Import() | ast.Expr():
                continue
            case ast.ImportFrom(names=imported) if all(each.name != "*" for each in imported):
                continue
            case _:
                return None
    return ids


def _predicate(expression: str) -> Callable[[str], bool]:
    """Return what tells whether an expression holds for an id."""
    words: list[str] = []

    def numbered(word: re.Match[str]) -> str:
        if word[0] in {"and", "or", "not"}:
            return word[0]
        words.append(word[0].lower())
        return f"x{len(words) - 1}"

    text = re.sub(rf"[{_LETTERS}]+", numbered, expression).strip(_BLANKS)
    if not text:
        return lambda _: True
    tree = ast.parse(text, mode="eval").body
    return lambda check: _holds(tree, [word in check.lower() for word in words])


def _holds(node: ast.expr, truth: list[bool]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_holds(value, truth) for value in values)
        case ast.BoolOp(values=values):
            return any(_holds(value, truth) for value in values)
        case ast.UnaryOp(operand=operand):
            return not _holds(operand, truth)
        case ast.Name(id=name):
            return truth[int(name.removeprefix("x"))]
        case _:
            return False
