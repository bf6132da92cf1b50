"""Label smoothing, mixup and cutmix against numpy."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn.data import mix, random_state
from gluon_attn.errors import GluonAttnError

CLASSES = 5


@pytest.fixture
def batch():
    rng = np.random.RandomState(0)
    images = rng.uniform(-1, 1, (4, 3, 6, 8)).astype(np.float32)
    labels = np.array([1, 4, 0, 1])
    return images, labels


def smooth(labels, smoothing):
    return np.eye(CLASSES, dtype=np.float32)[labels] * (1 - smoothing) + np.float32(smoothing / CLASSES)


@pytest.mark.parametrize("smoothing", (0.0, 0.1))
@pytest.mark.parametrize("dtype", ("int32", "float32"))
def test_one_hot_smooth(batch, smoothing, dtype):
    labels = batch[1]
    targets = mix.one_hot_smooth(mx.nd.array(labels, dtype=dtype), CLASSES, smoothing)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets.asnumpy(), smooth(labels, smoothing), atol=1e-7)


def test_mixup_with_smoothing(batch):
    images, labels = batch
    targets = mix.one_hot_smooth(mx.nd.array(labels), CLASSES, 0.1)
    x, y = mix.mixup(mx.nd.array(images), targets, 0.3)
    np.testing.assert_allclose(x.asnumpy(), 0.3 * images + 0.7 * images[::-1], rtol=1e-6, atol=1e-6)
    expected = 0.3 * smooth(labels, 0.1) + 0.7 * smooth(labels[::-1], 0.1)
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(y.asnumpy().sum(axis=1), 1, rtol=1e-6)


def test_cutmix(batch):
    images, labels = batch
    x0, y0, x1, y1 = 2, 1, 7, 4
    x, y = mix.cutmix(mx.nd.array(images), mx.nd.array(smooth(labels, 0)), (x0, y0, x1, y1))
    expected = images.copy()
    expected[:, :, y0:y1, x0:x1] = images[::-1, :, y0:y1, x0:x1]
    np.testing.assert_array_equal(x.asnumpy(), expected)
    lam = 1 - 15 / 48
    np.testing.assert_allclose(y.asnumpy(), lam * smooth(labels, 0) + (1 - lam) * smooth(labels[::-1], 0), rtol=1e-6)


def test_sample_box_has_the_area_asked_for_on_average():
    rng = random_state(0)
    boxes = np.array([mix.sample_box(32, 48, 0.75, rng) for _ in range(2000)])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert widths.max() == 24 and heights.max() == 16
    assert boxes.min() == 0 and boxes[:, 2].max() == 48 and boxes[:, 3].max() == 32
    # Half of the side is cut off at most, and only near the border: E[w] = w * (1 - w / (4 W)).
    np.testing.assert_allclose(widths.mean(), 24 * (1 - 24 / (4 * 48)), rtol=0.02)


def test_sample_lambda():
    rng = random_state(0)
    draws = np.array([mix.sample_lambda(0.2, rng) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(), 0.5, atol=0.02)
    np.testing.assert_allclose(draws.var(), 1 / (4 * 1.4), atol=0.01)
    assert mix.sample_lambda(0, rng) == 1.0


def test_smoothing_out_of_range():
    with pytest.raises(GluonAttnError, match="not 1"):
        mix.one_hot_smooth(mx.nd.array([0]), CLASSES, 1)
