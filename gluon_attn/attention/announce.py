"""How a mechanism says which of its tensors is a map of its attention."""

from __future__ import annotations

import contextlib
import threading

_state = threading.local()


def announce(mechanism, weight, kind=None, inverse=False):
    """Say that the tensor `weight` is a map of the block `mechanism`; gives `weight` back.

    kind : None where the shape says it ((N, C, 1, 1) a channel, (N, 1, H, W) a position, (N, C, H, W) both,
        (N, C, H, 1) a row, (N, C, 1, W) a column);
        'positions' for (N, queries, keys) or (N * heads, queries, keys): weights between positions;
        'channels' for (N, C, C): weights between channels; 'branches' for (N, M, C, 1, 1): weights of M branches
    inverse : the mechanism learns what to ignore, which is 1 - weight

    No operator is added. Only `explain.attention_maps` listens, while it traces the network into a second graph whose
    outputs are the announced tensors.
    """
    listener = getattr(_state, "listener", None)
    if listener is not None:
        listener(mechanism, weight, kind, inverse)
    return weight


@contextlib.contextmanager
def listening(listener):
    """Within it, listener(mechanism, weight, kind, inverse) is called for every announcement of this thread."""
    before = getattr(_state, "listener", None)
    _state.listener = listener
    try:
        yield
    finally:
        _state.listener = before
