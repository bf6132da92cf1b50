"""Intervals of accuracies."""

from __future__ import annotations

import math

import pytest

from gluon_attn.accuracy import in_words, shares, wilson


@pytest.mark.parametrize(("hits", "images"), [(45, 50), (0, 10), (10, 10), (1, 3), (976, 1000)])
def test_wilson_is_its_formula(hits, images):
    z, p, n = 1.959963984540054, hits / images, images
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))
    assert wilson(hits, images) == pytest.approx(expected, abs=1e-12)


def test_five_classes_have_no_top_5():
    assert "top5" not in shares(3, 4, 4, classes=5)
    found = shares(3, 4, 4, classes=6)
    assert (found["top1"], found["top5"]) == (0.75, 1.0)
    assert in_words(0.75, found["top1_interval"]) == "75.00 % (95 % interval 30.1 to 95.4 %)"
