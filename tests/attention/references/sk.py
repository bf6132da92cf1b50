"""Selective Kernel (arXiv 1903.06586)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import mean, reference, relu, softmax
from tests.helpers import batch_norm, conv1x1, conv2d


def grouped(x, weight, groups, **kwargs):
    parts = zip(np.split(x, groups, 1), np.split(weight, groups, 0))
    return np.concatenate([conv2d(part, w, **kwargs) for part, w in parts], 1)


FORMS = [dict(groups=4, stride=2), dict(dilation=2), dict(branches=3), dict(minimum=4, reduction=2)]


@reference("sk", *FORMS, channels=8, space=(6, 6))
def selective_kernel(x, p, stride=1, groups=1, dilation=1, branches=2, reduction=16, minimum=32):
    outputs = []
    for m in range(branches):
        reach = (m + 1) * dilation
        y = grouped(x, p[f"branches.{m}.0.weight"], groups, padding=reach, dilation=reach, stride=stride)
        outputs.append(relu(batch_norm(y, p, f"branches.{m}.1")))
    z = conv1x1(mean(sum(outputs)), p, "select.1")
    assert z.shape[1] == max(8 // reduction, minimum)
    logits = conv1x1(relu(batch_norm(z, p, "select.2")), p, "select.4").reshape(len(x), branches, -1, 1, 1)
    return (softmax(logits, 1) * np.stack(outputs, 1)).sum(1)
