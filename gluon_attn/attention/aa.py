"""Attention-augmented convolution (Bello et al., ICCV 2019, arXiv 1904.09925)."""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.announce import announce
from gluon_attn.attention.positions import attend, flat, refuse_another_size
from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import conv

MIN_HEAD_WIDTH = 20  # keys have at least this width in every head


class AugmentedConv(nn.HybridBlock):
    r"""concat(conv3x3(x) with C - dv channels, W_o MHA(x) with dv channels), in place of a block's 3x3.

    In every head h, with query position i and key position j (row y, column x):
    logits_ij = q_i . (k_j + r^W[x_j - x_i] + r^H[y_j - y_i]) / sqrt(width of a head), softmax over j.
    r^H and r^W are learned, shared by the heads, and tied to the map: `map_size` is the size of the *output*
    (56, 28, 14, 7 by stage at 224 pixels).

    kappa, upsilon : key and value channels as shares of C: dk = kappa C, at least 20 a head; dv = upsilon C rounded
        to a multiple of the heads. The paper's ResNets: 8 heads, kappa = 2 upsilon = 0.2, in the last three stages.
    reduce : attention on a map smaller by this factor (3x3 average pool), enlarged bilinearly afterwards; the paper
        does this for the 28x28 stage, to save memory. Enlarged with aligned corners (the first and the last position of
        the small map stay so in the large one), MXNet's own way and what its exporters know; the paper names none. The
        average pool's windows are centred on every second position, from which this deviates by half a position of the
        small map at its end, and half-pixel centres would by a quarter of one everywhere.

    Where the block strides, queries, keys and values see x averaged over 3x3 windows with that stride, which is this
    package's choice. The published parameter counts come out as in the paper (25.8 M and 45.4 M).
    """

    normalised = False

    def __init__(
        self,
        channels,
        stride=1,
        groups=1,
        dilation=1,
        map_size=None,
        heads=8,
        kappa=0.2,
        upsilon=0.1,
        reduce=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if map_size is None:
            raise GluonAttnError(
                "Attention-augmented convolutions learn one vector a relative position: give map_size=, the size of "
                "the output in every stage ((56, 28, 14, 7) for 224x224)."
            )
        self.heads, self.reduce, self.map_size = heads, reduce, map_size
        self.size = -(-map_size // reduce)
        self.head_width = max(int(kappa * channels) // heads, MIN_HEAD_WIDTH)
        keys, values = heads * self.head_width, max(round(upsilon * channels / heads), 1) * heads
        if values >= channels or (channels - values) % groups:
            raise GluonAttnError(
                f"upsilon={upsilon} and heads={heads} give {values} of {channels} channels to the attention of an "
                f"attention-augmented convolution and {channels - values} to its 3x3: it needs a multiple of its "
                f"groups ({groups}), above 0. Choose upsilon= and heads= so."
            )
        self.widths = (keys, keys, values)
        self.conv = conv(channels, channels - values, 3, stride, groups, dilation=dilation)
        step = stride * reduce
        self.pool = nn.AvgPool2D(3, step, 1, count_include_pad=False) if step > 1 else None
        self.qkv = conv(channels, 2 * keys + values)
        self.out = conv(values, values)
        shape, init = (2 * self.size - 1, self.head_width), mx.init.Normal(self.head_width**-0.5)
        self.relative_height = self.params.get("relative_height", shape=shape, init=init)
        self.relative_width = self.params.get("relative_width", shape=shape, init=init)

    def hybrid_forward(self, F, x, relative_height, relative_width):
        y = self.conv(x)
        refuse_another_size(y, self.map_size, "Attention-augmented convolution")
        y = F.concat(y, self.attention(F, x, relative_height, relative_width), dim=1)
        # oneDNN's concat divides by zero in its backward where the gradient comes in blocks of 16 channels and the
        # parts do not; a fence brings it in the plain layout.
        return cpu.fence(F, y)

    def attention(self, F, x, relative_height, relative_width):
        """W_o MHA(x), (N, dv, map_size, map_size)."""
        query, key, value = self._by_head(F, flat(F, self.qkv(x if self.pool is None else self.pool(x))))
        query = query * self.head_width**-0.5
        logits = F.reshape(F.batch_dot(query, key, transpose_a=True), (-1, self.size, self.size))  # rows are (b, y, x)
        space = F.reshape(query, (0, 0, self.size, self.size))
        by_row = _relative(F, space, relative_height, self.size, axes=(2, 0, 3, 1), back=(1, 0, 2, 3))
        by_column = _relative(F, space, relative_width, self.size, axes=(3, 0, 2, 1), back=(1, 2, 0, 3))
        logits = cpu.broadcast(F, self, "add", logits, F.reshape(by_row, (-1, self.size, 1)))
        logits = cpu.broadcast(F, self, "add", logits, F.reshape(by_column, (-1, 1, self.size)), over="channels")
        positions = self.size**2
        weights = F.softmax(F.reshape(logits, (-1, positions, positions)), axis=-1)
        weights = announce(self, weights, "positions")
        y = F.reshape(attend(F, weights, value), (-1, self.widths[2], self.size, self.size))
        y = self.out(y)
        if self.reduce > 1:
            y = F.contrib.BilinearResize2D(y, height=self.map_size, width=self.map_size)
        return y

    def _by_head(self, F, y):
        """Queries, keys and values, each (N * heads, width of a head, positions)."""
        end = 0
        for width in self.widths:
            begin, end = end, end + width
            part = F.slice_axis(y, axis=1, begin=begin, end=end)
            yield F.reshape(part, (-1, width // self.heads, 0))


def _relative(F, query, embedding, size, axes, back):
    """q_i . r[j - i] along one axis: query (B, D, H, W) -> (B, H, W, size), j last.

    `axes` bring that axis of the query to the front and D to the end, `back` undo it.
    """
    index = F.slice_axis(F.contrib.arange_like(embedding, axis=0), axis=0, begin=0, end=size)
    distance = F.broadcast_sub(F.reshape(index, (1, -1)), F.reshape(index, (-1, 1))) + (size - 1)
    vectors = F.take(embedding, distance)  # (i, j, D)
    rows = F.reshape(F.transpose(query, axes=axes), (0, -3, 0))
    products = F.batch_dot(rows, vectors, transpose_b=True)  # (i, B * other axis, j)
    return F.transpose(F.reshape(products, (0, -1, size, size)), axes=back)
