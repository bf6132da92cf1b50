"""Every family and head learns: a few updates on 32 digits, and the loss it is trained with falls."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import losses
from gluon_attn.data import get_dataset

NARROW = dict(layers=(1, 1, 1), widths=(8, 16, 16), stem_widths=(8,))
NETWORKS = {
    "cifar_abn_resnet20": NARROW,
    "cifar_abn_se_resnet20": dict(NARROW, reduction=4),
    "cifar_ltpa_resnet20": dict(NARROW, compatibility="dp", combine="indep"),
    "cifar_ltpa_vgg": dict(width=4),
    "cifar_inv_se_resnet50basic": dict(NARROW, variant="inverse_attention"),
    "cifar_abn_wrn28_10": NARROW,
    "cifar_inv_se_densenet40_k12": dict(layers=(2, 1, 1), growth=8, stem_width=16, variant="inverse_attention"),
    "cifar_abn_densenet100_k12": dict(layers=(2, 1, 1), growth=8, stem_width=8),
    "cifar_inv_se_mobilenet": dict(widths=((16,), (32,), (32,)), stem_width=8),
}
RATES = {"cifar_ltpa_vgg": 0.05}  # of the others 0.2, at which eight layers without shortcuts overshoot
CHANCE = np.log(10)  # cross-entropy of who knows nothing


@pytest.fixture(scope="module")
def digits():
    dataset = get_dataset("digits")
    pairs = [dataset[i] for i in range(32)]
    images = np.stack([image.transpose(2, 0, 1) for image, _ in pairs]).astype("float32") / 128 - 1
    return mx.nd.array(images), mx.nd.array([label for _, label in pairs])


LONGEST = ("cifar_ltpa_vgg", "cifar_inv_se_densenet40_k12", "cifar_abn_densenet100_k12")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONGEST else name for name in sorted(NETWORKS)]
)
def test_loss_falls(name, digits):
    mx.random.seed(0)
    net = gluon_attn.get_model(name, classes=10, **NETWORKS[name])
    net.initialize(mx.init.MSRAPrelu())
    net.hybridize()
    forward, (x, y) = losses.for_training(net, static_alloc=True), digits
    trainer = mx.gluon.Trainer(net.collect_params(), "nag", dict(learning_rate=RATES.get(name, 0.2), momentum=0.9))
    cross_entropy, history = mx.gluon.loss.SoftmaxCrossEntropyLoss(), []
    for _ in range(10):
        with mx.autograd.record():
            outputs = forward(x)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            loss = sum(cross_entropy(logits, y) for logits in outputs)
        loss.backward()
        trainer.step(len(y))
        history.append(loss.mean().asscalar() / len(outputs))
    assert history[-1] < min(history[0], CHANCE) - 0.1, history
