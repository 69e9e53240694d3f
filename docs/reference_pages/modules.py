"""The modules of the package, with the first line of each docstring."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import matrixci
from reference_pages.markdown import code, table

PACKAGE: Final = Path(matrixci.__file__).parent


def modules() -> str:
    """Return a section for each package, with a table of its modules."""
    return "\n\n".join(_sections())


def _sections() -> Iterator[str]:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    for folder in sorted(folders):
        name = folder.relative_to(PACKAGE.parent).as_posix()
        files = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        if not files:
            continue
        rows = [(code(path.name), _docstring(path)) for path in files]
        text = _docstring(folder / "__init__.py")
        yield "\n\n".join(filter(None, [f"## {name}/", text, table(("module", "task"), rows)]))


def _docstring(path: Path) -> str:
    """Return the first line of a module's docstring, nothing where there is none."""
    if not path.is_file():
        return ""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]
