"""Products of attention over heads side by side, (T, N, heads * parts * D), as MXNet means them."""

from __future__ import annotations

import math

import torch


def _parts(x, heads, count):
    """`count` tensors (N * heads, T, D)."""
    steps, batch = x.shape[:2]
    return x.reshape(steps, batch * heads, count, -1).permute(2, 1, 0, 3).unbind(0)


def _scores(queries, keys):
    return torch.bmm(queries / math.sqrt(queries.shape[-1]), keys.transpose(1, 2))


def _joined(attention, values, heads):
    """(T, N, heads * D)"""
    found = torch.bmm(attention, values).permute(1, 0, 2)
    return found.reshape(found.shape[0], found.shape[1] // heads, -1)


def self_scores(queries_keys_values, heads):
    """(N * heads, T, T) of queries with keys, over the root of D."""
    queries, keys, _ = _parts(queries_keys_values, heads, 3)
    return _scores(queries, keys)


def self_values(queries_keys_values, attention, heads):
    return _joined(attention, _parts(queries_keys_values, heads, 3)[2], heads)


def cross_scores(queries, keys_values, heads):
    return _scores(_parts(queries, heads, 1)[0], _parts(keys_values, heads, 2)[0])


def cross_values(keys_values, attention, heads):
    return _joined(attention, _parts(keys_values, heads, 2)[1], heads)


OPERATORS = {
    "_contrib_interleaved_matmul_encdec_qk": cross_scores,
    "_contrib_interleaved_matmul_encdec_valatt": cross_values,
    "_contrib_interleaved_matmul_selfatt_qk": self_scores,
    "_contrib_interleaved_matmul_selfatt_valatt": self_values,
}
