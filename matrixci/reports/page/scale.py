"""Durations as two characters each: a place on a logarithmic scale.

A large run has hundreds of thousands of durations, and two digits of each are enough to read.
"""

import math
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

_MILLISECOND: Final = timedelta(milliseconds=1)
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_TO_A_DECADE: Final = 500
_PLACES: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)

SCALE: Final = {"digits": _DIGITS, "decade": _TO_A_DECADE, "least": 0.001}
"""Parameters with which the page decodes a duration; the first place means "less than least"."""


def encode_duration(began: datetime | None, ended: datetime | None) -> str:
    """Return a duration as two characters; the lowest place if it is not known."""
    if began is None or ended is None:
        return _PLACES[0]
    return _place((ended - began) // _MILLISECOND)


@lru_cache(maxsize=100_000)
def _place(milliseconds: int) -> str:
    if milliseconds < 1:
        return _PLACES[0]
    return _PLACES[min(len(_PLACES) - 1, 1 + round(_TO_A_DECADE * math.log10(milliseconds)))]
