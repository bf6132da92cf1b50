"""How a network is traced for what is not trained: files, counts."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

from gluon_attn import cpu, mixed_precision


@contextlib.contextmanager
def plain_graph(net: Any) -> Iterator[None]:
    """Within it, `net` is traced as files and counts need it: for inference, in the plain words, in float32.

    >>> with plain_graph(net):
    ...     symbol = net(mx.sym.Variable("data"))
    """
    with cpu.inference_graphs(), mixed_precision.switched_off(net):
        yield
