"""What holds within a `with`, in one thread: a value, the quiet of a logger."""

from __future__ import annotations

import contextlib
import logging
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


@contextlib.contextmanager
def quiet(log: logging.Logger) -> Iterator[None]:
    """Within it, this thread says nothing to `log` but errors; others, and its level, are as they were.

    >>> with quiet(logging.getLogger()):
    ...     logging.warning("not heard")
    """
    thread = threading.get_ident()

    def passes(record):
        return record.levelno >= logging.ERROR or record.thread != thread

    log.addFilter(passes)
    try:
        yield
    finally:
        log.removeFilter(passes)
