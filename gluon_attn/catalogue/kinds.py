"""What a value of a keyword can be: a count, a switch, a word, ...

Pure data: this module imports no framework.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any, Callable

from gluon_attn.errors import GluonAttnError

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


def refuse_no_count(**counts: Any) -> None:
    """GluonAttnError for what is no whole number from 1: classes, channels, the side of a picture.

    >>> refuse_no_count(classes=10, in_channels=3)
    """
    for name, value in counts.items():
        if not is_whole(value) or value < 1:
            raise GluonAttnError(f"{name}={value!r} cannot be: give a whole number from 1.")


COUNT = Kind(f"a whole number from 1 to {LARGEST:,}", lambda v: is_whole(v) and 1 <= v <= LARGEST)
ODD = Kind(f"an odd number from 1 to {LARGEST:,}", lambda v: is_whole(v) and 1 <= v <= LARGEST and v % 2 == 1)
NUMBER = Kind("a number", _is_number)
POSITIVE = Kind("a number above 0", lambda v: _is_number(v) and v > 0)
NOT_NEGATIVE = Kind("a number from 0", lambda v: _is_number(v) and v >= 0)
SHARE = Kind("a number from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1)
SWITCH = Kind("True or False", lambda v: isinstance(v, bool))
WORD = Kind("a word", lambda v: isinstance(v, str) and bool(v))
BLOCK = Kind("a name or a class", lambda v: (isinstance(v, str) and bool(v)) or callable(v))
