"""Tables of distinct values, so that a page embeds each shared value only once."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Final, Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)

_MARKUP: Final = "<>&"
_ESCAPED: Final = len(r"\u003c") - 1


@dataclass
class Pool(Generic[Item]):
    """Distinct items in the order of their first use, addressed by index."""

    items: list[Item] = field(default_factory=list)
    _index: dict[Item, int] = field(default_factory=dict)

    def add(self, item: Item) -> int:
        """Add an item unless it is present, and return its index."""
        index = self._index.get(item)
        if index is None:
            index = self._index[item] = len(self.items)
            self.items.append(item)
        return index


@dataclass(kw_only=True)
class Texts:
    """Long texts with a maximum length each and a budget for all of them."""

    budget: int
    """remaining characters, counted as they are escaped in the page"""
    longest: int
    items: list[tuple[str, int]] = field(default_factory=list)
    """each text, and how many of its characters were cut"""
    left_out: int = 0
    """number of texts left out because the budget was spent"""
    _index: dict[Hashable, int | None] = field(default_factory=dict)

    def add(self, key: Hashable, read: Callable[[], str], *, end: bool = False) -> int | None:
        """Add a text unless its key is present, and return its index.

        Args:
            key: identifies the text.
            read: returns the text. Only called for a new key while there is budget left.
            end: keep the end of a long text instead of its beginning.

        Returns:
            The index, or None if the budget is spent.
        """
        if key not in self._index:
            self._index[key] = self._read_and_keep(read, end=end)
        return self._index[key]

    def index(self, key: Hashable) -> int | None:
        """Return the index of the text with this key, or None if there is none."""
        return self._index.get(key)

    def _read_and_keep(self, read: Callable[[], str], *, end: bool) -> int | None:
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
