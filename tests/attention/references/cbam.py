"""CBAM, and its inverse (arXiv 1807.06521, 2111.05684)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import gate_weight, mean, reference, relu
from tests.helpers import batch_norm, conv1x1, conv2d

KINDS = ["channel", "plane"]
FORMS = (dict(reduction=4), dict(spatial_bn=False), dict(spatial_order="mean_max"), dict(kernel=3))


@reference("cbam", *FORMS, kinds=KINDS)
def cbam(x, p, reduction=16, spatial_bn=True, spatial_order="max_mean", kernel=7, **how):
    def mlp(z):
        return conv1x1(relu(conv1x1(z, p, "channel.mlp.0")), p, "channel.mlp.2")

    assert p["channel.mlp.0.weight"].shape[0] == 32 // reduction and ("spatial.bn.gamma" in p) == spatial_bn
    x = x * gate_weight(mlp(mean(x)) + mlp(x.max((2, 3), keepdims=True)), **how)
    planes = np.concatenate([getattr(x, reduce)(1, keepdims=True) for reduce in spatial_order.split("_")], 1)
    z = conv2d(planes, p["spatial.conv.weight"], padding=kernel // 2)
    return x * gate_weight(batch_norm(z, p, "spatial.bn") if spatial_bn else z, **how)


@reference("inv_cbam", *FORMS, dict(reduction=8, spatial_bn=False, spatial_order="mean_max"), kinds=KINDS)
def inv_cbam(x, p, gating="complement", **how):
    return cbam(x, p, gating=gating, **how)
