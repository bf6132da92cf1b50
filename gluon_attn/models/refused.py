"""Images that a network cannot take, in a sentence: MXNet speaks of the operator at which it noticed."""

from __future__ import annotations

import contextlib

import mxnet as mx
import numpy as np

from gluon_attn.complexity import check_images
from gluon_attn.errors import GluonAttnError
from gluon_attn.hybridization import unhybridized


class Refused(GluonAttnError):
    """Images that a network does not take; the cause is what MXNet said."""


def refuse(net, x, problem):
    """Raise Refused where it is known what of x made `net` fail with MXNet's `problem`."""
    try:
        _look_at(net, x)
    except GluonAttnError as sentence:
        raise Refused(str(sentence)) from problem


def _look_at(net, x):
    first = next((p for p in net.stem.collect_params().values() if len(p.shape or ()) == 4), None)
    if first is None or not isinstance(x, mx.nd.NDArray):
        return
    channels = first.shape[1]
    wanted = ("N", *(("frames",) if net.frames > 1 else ()), channels or "C", "H", "W")
    given = f"The network takes images ({', '.join(map(str, wanted))}) and got {x.shape}"
    if len(x.shape) != len(wanted):
        one = len(x.shape) == len(wanted) - 1 and x.shape[-3] == channels
        raise GluonAttnError(f"{given}: {'x.expand_dims(0) is a batch of one' if one else 'give it such an array'}.")
    if channels and x.shape[-3] != channels:
        last = x.shape[-1] == channels
        remedy = "swapaxes(-1, -2).swapaxes(-2, -3) moves the channels there" if last else "in_channels= is its keyword"
        raise GluonAttnError(f"{given}: {remedy}.")
    word, other = (np.dtype(dtype).name for dtype in (first.dtype, x.dtype))
    if word != other:
        raise GluonAttnError(
            f"The network computes in {word} and got images of {other}: give it x.astype('{word}'), normalised as its "
            "card says (card.transform() does both)."
        )
    with unhybridized(net) as was_hybridized:
        if was_hybridized:  # a block that is tied to a size says so where it sees arrays, not in a graph
            net(x)
    check_images(net, x.shape[-3:])


@contextlib.contextmanager
def taking(*inputs):
    """A sentence for inputs that a network does not take, such as (H, W, 3) or float64: MXNet names an operator."""
    try:
        yield
    except (mx.MXNetError, Refused) as error:
        problem = error.__cause__ if isinstance(error, Refused) else error
        given = " and ".join(f"x of shape {x.shape} and {np.dtype(x.dtype).name}" for x in inputs)
        reason = str(problem).strip().splitlines()[-1].rpartition("Error in operator ")[2]
        raise GluonAttnError(
            f"The network does not take {given} ({reason}): give float32 batches (N, channels, H, W) of its own number "
            "of channels, such as `net.card.transform()` makes."
        ) from problem
