"""The tables of a page: values that many of its rows share, each embedded once."""

import shlex
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from matrixci.model import CheckOutcome, CheckResult
from matrixci.reports.page.pool import Pool, Texts
from matrixci.reports.page.rows import PageCheck
from matrixci.reports.page.words import link_of
from matrixci.util.text import printable
from matrixci.verdict.reproduce_command import words_of_check

LONGEST_LINE: Final = 2_000
_LONGEST_MESSAGE: Final = 16_000
_LONGEST_DETAIL: Final = 40_000
_LONGEST_LOCK: Final = 400_000
_LONGEST_LOG: Final = 66_000

_CELL_ID: Final = "\0"
"""Placeholder for a cell's id in a command that many cells share."""


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """Limits on what a page embeds: about 20 MB of text, in characters, and a number of metrics."""

    messages: int = 5_000_000
    details: int = 3_000_000
    locks: int = 6_000_000
    logs: int = 6_000_000
    metrics: int = 100_000


class PageTables:
    """Collects the shared values of a page's rows and returns their indexes."""

    def __init__(self, budgets: Budgets) -> None:
        self.strings: Pool[str] = Pool()
        self.lists: Pool[tuple[Hashable, ...]] = Pool()
        self.locks = Texts(budget=budgets.locks, longest=_LONGEST_LOCK)
        self.logs = Texts(budget=budgets.logs, longest=_LONGEST_LOG)
        self._messages = Texts(budget=budgets.messages, longest=_LONGEST_MESSAGE)
        self._details = Texts(budget=budgets.details, longest=_LONGEST_DETAIL)
        self._checks: Pool[str] = Pool()
        self._check_rows: list[PageCheck] = []
        self._check_sets: Pool[tuple[str, ...]] = Pool()
        self._metrics_left = budgets.metrics

    def as_document(self) -> dict[str, object]:
        """Return the tables by the names that the page's script uses."""
        return {
            "checks": self._check_rows,
            "sets": [list(map(self._checks.add, checks)) for checks in self._check_sets.items],
            "strings": self.strings.items,
            "lists": self.lists.items,
            "messages": self._messages.items,
            "details": self._details.items,
            "locks": self.locks.items,
            "logs": self.logs.items,
        }

    def left_out(self) -> list[str]:
        """Describe what exceeded the budgets so far."""
        kinds = {
            "messages": self._messages,
            "tracebacks and outputs": self._details,
            "locks": self.locks,
            "logs": self.logs,
        }
        parts = [f"{texts.left_out} {kind}" for kind, texts in kinds.items() if texts.left_out]
        return [*parts, *(["metrics of some checks"] if self._metrics_left < 0 else [])]

    def message(self, text: str) -> int | None:
        """Return the index of a message."""
        return self._messages.add(text, _reader(text))

    def detail(self, text: str) -> int | None:
        """Return the index of a traceback or an output, or None if it is empty."""
        return self._details.add(text, _reader(text)) if text else None

    def command(self, argv: Sequence[str], cell_id: str) -> int:
        """Return the index of a cell's command, with a placeholder for the cell's id."""
        # The page inserts the id unquoted, so an id that needs quoting is written in full.
        plain = quoted(cell_id) == cell_id
        words = (_CELL_ID if plain and word == cell_id else quoted(word) for word in argv)
        return self.lists.add(tuple(words))

    def check_set(self, checks: Sequence[CheckResult], command: Sequence[str]) -> int:
        """Return the index of a list of check ids, which most cells share.

        Args:
            checks: the checks of a cell.
            command: the command that reproduces the cell.
        """
        known = len(self._check_sets.items)
        index = self._check_sets.add(tuple(check.id for check in checks))
        if index == known:
            for check in checks:
                self._check(check, command)
        return index

    def removed_check(self, check_id: str) -> int:
        """Return the index of a check of the baseline, which may not exist in this run."""
        return self._check(CheckResult(id=check_id, claim="", outcome=CheckOutcome.MISSING), ())

    def has_room_for(self, metrics: int) -> bool:
        """Take this many metrics from the budget, and return whether it allows them."""
        self._metrics_left -= metrics
        return self._metrics_left >= 0

    def _check(self, check: CheckResult, command: Sequence[str]) -> int:
        index = self._checks.add(check.id)
        if index == len(self._check_rows):
            self._check_rows.append(_check_row(check, command))
        return index


def _reader(text: str) -> Callable[[], str]:
    return lambda: text


def _check_row(check: CheckResult, command: Sequence[str]) -> PageCheck:
    words = words_of_check(command, check.id)
    return PageCheck(
        id=check.id[:LONGEST_LINE],
        claim=check.claim[:LONGEST_LINE],
        reference=check.reference,
        link=link_of(check.reference),
        command="".join(f" {quoted(word)}" for word in words),
    )


def quoted(word: str) -> str:
    """Return a word of a command, printable and quoted for a shell."""
    return shlex.quote(printable(word))
