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
from matrixci.util.text import did_you_mean

_BLANKS: Final = " \t"
_LETTERS: Final = r"\w:+\-.\[\]\\/"
_FILTER: Final = re.compile(rf"[{_LETTERS}(){_BLANKS}]*")
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
CHECK_FILES: Final = ("test_*.py", "*_test.py")
"""Names of the files that hold checks, as pytest has it."""
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
        if not path.endswith(".py"):
            continue
        found = _ids(path, content)
        if found is None:
            return  # more may be in it than can be seen
        ids += found
    if (file := select.partition("::")[0]) in files and not file.endswith(".py"):
        return
    plain = select.partition("[")[0]
    if not any(names(plain, check) or check.startswith(plain) for check in ids):
        near = did_you_mean(select, [check for check in ids if "::" in check])
        msg = f"No check matches --check {select}; {near}"
        raise UsageError(msg)


def _ids(path: str, content: bytes) -> list[str] | None:
    """Return the ids of the checks that a file defines; None where it may have others.

    Only what is certain is listed: a function or method may also come from an import, an
    assignment, a base class or a collector of a conftest.py, and an id must not be refused then.
    """
    name = path.rpartition("/")[2]
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if name == "conftest.py":
        hooks = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
        return None if any(hook.name.startswith("pytest_") for hook in hooks) else []
    if not any(fnmatchcase(name, glob) for glob in CHECK_FILES):
        return []
    ids = [path]
    for node in tree.body:
        found = _ids_of(path, node)
        if found is None:
            return None
        ids += found
    return ids


def _ids_of(path: str, node: ast.stmt) -> list[str] | None:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [f"{path}::{name}"] if name.startswith("test") else []
        case ast.ClassDef(name=name, bases=[], keywords=[], decorator_list=[], body=body):
            if not all(isinstance(each, _FUNCTIONS) or _is_docstring(each) for each in body):
                return None
            methods = [each.name for each in body if isinstance(each, _FUNCTIONS)]
            return [f"{path}::{name}::{each}" for each in methods if each.startswith("test")]
        case _:
            return [] if _binds_no_test(node) else None


def _binds_no_test(node: ast.stmt) -> bool:
    """Tell whether a statement certainly brings no test into its module."""
    match node:
        case ast.Import():
            return True
        case ast.ImportFrom(names=imported, level=0):
            bound = [each.asname or each.name for each in imported]
            return not any(each == "*" or each.lower().startswith("test") for each in bound)
        case ast.Assign(targets=targets):
            return all(_is_no_test(each) for each in targets)
        case ast.AnnAssign(target=target):
            return _is_no_test(target)
        case _:
            return _is_docstring(node)


def _is_no_test(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and not target.id.lower().startswith("test")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


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
