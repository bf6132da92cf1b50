"""Spatial weights of full-face gaze (arXiv 1611.08860)."""

from __future__ import annotations

from tests.attention.references import reference, relu
from tests.helpers import conv1x1


def weight_map(x, p):
    for i in (0, 2, 4):
        x = relu(conv1x1(x, p, f"weights.{i}"))
    return x


@reference("spatial_weights", dict(scale_gradient=False), channels=6)
def spatial_weights(x, p, scale_gradient=True):
    return x * weight_map(x, p)
