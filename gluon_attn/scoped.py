"""A value that holds within a `with`, in one thread."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Iterator


class Scoped(threading.local):
    """`value` is the default, but within `to(value)` of the same thread.

    >>> loud = Scoped(False)
    >>> with loud.to(True):
    ...     print(loud.value)
    True
    """

    def __init__(self, default: Any):
        self.value = default

    @contextlib.contextmanager
    def to(self, value: Any) -> Iterator[None]:
        """Within it, `value` is this one; afterwards what it was before, after an exception, too."""
        before, self.value = self.value, value
        try:
            yield
        finally:
            self.value = before
