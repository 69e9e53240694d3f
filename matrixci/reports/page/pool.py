"""What many cells share is embedded in a page once, and what is large within a bound."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Final, Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)

_MARKUP: Final = "<>&"
_ESCAPED: Final = len(r"\u003c") - 1


@dataclass
class Pool(Generic[Item]):
    """Distinct items in the order in which they came; an item is spoken of by its index."""

    items: list[Item] = field(default_factory=list)
    _index: dict[Item, int] = field(default_factory=dict)

    def add(self, item: Item) -> int:
        """Return the index of an item, which is taken in where it is new."""
        index = self._index.get(item)
        if index is None:
            index = self._index[item] = len(self.items)
            self.items.append(item)
        return index


@dataclass(kw_only=True)
class Texts:
    """Long texts, each cut to a length, all together within a budget."""

    budget: int
    """characters left, counted as they are written into the page"""
    longest: int
    items: list[tuple[str, int]] = field(default_factory=list)
    """a text, and how many characters of it were left out"""
    left_out: int = 0
    """how many texts there was no room for"""
    _index: dict[Hashable, int | None] = field(default_factory=dict)

    def add(self, key: Hashable, read: Callable[[], str], *, end: bool = False) -> int | None:
        """Return the index of a text, None where the budget is spent.

        Args:
            key: what it is known by: texts of one key are one text.
            read: returns the text; called where there is room for it, and it isn't there yet.
            end: where it has to be cut, its end is kept and not its beginning.
        """
        if key not in self._index:
            self._index[key] = self._take(read, end=end)
        return self._index[key]

    def index(self, key: Hashable) -> int | None:
        """Return the index of a text that was added, None where it wasn't."""
        return self._index.get(key)

    def _take(self, read: Callable[[], str], *, end: bool) -> int | None:
        room = min(self.longest, self.budget)
        if room <= 0:
            self.left_out += 1
            return None
        text = read()
        kept = text[-room:] if end else text[:room]
        self.budget -= len(encode_basestring_ascii(kept))
        self.budget -= _ESCAPED * sum(map(kept.count, _MARKUP))
        self.items.append((kept, len(text) - len(kept)))
        return len(self.items) - 1
