"""Networks that were hybridized, run operator by operator for a while."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Iterator


@contextlib.contextmanager
def unhybridized(net: Any) -> Iterator[bool]:
    """Within it, `net` and all in it run each of their operators; behind it, the graphs that they had. Whether any had.

    >>> with unhybridized(net) as was_hybridized:
    ...     net(x)
    """
    active: Dict[Any, bool] = {}
    net.apply(lambda block: active.update({block: getattr(block, "_active", False)}))
    try:
        for block in active:
            block._active = False
        yield any(active.values())
    finally:
        for block, was in active.items():
            block._active = was
