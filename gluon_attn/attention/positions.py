"""Maps as matrices: what all attention between positions shares."""

from __future__ import annotations


def flat(F, x):
    """(N, C, *space) -> (N, C, P): positions as columns."""
    return F.reshape(x, (0, 0, -1))


def unflat(F, y, like):
    """(N, D, P) -> (N, D, *space), the space of `like`."""
    return F.reshape_like(y, like, lhs_begin=2, lhs_end=3, rhs_begin=2, rhs_end=None)


def attend(F, weights, values):
    """Weights (N, queries, keys) over values (N, C, keys) -> (N, C, queries)."""
    return F.batch_dot(values, weights, transpose_b=True)
