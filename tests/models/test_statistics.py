"""Every running statistic is updated by a training step: MXNet leaves out those of a BatchNorm without gradients."""

from __future__ import annotations

import mxnet as mx
import pytest

from tests.helpers import build, images, shallow


@pytest.mark.parametrize("name", ["cifar_preresnet32_w4", "cifar_resnet20"])
def test_one_step_updates_them_all(name):
    net = build(name, **shallow(name))
    named = net._collect_params_with_prefix()
    before = {key: p.data().asnumpy() for key, p in named.items() if "running_" in key}
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1, "momentum": 0.9, "wd": 0.1})
    with mx.autograd.record():
        loss = net(mx.nd.array(images(4, 3, 32, 32))).square().mean()
    beta = named["stem.0.beta"].data().asnumpy() if "stem.0.beta" in named else None
    loss.backward()
    trainer.step(1)
    assert all((before[key] != named[key].data().asnumpy()).all() for key in before)
    if beta is not None:
        assert (named["stem.0.beta"].data().asnumpy() == beta).all()
