"""Images that a network cannot take, in a sentence: MXNet speaks of the operator at which it noticed."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from gluon_attn.errors import GluonAttnError
from gluon_attn.hybridization import unhybridized


def explain(net, x):
    """GluonAttnError for what is wrong with `x`, at which `net` failed; returns where that is not known."""
    if not isinstance(x, mx.nd.NDArray):
        return
    first = next((p for p in net.stem.collect_params().values() if len(p.shape or ()) == 4), None)
    if first is None:
        return
    wanted = ("N", *(("frames",) if net.frames > 1 else ()), first.shape[1] or "C", "H", "W")
    form, channels = ", ".join(map(str, wanted)), first.shape[1]
    if len(x.shape) != len(wanted):
        one = len(x.shape) == len(wanted) - 1 and x.shape[-3] == channels
        remedy = "x.expand_dims(0) is a batch of one" if one else "give it such an array"
        raise GluonAttnError(f"The network takes images ({form}) and got {x.shape}: {remedy}.")
    if channels and x.shape[-3] != channels:
        last = x.shape[-1] == channels
        remedy = "swapaxes(-1, -2).swapaxes(-2, -3) moves the channels there" if last else "in_channels= is its keyword"
        raise GluonAttnError(f"The network takes images ({form}) and got {x.shape}: {remedy}.")
    word, other = (np.dtype(dtype).name for dtype in (first.dtype, x.dtype))
    if word != other:
        raise GluonAttnError(
            f"The network computes in {word} and got images of {other}: give it x.astype('{word}'), normalised as its "
            "card says (card.transform() does both)."
        )
    with unhybridized(net) as was_hybridized:
        if was_hybridized:  # a block that is tied to a size says so where it sees arrays, not in a graph
            net(x)
