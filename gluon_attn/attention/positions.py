"""Maps as matrices: what all attention between positions shares."""

from __future__ import annotations

import mxnet as mx

from gluon_attn.errors import GluonAttnError


def refuse_another_size(x, map_size, who):
    """A sentence for an array (N, C, H, W) that is no map of map_size x map_size, as the block's parameters demand.

    MXNet's imperative reshape does not count the values of a map of another size: what follows reads and writes beyond
    its memory. Of a symbol nothing is known here; a graph's shapes are checked before it runs.
    """
    if isinstance(x, mx.nd.NDArray) and x.shape[2:] != (map_size, map_size):
        raise GluonAttnError(
            f"{who} is tied to maps of {map_size}x{map_size} (map_size={map_size}) and got {x.shape[2]}x{x.shape[3]}: "
            "images have another size than the network was built for. Give it those, or build it with map_size= of "
            "these images, one value a stage."
        )


def flat(F, x):
    """(N, C, *space) -> (N, C, P): positions as columns."""
    return F.reshape(x, (0, 0, -1))


def unflat(F, y, like):
    """(N, D, P) -> (N, D, *space), the space of `like`."""
    return F.reshape_like(y, like, lhs_begin=2, lhs_end=3, rhs_begin=2, rhs_end=None)


def attend(F, weights, values):
    """Weights (N, queries, keys) over values (N, C, keys) -> (N, C, queries)."""
    return F.batch_dot(values, weights, transpose_b=True)
