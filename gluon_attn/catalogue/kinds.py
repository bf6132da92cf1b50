"""What a value of a keyword can be: a count, a switch, a word, ...

Pure data: this module imports no framework.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any, Callable

LARGEST = 1 << 20  # of a count: more channels or blocks than any memory holds


@dataclass(frozen=True)
class Kind:
    """What one value is: how errors call it, whether a value is one, and whether None may stand where none was chosen.

    >>> COUNT.fits(0), COUNT.fits(None), COUNT.or_none().fits(None)
    (False, False, True)
    """

    words: str
    is_one: Callable[[Any], bool]
    optional: bool = False

    def fits(self, value: Any) -> bool:
        return (self.optional and value is None) or self.is_one(value)

    def or_none(self) -> Kind:
        return replace(self, optional=True)


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, and no bool.

    >>> is_whole(3), is_whole(True)
    (True, False)
    """
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


COUNT = Kind("a whole number from 1", lambda v: is_whole(v) and 1 <= v <= LARGEST)
ODD = Kind("an odd number from 1", lambda v: is_whole(v) and 1 <= v <= LARGEST and v % 2 == 1)
NUMBER = Kind("a number", _is_number)
POSITIVE = Kind("a number above 0", lambda v: _is_number(v) and v > 0)
NOT_NEGATIVE = Kind("a number from 0", lambda v: _is_number(v) and v >= 0)
SHARE = Kind("a number from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1)
SWITCH = Kind("True or False", lambda v: isinstance(v, bool))
WORD = Kind("a word", lambda v: isinstance(v, str) and bool(v))
BLOCK = Kind("a name or a class", lambda v: (isinstance(v, str) and bool(v)) or callable(v))
