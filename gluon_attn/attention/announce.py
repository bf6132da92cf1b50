"""How a mechanism says which of its tensors is a map of its attention."""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Optional

from gluon_attn.errors import unknown
from gluon_attn.scoped import Scoped

_listener = Scoped(None)
# {kind: the axes that such a map has}
KINDS = {
    **dict.fromkeys(("channel", "plane", "full", "rows", "columns"), 4),
    **dict.fromkeys(("positions", "channels"), 3),
    "branches": 5,
}


def announce(mechanism: Any, weight: Any, kind: Optional[str] = None, inverse: bool = False) -> Any:
    """Say that the tensor `weight` is a map of the block `mechanism`; gives `weight` back.

    kind : None where the shape says it ((N, C, 1, 1) a channel, (N, 1, H, W) a position, (N, C, H, W) both,
        (N, C, H, 1) a row, (N, C, 1, W) a column);
        'positions' for (N, queries, keys) or (N * heads, queries, keys): weights between positions;
        'channels' for (N, C, C): weights between channels; 'branches' for (N, M, C, 1, 1): weights of M branches
    inverse : the mechanism learns what to ignore, which is 1 - weight

    No operator is added. Only `explain.attention_maps` listens, while it traces the network into a second graph whose
    outputs are the announced tensors.

    >>> x = F.broadcast_mul(x, announce(self, F.sigmoid(z)))
    """
    if kind is not None and kind not in KINDS:
        raise unknown("kind of attention map", kind, KINDS)
    if _listener.value is not None:
        _listener.value(mechanism, weight, kind, inverse)
    return weight


def listening(listener: Callable) -> ContextManager:
    """Within it, listener(mechanism, weight, kind, inverse) is called for every announcement of this thread.

    >>> with listening(lambda mechanism, weight, kind, inverse: print(type(mechanism).__name__)):
    ...     net(mx.sym.Variable("data"))
    """
    return _listener.to(listener)
