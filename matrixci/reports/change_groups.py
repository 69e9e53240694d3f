"""Changes against a baseline, each listed once with its cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from matrixci.util.text import rounded
from matrixci.verdict.judged import CellChange, Change, Comparison, PackageChange

WORSE: Final = frozenset({Change.REGRESSED, Change.NEWLY_UNSATISFIABLE, Change.DISAPPEARED})
"""Changes for the worse."""


@dataclass(frozen=True, kw_only=True)
class ChangeGroup:
    """The same change of a check or of the cell itself, in one or more cells."""

    check: str | None
    """None for a change of the cells that no check explains"""
    change: Change
    words: str
    """the outcomes before and after"""
    cells: tuple[CellChange, ...]

    @property
    def worse(self) -> bool:
        """Whether this is a change for the worse."""
        return self.change in WORSE

    @property
    def packages(self) -> list[str]:
        """The packages that changed in all of these cells, and a note if others changed in some."""
        sets = [frozenset(map(package_word, cell.packages)) for cell in self.cells]
        common = frozenset.intersection(*sets)
        words = [words for words in map(package_word, self.cells[0].packages) if words in common]
        return [*words, *(["other packages in some cells"] if set(sets) != {common} else [])]


def is_worse(change: CellChange) -> bool:
    """Return whether a cell or one of its checks is worse than in the baseline."""
    return change.change in WORSE or any(check.change in WORSE for check in change.checks)


def change_groups(comparison: Comparison) -> list[ChangeGroup]:
    """Return the changes grouped across cells, those for the worse first."""
    groups: dict[tuple[str | None, Change, str], list[CellChange]] = {}
    for cell in comparison.cells:
        for check in cell.checks:
            words = transition(check.before, check.after)
            groups.setdefault((check.check, check.change, words), []).append(cell)
        if cell.change is not None and not _is_explained_by_checks(cell):
            words = transition(cell.before, cell.after)
            groups.setdefault((None, cell.change, words), []).append(cell)
    found = [
        ChangeGroup(check=check, change=change, words=words, cells=tuple(cells))
        for (check, change, words), cells in groups.items()
    ]
    order = list(Change)
    return sorted(found, key=lambda group: (not group.worse, order.index(group.change)))


def _is_explained_by_checks(cell: CellChange) -> bool:
    """Return whether changes of its checks explain a cell's change."""
    return any(check.change is cell.change for check in cell.checks)


def transition(before: str | None, after: str | None) -> str:
    """Return the outcomes before and after in words, such as "passed to failed"."""
    if before is None:
        return f"now {after}"
    return f"was {before}" if after is None else f"{before} to {after}"


def package_words(change: CellChange) -> list[str]:
    """Return the changed packages of a cell, such as "torch 2.8.0 → 2.9.0"."""
    return [package_word(package) for package in change.packages]


def package_groups(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return the changed packages in words, each set with the ids of its cells."""
    groups: dict[str, list[str]] = {}
    for cell in comparison.cells:
        words = package_words(cell)
        words += [f"Python {cell.python[0]} → {cell.python[1]}"] if cell.python else []
        if words:
            groups.setdefault(", ".join(words), []).append(cell.cell)
    return list(groups.items())


def metric_groups(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return the changed metrics in words, each with the ids of its cells."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for change in comparison.cells:
        for name, (before, after) in change.metrics.items():
            found.setdefault(name, []).append((change.cell, before, after))
    return [
        (_metric(name, [before for _, before, _ in one], [after for _, _, after in one]), cells)
        for name, one in found.items()
        for cells in [[cell for cell, _, _ in one]]
    ]


def _metric(name: str, before: Sequence[float], after: Sequence[float]) -> str:
    """Describe the change of a metric: its range before and after, and the range of ratios."""
    ratios = [_ratio(*pair) for pair in zip(before, after, strict=True)]
    known = [ratio for ratio in ratios if ratio is not None]
    times = f" ({_range(known)} times)" if len(known) == len(ratios) else ""
    return f"{name}: {_range(before)} → {_range(after)}{times}"


def _ratio(before: float, after: float) -> float | None:
    """Return the ratio of two values, or None if their signs differ or one is zero."""
    return after / before if before * after > 0 else None


def package_word(package: PackageChange) -> str:
    """Return how a package changed, such as "torch 2.8.0 → 2.9.0"."""
    return f"{package.name} {package.before or 'absent'} → {package.after or 'absent'}"


def _range(values: Iterable[float]) -> str:
    ordered = sorted(values)
    low, high = rounded(ordered[0]), rounded(ordered[-1])
    return low if low == high else f"{low} to {high}"
