"""What a network is trained with: a cross-entropy of each of the logits that it names in `trained`.

That is one for most, the attention logits' and the perception logits' for ABN. A loop needs no cases for it:

>>> forward = for_training(net)                # the network itself where there is one kind of logits
>>> outputs = forward(images)                  # a tuple where there are more
"""

from __future__ import annotations

from mxnet import gluon
from mxnet.gluon import nn


class ABNLoss(nn.HybridBlock):
    """CE(attention logits, target) + CE(logits, target), an image: (N,); the map has no loss of its own.

    outputs : what an ABN built with outputs='all' gives
    soft : targets are probabilities (N, classes) (label smoothing, mixup) instead of labels (N,)
    """

    def __init__(self, soft=False, **kwargs):
        super().__init__(**kwargs)
        self.cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=not soft)

    def hybrid_forward(self, F, outputs, target):
        attention_logits, logits, _ = outputs
        return self.cross_entropy(attention_logits, target) + self.cross_entropy(logits, target)


class PyramidLoss(nn.HybridBlock):
    """CE(logits, target) + beta * interaction + gamma * diversity, an image or a clip: (N,).

    outputs : what a network with head='pyramid' gives with outputs='all'
    beta, gamma : the paper does not say; these keep both terms small beside the cross-entropy of the first epochs
    """

    def __init__(self, beta=0.01, gamma=0.001, soft=False, **kwargs):
        super().__init__(**kwargs)
        self.cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=not soft)
        self.beta, self.gamma = beta, gamma

    def hybrid_forward(self, F, outputs, target):
        logits, _, interaction, diversity = outputs
        return self.cross_entropy(logits, target) + self.beta * interaction + self.gamma * diversity


class TrainedOutputs(nn.HybridBlock):
    """x -> the tuple of those logits of `net` that each get a cross-entropy; the parameters are the network's own."""

    def __init__(self, net, **kwargs):
        super().__init__(**kwargs)
        self.net = net

    def hybrid_forward(self, F, x):
        return self.net.give(x, self.net.trained)


def for_training(net, **flags):
    """What to call while training `net`, hybridized with `flags` if there are any; evaluation goes on with `net`."""
    if getattr(net, "trained", ("logits",)) == ("logits",):
        return net
    view = TrainedOutputs(net)
    if flags:
        view.hybridize(**flags)
    return view
