"""One update: what it computes, and that devices, pieces and uneven batches change nothing of it.

What is compared across devices: BatchNorm in inference mode (--use-global-stats), so that no device's statistics
depend on its share of the batch. Then gradients are sums over images, equal up to the order of float32 sums.
"""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn.train import build as network
from gluon_attn.train.objective import Objective
from gluon_attn.train.update import Updater, create_trainer
from tests.train.tiny import tiny


def batches(sizes, seed=0):
    rng = np.random.RandomState(seed)
    for size in sizes:
        yield mx.nd.array(rng.randn(size, 3, 32, 32)), mx.nd.array(rng.randint(0, 10, size), dtype="int32")


def run(tmp_path, devices=1, sizes=(8, 8, 8), **changes):
    """(losses, final weights) of a few updates."""
    recipe = tiny(tmp_path, use_global_stats=True, lr=0.01, label_smoothing=0.1, **changes)
    contexts = [mx.cpu(i) for i in range(devices)]
    net = network.build(recipe, 10, contexts)
    updater = Updater(net, create_trainer(net, recipe, "device"), Objective(), contexts, recipe, 10)
    losses, before = [], 0.0
    for images, labels in batches(sizes):
        updater(images, labels, lr=0.01)
        total = sum(float(t.asscalar()) for t in updater.totals)
        losses.append((total - before) / len(labels))
        before = total
    copies = [
        {name: p.list_data()[d].asnumpy() for name, p in net._collect_params_with_prefix().items()}
        for d in range(devices)
    ]
    for copy in copies[1:]:
        for name, array in copy.items():
            np.testing.assert_array_equal(array, copies[0][name])
    return losses, copies[0]


def assert_equal(got, want):
    np.testing.assert_allclose(got[0], want[0], rtol=2e-5)
    for name, array in want[1].items():
        np.testing.assert_allclose(got[1][name], array, rtol=2e-4, atol=2e-6, err_msg=name)


# 8 images on 3 devices are 2, 3 and 3; the last batch of 2 leaves one device idle, that of 1 leaves two.
@pytest.mark.parametrize("sizes", [(8, 8, 8), (8, 5, 2, 8, 1)])
@pytest.mark.parametrize("devices", [2, 3])
def test_several_devices_are_one(tmp_path, devices, sizes):
    assert_equal(run(tmp_path, devices, sizes), run(tmp_path, 1, sizes))


@pytest.mark.parametrize("sizes", [(8, 8), (8, 5, 2, 1)])
def test_accumulation_changes_nothing(tmp_path, sizes):
    plain = run(tmp_path, 1, sizes)
    assert_equal(run(tmp_path, 1, sizes, accumulate=3), plain)
    assert_equal(run(tmp_path, 2, sizes, accumulate=2), plain)


def test_an_update_is_the_one_of_the_formula(tmp_path):
    """SGD with momentum: m <- 0.9 m - lr (g + wd w); the gradient is the mean over the images."""
    recipe = tiny(tmp_path, optimizer="sgd", wd=0.01, no_wd=True)
    net = network.build(recipe, 10, [mx.cpu()])
    updater = Updater(net, create_trainer(net, recipe, "device"), Objective(), [mx.cpu()], recipe, 10)
    parameters = net._collect_params_with_prefix()
    momentum = dict.fromkeys(parameters, 0.0)
    for images, labels in batches((6, 4)):
        before = {name: p.data().asnumpy() for name, p in parameters.items()}
        updater(images, labels, lr=0.1)
        for name in ("head.fc.weight", "head.fc.bias", "stages.0.0.body.1.gamma", "stages.1.0.body.0.weight"):
            decay = 0.01 if name.endswith("weight") else 0.0
            gradient = parameters[name].grad().asnumpy() / len(labels)
            momentum[name] = 0.9 * momentum[name] - 0.1 * (gradient + decay * before[name])
            got = parameters[name].data().asnumpy()
            np.testing.assert_allclose(got, before[name] + momentum[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_loss_is_that_of_the_batch(tmp_path):
    recipe = tiny(tmp_path)
    net = network.build(recipe, 10, [mx.cpu()])
    updater = Updater(net, create_trainer(net, recipe, "device"), Objective(), [mx.cpu()], recipe, 10)
    images, labels = next(batches((7,)))
    with mx.autograd.train_mode():
        want = mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(images), labels).sum().asscalar()
    updater(images, labels, lr=0.1)
    assert updater.totals[0].asscalar() == pytest.approx(want, rel=1e-5)
