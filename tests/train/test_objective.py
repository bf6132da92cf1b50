"""Targets and losses against numpy."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn.train.objective import Objective, cross_entropy, draw_mixing, prepare
from tests.train.tiny import tiny


def log_softmax(z):
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def test_smoothing_with_mixup_and_without():
    images, labels = np.arange(8, dtype="float32").reshape(4, 1, 1, 2), np.array([0, 2, 1, 2])
    smooth = np.eye(3)[labels] * 0.7 + 0.3 / 3
    x, t = prepare(mx.nd.array(images), mx.nd.array(labels, dtype="int32"), 3, 0.3, None)
    np.testing.assert_allclose(t.asnumpy(), smooth, rtol=1e-6)
    np.testing.assert_array_equal(x.asnumpy(), images)
    x, t = prepare(mx.nd.array(images), mx.nd.array(labels, dtype="int32"), 3, 0.3, ("mixup", 0.8))
    np.testing.assert_allclose(t.asnumpy(), 0.8 * smooth + 0.2 * smooth[::-1], rtol=1e-6)
    np.testing.assert_allclose(x.asnumpy(), 0.8 * images + 0.2 * images[::-1], rtol=1e-6)


def test_cross_entropy_is_a_sum_over_images():
    rng = np.random.RandomState(0)
    z, t = rng.randn(5, 3), rng.dirichlet(np.ones(3), 5)
    loss = cross_entropy(mx.nd.array(z), mx.nd.array(t)).asscalar()
    assert loss == pytest.approx(-(t * log_softmax(z)).sum(), rel=1e-5)


def test_distillation():
    rng = np.random.RandomState(1)
    z, teacher, t = rng.randn(4, 3), rng.randn(4, 3), np.eye(3)[[0, 1, 2, 0]]
    objective = Objective(lambda images: mx.nd.array(teacher), temperature=5, hard_weight=0.3)
    got = objective([mx.nd.array(z)], mx.nd.array(t), objective.teach(mx.nd.zeros((4, 1)))).asscalar()
    soft = np.exp(log_softmax(teacher / 5))
    want = -0.3 * (t * log_softmax(z)).sum() - 0.7 * 25 * (soft * log_softmax(z / 5)).sum()
    assert got == pytest.approx(want, rel=1e-5)


def test_mixing_is_drawn_from_the_batch_number_and_stops_in_time(tmp_path):
    recipe = tiny(tmp_path, mixup=1.0, epochs=10, mixup_off_epochs=3)
    first = draw_mixing(recipe, 0, 0, 32)
    assert first == draw_mixing(recipe, 0, 0, 32) and first != draw_mixing(recipe, 0, 1, 32)
    assert draw_mixing(recipe, 6, 0, 32) and draw_mixing(recipe, 7, 0, 32) is None
    kinds = {draw_mixing(recipe.replace(cutmix=1.0), 0, batch, 32)[0] for batch in range(20)}
    assert kinds == {"mixup", "cutmix"}
    kind, (x0, y0, x1, y1) = draw_mixing(recipe.replace(mixup=0.0, cutmix=1.0), 0, 0, 32)
    assert kind == "cutmix" and 0 <= x0 <= x1 <= 32 and 0 <= y0 <= y1 <= 32
