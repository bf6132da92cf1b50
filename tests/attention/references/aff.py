"""MS-CAM, AFF and iAFF (arXiv 2009.14082)."""

from __future__ import annotations

from tests.attention.references import gate_weight, mean, reference, relu
from tests.helpers import batch_norm, conv1x1, sigmoid


def context(x, p, path="context", reduction=16):
    def branch(z, name, first):
        assert p[f"{path}.{name}.{first}.weight"].shape[0] == 32 // reduction
        z = batch_norm(conv1x1(z, p, f"{path}.{name}.{first}"), p, f"{path}.{name}.{first + 1}")
        return batch_norm(conv1x1(relu(z), p, f"{path}.{name}.{first + 3}"), p, f"{path}.{name}.{first + 4}")

    return branch(x, "local_branch", 0) + branch(mean(x), "global_branch", 1)


@reference("ms_cam", dict(reduction=4), kinds=["full"])
def ms_cam(x, p, reduction=16, **how):
    return x * gate_weight(context(x, p, reduction=reduction), **how)


@reference("aff", dict(reduction=4))
def aff(x, y, p, reduction=16):
    w = sigmoid(context(x + y, p, reduction=reduction))
    return 2 * x * w + 2 * y * (1 - w)


@reference("iaff", dict(reduction=4))
def iaff(x, y, p, reduction=16):
    w = sigmoid(context(x + y, p, "first", reduction))
    z = x * w + y * (1 - w)
    w = sigmoid(context(z, p, "second", reduction))
    return x * w + y * (1 - w)
