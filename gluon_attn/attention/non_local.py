"""Non-local neural networks (Wang et al., CVPR 2018, arXiv 1711.07971)."""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn.attention.announce import announce
from gluon_attn.attention.positions import attend, flat, unflat
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import Conv3D, MaxPool2D, MaxPool3D, batch_norm, conv

FORMS = ("embedded", "gaussian", "dot", "concat")
_POOL = {2: lambda: MaxPool2D(2, 2), 3: lambda: MaxPool3D((1, 2, 2), (1, 2, 2))}


class NonLocal(nn.HybridBlock):
    r"""x_i + bn(W sum_j f(x_i, x_j) g(x_j)), over all positions j; (N, C, H, W) -> same.

    ==========  ===================================================  =====================================
    form        f(x_i, x_j)                                          remarks
    ==========  ===================================================  =====================================
    embedded    softmax_j(s theta(x_i) . phi(x_j))                   s = D^-0.5 with `scale`, otherwise 1
    gaussian    softmax_j(s x_i . x_j)                               no theta, no phi; s = C^-0.5
    dot         theta(x_i) . phi(x_j) / positions
    concat      relu(w . [theta(x_i), phi(x_j)]) / positions         w without bias
    ==========  ===================================================  =====================================

    theta, phi, g : 1x1 convolutions to D = `inner` channels (C / 2), with biases, Normal(0, 0.01).
    sub_sample : max-pool 2x2 (in space only) before phi and g. The official code pools before their convolutions,
        several ports after them: a convolution and a maximum do not commute.
    scale : as in the official code; the paper has none.
    dims : 3 takes clips (N, C, T, H, W).

    The last BatchNorm starts with gamma 0, so the block starts as the identity. It stands after residual blocks, after
    their ReLU: in ResNet-50 after every second one of the two middle stages, five in all.
    """

    def __init__(self, channels, form="embedded", inner=None, sub_sample=True, scale=True, dims=2, **kwargs):
        super().__init__(**kwargs)
        if form not in FORMS:
            raise unknown("form of non-local attention", form, FORMS)
        if dims not in _POOL:
            raise GluonAttnError(f"dims={dims!r}: non-local blocks have 2 (images) or 3 (clips) dimensions.")
        inner = max(channels // 2, 1) if inner is None else inner
        self.form = form
        self.scale = (channels if form == "gaussian" else inner) ** -0.5 if scale else 1.0
        self.pool = _POOL[dims]() if sub_sample else None

        def pointwise(before, after, bias=True):
            init = mx.init.Normal(0.01)
            if dims == 3:
                return Conv3D(after, 1, use_bias=bias, in_channels=before, weight_initializer=init)
            return conv(before, after, bias=bias, weight_initializer=init)

        if form != "gaussian":
            self.theta, self.phi = pointwise(channels, inner), pointwise(channels, inner)
        if form == "concat":
            self.query, self.key = pointwise(inner, 1, bias=False), pointwise(inner, 1, bias=False)
        self.g = pointwise(channels, inner)
        self.out = pointwise(inner, channels)
        self.norm = batch_norm(channels, zero_gamma=True)

    def hybrid_forward(self, F, x):
        if self.pool is not None:
            _refuse_what_cannot_be_halved(x)
        pooled = x if self.pool is None else self.pool(x)
        weights = announce(self, self.weights(F, x, pooled), "positions")
        y = attend(F, weights, flat(F, self.g(pooled)))
        return x + self.norm(self.out(unflat(F, y, x)))

    def weights(self, F, x, pooled):
        """f for all pairs, (N, positions of x, positions of `pooled`)."""
        if self.form == "gaussian":
            query, key = flat(F, x), flat(F, pooled)
        else:
            query, key = self.theta(x), self.phi(pooled)
            if self.form == "concat":  # w . [theta, phi] is the sum of two projections
                query, key = flat(F, self.query(query)), flat(F, self.key(key))
                pairs = F.relu(F.broadcast_add(F.transpose(query, axes=(0, 2, 1)), key))
                return _mean_over_keys(F, pairs, key)
            query, key = flat(F, query), flat(F, key)
        pairs = F.batch_dot(query, key, transpose_a=True)
        if self.form == "dot":
            return _mean_over_keys(F, pairs, key)
        return F.softmax(pairs * self.scale, axis=-1)


def _refuse_what_cannot_be_halved(x):
    if isinstance(x, mx.nd.NDArray) and min(x.shape[-2:]) < 2:
        raise GluonAttnError(
            f"Non-local attention halves its keys' map by a pooling of 2x2 and got a map of {x.shape[-2]}x{x.shape[-1]}"
            ": give larger images, or build the network with sub_sample=False."
        )


def _mean_over_keys(F, pairs, key):
    ones = F.ones_like(F.slice_axis(key, axis=1, begin=0, end=1))
    return F.broadcast_div(pairs, F.sum(ones, axis=2, keepdims=True))
