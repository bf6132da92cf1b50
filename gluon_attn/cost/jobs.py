"""What is timed: one training step, or one inference, of a network on random images."""

from __future__ import annotations

import mxnet as mx

from gluon_attn import cpu
from gluon_attn.losses import for_training, parts


def training_step(net, batch, size, device=None, optimizer="nag", in_channels=3):
    """A callable: forward, backward and update of an uninitialised network, as the recipes do it; waits for the end.

    Its loss has all that the network is trained with: both of ABN's cross-entropies, the losses of a pyramid.
    """
    device = device or mx.cpu()
    net.initialize(mx.init.Xavier(), ctx=device)
    flags = dict(static_alloc=True, static_shape=True)
    net.hybridize(**flags)
    forward = for_training(net, **flags)
    options = {"learning_rate": 1e-3, "wd": 1e-4, **({"momentum": 0.9} if optimizer in ("nag", "sgd") else {})}
    trainer = mx.gluon.Trainer(net.collect_params(), optimizer, options)
    cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    images = mx.nd.random.uniform(-1, 1, (batch, in_channels, size, size), ctx=device)
    labels = mx.nd.zeros((batch,), ctx=device)

    def step():
        with mx.autograd.record():
            logits, own = parts(net, forward(images))
            losses = [cross_entropy(each, labels).sum() for each in logits] + ([] if own is None else [own])
            loss = sum(losses[1:], losses[0])
        loss.backward()
        trainer.step(batch)
        mx.nd.waitall()

    return step


def inference(net, batch, size, device=None, in_channels=3):
    """A callable: one batch through a hybridized network, in the words of a forward pass (or the plain ones)."""
    device = device or mx.cpu()
    if any(p._data is None for p in net.collect_params().values()):
        net.initialize(mx.init.Xavier(), ctx=device)
    net.hybridize(static_alloc=True, static_shape=True)
    images = mx.nd.random.uniform(-1, 1, (batch, in_channels, size, size), ctx=device)
    with cpu.inference_graphs("plain" if cpu.for_inference() else "forward"):
        net(images)

    def run():
        net(images)
        mx.nd.waitall()

    return run
