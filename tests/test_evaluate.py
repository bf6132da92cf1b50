"""The metric against a sort in numpy; partial batches, padding and devices."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn.errors import DataError, GluonAttnError
from gluon_attn.evaluate import evaluate, ranks
from gluon_attn.models.network import logits_of, output_names
from tests.helpers import build, images

RNG = np.random.RandomState(0)
LOGITS = RNG.randint(0, 4, (50, 10)).astype("float32")  # few values, so many ties
LABELS = RNG.randint(0, 10, 50)
RANKS = np.array([list(np.argsort(-row, kind="stable")).index(k) for row, k in zip(LOGITS, LABELS)])


def identity(x):
    return x


def batches(size):
    for i in range(0, len(LOGITS), size):
        yield mx.nd.array(LOGITS[i : i + size]), mx.nd.array(LABELS[i : i + size], dtype="int32")


def test_ranks_equal_a_stable_sort():
    np.testing.assert_array_equal(ranks(mx.nd.array(LOGITS), mx.nd.array(LABELS, dtype="int32")).asnumpy(), RANKS)


def test_nan_and_constant_logits_are_no_hits():
    broken = LOGITS.copy()
    broken[:, 3] = np.nan
    assert (ranks(mx.nd.array(broken), mx.nd.array(LABELS)).asnumpy() == 10).all()
    constant = mx.nd.ones((10, 10))
    np.testing.assert_array_equal(ranks(constant, mx.nd.arange(10)).asnumpy(), np.arange(10))


@pytest.mark.parametrize("size", [8, 50, 64])
@pytest.mark.parametrize("devices", [1, 3])
def test_every_image_counts_once(size, devices):
    result = evaluate(identity, batches(size), [mx.cpu(i) for i in range(devices)])
    assert result["images"] == 50
    assert result["top1"] == np.mean(RANKS < 1)
    assert result["top5"] == np.mean(RANKS < 5)
    assert result["images_per_second"] > 0


def test_padding_of_a_data_iterator_is_left_out():
    padded = mx.io.NDArrayIter(LOGITS, LABELS.astype("float32"), batch_size=16)  # fills its last batch with 14 images
    for _ in range(2):  # a spent iterator is reset
        result = evaluate(identity, padded)
        assert (result["images"], result["top1"]) == (50, np.mean(RANKS < 1))


class Several:
    """Gives two outputs, the logits last."""

    gives, outputs = ("map", "logits"), "all"

    def __call__(self, x):
        return -x, x


def test_the_logits_are_found_by_name():
    assert evaluate(Several(), batches(8))["top1"] == np.mean(RANKS < 1)


def test_outputs_without_names_are_refused():
    with pytest.raises(GluonAttnError, match="gives 2 outputs and does not say which are the logits"):
        evaluate(lambda x: (x, -x), batches(8))


def test_abn_is_scored_by_its_perception_logits():
    """Its attention logits, which come first, are wrong everywhere here."""
    net = build("cifar_abn_resnet20", layers=(1, 1, 1), classes=10, outputs="all")
    x = mx.nd.array(images(12, 3, 32, 32))
    wrong, right, _ = net(x)
    labels = right.argmax(axis=1)
    net.branch.score[1].weight.set_data(0 * net.branch.score[1].weight.data())  # attention logits: ties, so class 0
    assert evaluate(net, [(x, labels)])["top1"] == 1
    assert (logits_of(net, net(x)) - right).abs().max().asscalar() < 1e-6


def test_features_have_no_classes():
    net = build("cifar_resnet20", layers=(1, 1, 1), features=("stage1", "stage2"))
    assert output_names(net) == ("stage1", "stage2")
    with pytest.raises(GluonAttnError, match="gives stage1, stage2, and no logits"):
        evaluate(net, [(mx.nd.zeros((2, 3, 32, 32)), mx.nd.zeros(2))])


def test_labels_of_another_dataset_raise():
    with pytest.raises(DataError, match=r"labels 0\.\.9 but the network 4 classes"):
        evaluate(lambda x: x[:, :4], batches(50))


def test_empty_loader_raises():
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(identity, [])
