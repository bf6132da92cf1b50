"""BAM (arXiv 1807.06514)."""

from __future__ import annotations

from tests.attention.references import gate_weight, mean, reference, relu
from tests.helpers import batch_norm, conv1x1, conv2d


@reference("bam", dict(reduction=4), dict(dilation=2), space=(9, 8))
def bam(x, p, reduction=16, dilation=4, **how):
    assert p["spatial.0.weight"].shape[0] == 32 // reduction
    z = batch_norm(conv1x1(mean(x), p, "channel.1"), p, "channel.2")
    channel = conv1x1(relu(z), p, "channel.4")
    z = relu(batch_norm(conv1x1(x, p, "spatial.0"), p, "spatial.1"))
    for i in (3, 6):
        bias = p[f"spatial.{i}.bias"].reshape(1, -1, 1, 1)
        z = conv2d(z, p[f"spatial.{i}.weight"], padding=dilation, dilation=dilation) + bias
        z = relu(batch_norm(z, p, f"spatial.{i + 1}"))
    return x * (1 + gate_weight(channel * conv1x1(z, p, "spatial.9"), **how))
