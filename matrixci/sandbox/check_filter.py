"""Selection of checks by --check: an id, a glob over ids, or an expression for pytest's -k.

The grammar of -k is small and the same in all supported versions of pytest: words, `and`, `or`,
`not` and parentheses. With its words replaced by identifiers it is a Python expression, so mistakes
can be reported before anything is built.
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
"""Names of files with checks, as in pytest."""
_PARTS: Final = (ast.Expression, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.Not, ast.Name, ast.Load)


def is_by_id(select: str) -> bool:
    """Return whether a selection is an id or a glob; must agree with harness/selection.py."""
    return "::" in select or any(sign in select for sign in "*?")


def names(select: str, check: str) -> bool:
    """Return whether an id or a glob selects a check; must agree with harness/selection.py."""
    if check == select or check.startswith((f"{select}[", f"{select}::")):
        return True
    return fnmatchcase(check, select.replace("[", "[[]"))


def validate_filter(text: str) -> None:
    """Check that a selection is an id, a glob, or a valid expression for -k.

    Raises:
        UsageError: it is none of them.
    """
    if is_by_id(text) and not any(letter.isspace() for letter in text.partition("[")[0]):
        return
    if text.strip(_BLANKS) and not (_FILTER.fullmatch(text) and _is_expression(text)):
        msg = (
            f"Invalid value for --check: {text!r}. Write an expression as for pytest's -k, with "
            "words, and, or, not and parentheses, such as 'tensorflow and not slow'."
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
    """Return the selected checks, in their order.

    Args:
        select: an id, a glob over ids, or an expression for -k. Its words are matched against ids
            only, not against markers and other names that pytest knows.
        ids: the ids of all checks.
    """
    known = tuple(dict.fromkeys(ids))
    if select in known:
        return (select,)
    if is_by_id(select):
        return tuple(check for check in known if names(select, check))
    validate_filter(select)
    matches = _predicate(select)
    return tuple(check for check in known if matches(check))


def validate_match(select: str, files: Mapping[str, bytes]) -> None:
    """Check that an id or a glob selects a check, as far as the files show without importing them.

    Args:
        select: the value of --check.
        files: path in the folder of checks to content.

    Raises:
        UsageError: it certainly selects no check.
    """
    if not is_by_id(select):
        return
    ids: list[str] = []
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        found = _ids(path, content)
        if found is None:
            return  # the file may define more checks than are visible
        ids += found
    if (file := select.partition("::")[0]) in files and not file.endswith(".py"):
        return
    plain = select.partition("[")[0]
    if not any(names(plain, check) or check.startswith(plain) for check in ids):
        near = did_you_mean(select, [check for check in ids if "::" in check])
        msg = f"No check matches --check {select}; {near}"
        raise UsageError(msg)


def _ids(path: str, content: bytes) -> list[str] | None:
    """Return the ids of the checks that a file defines; None if it may define others.

    A check may also come from an import, an assignment, a base class or a hook in conftest.py. Then
    no id may be refused.
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
    """Return whether a statement certainly defines no test."""
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
    """Return a function that evaluates an expression for an id."""
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
