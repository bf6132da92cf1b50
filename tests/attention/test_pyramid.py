"""Pyramid attention and its losses against numpy, for images and for clips."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import GluonAttnError
from gluon_attn.attention.pyramid import PyramidAttention, diversity_loss, interaction_loss
from tests.attention.references import softmax
from tests.attention.references.pyramid import attended
from tests.helpers import arrays, images, numeric_gradient, randomise

WIDTHS, SIZE = (6, 8), 3


@pytest.mark.parametrize("fusion", ["mean", "sum", "max", "product"])
@pytest.mark.parametrize("frames", [1, 3])
def test_values(fusion, frames):
    block = randomise(PyramidAttention(WIDTHS, SIZE, frames=frames, fusion=fusion))
    maps = [images(2 * frames, 6, 5, 5) * 3, images(2 * frames, 8, 3, 3, seed=1) * 3]
    expected = attended(maps, arrays(block), SIZE, frames, fusion)
    for _ in range(2):
        for got, value in zip(block(*[mx.nd.array(x) for x in maps]), expected):
            np.testing.assert_allclose(got.asnumpy(), value, rtol=1e-4, atol=1e-5)
        block.hybridize()


def test_sampling_by_maximum():
    block = randomise(PyramidAttention(WIDTHS, SIZE, sampling="max"))
    maps = [images(1, 6, 6, 6), images(1, 8, 3, 3, seed=1)]
    got = block(*[mx.nd.array(x) for x in maps])[0].asnumpy()
    np.testing.assert_allclose(got, attended(maps, arrays(block), SIZE, reduce=np.max)[0], rtol=1e-4, atol=1e-5)


def test_rows_have_unit_norm_and_scores_sum_to_one():
    block = randomise(PyramidAttention(WIDTHS, SIZE, frames=2))
    maps = [mx.nd.array(images(4, 6, 6, 6)), mx.nd.array(images(4, 8, 3, 3))]
    _, _, unit, *softmaxes = block(*maps)
    np.testing.assert_allclose((unit**2).sum(2).asnumpy(), 1, rtol=1e-5)
    for rows in softmaxes:
        assert rows.shape == (2, 9, 18)
        np.testing.assert_allclose(rows.sum(2).asnumpy(), 1, rtol=1e-5)


def test_frames_in_another_order_give_the_same_maps():
    block = randomise(PyramidAttention(WIDTHS, SIZE, frames=2))
    maps = [mx.nd.array(images(2, 6, 6, 6)), mx.nd.array(images(2, 8, 3, 3))]
    swapped = [x[::-1] for x in maps]
    np.testing.assert_allclose(block(*maps)[0].asnumpy(), block(*swapped)[0].asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalise", [False, True])
def test_interaction_loss_is_the_papers_formula(normalise):
    a, x = images(2, 4, 9).astype("float64"), images(2, 5, 9, seed=1).astype("float64")
    expected = []
    for rows, columns in zip(a, x):
        columns = columns / np.linalg.norm(columns) if normalise else columns
        inner, gram = rows @ columns.T @ columns @ rows.T, rows @ rows.T
        eye = np.eye(4)
        expected.append(-(inner * eye).sum() + ((gram * (1 - eye)) ** 2).sum())
    got = interaction_loss(mx.nd, mx.nd.array(a), mx.nd.array(x), normalise=normalise)
    np.testing.assert_allclose(got.asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_diversity_loss_is_the_papers_formula():
    a, scales = softmax(images(2, 4, 9)), [softmax(images(2, 4, 9, seed=i) * 3) for i in (1, 2)]
    expected = np.sqrt(sum((1 - np.abs(a - s) ** 2).sum((1, 2)) for s in scales))
    got = diversity_loss(mx.nd, mx.nd.array(a), [mx.nd.array(s) for s in scales])
    np.testing.assert_allclose(got.asnumpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("detach", [True, False])
def test_interaction_loss_reaches_the_features_only_if_asked(detach):
    a, x = (mx.nd.array(images(1, *shape), dtype="float64") for shape in ((2, 4), (3, 4)))
    a.attach_grad()
    x.attach_grad()
    with mx.autograd.record():
        loss = interaction_loss(mx.nd, a, x, detach=detach).sum()
    loss.backward()

    def value(rows):
        return interaction_loss(mx.nd, mx.nd.array(rows, dtype="float64"), x).sum().asscalar()

    np.testing.assert_allclose(a.grad.asnumpy(), numeric_gradient(value, a.asnumpy()), rtol=1e-4, atol=1e-6)
    assert bool(x.grad.asnumpy().any()) is not detach


@pytest.mark.parametrize(
    "kwargs, words",
    [(dict(fusion="add"), ["'add'", "product"]), (dict(sampling="mena"), ["'mean'"]), (dict(frames=0), ["frames=0"])],
)
def test_errors_are_sentences(kwargs, words):
    with pytest.raises(GluonAttnError) as error:
        PyramidAttention(WIDTHS, SIZE, **kwargs)
    assert all(word in str(error.value) for word in words), error.value
