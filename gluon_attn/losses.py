"""What a network is trained with: a cross-entropy of each of the logits that it names in `trained`, and its `losses`.

That is one cross-entropy for most, the attention logits' and the perception logits' for ABN; pyramid attention has two
losses of its own beside one. A loop needs no cases for it:

>>> forward = for_training(net)                # the network itself where there is one kind of logits and nothing else
>>> logits, own = parts(net, forward(images))  # what each gets a cross-entropy, and the sum of its own losses, or None
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from mxnet import gluon
from mxnet.gluon import nn

if TYPE_CHECKING:
    import mxnet as mx

# Weights of pyramid attention's losses. The paper does not say; these keep both small beside the cross-entropy of the
# first epochs.
INTERACTION, DIVERSITY = 0.01, 0.001


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
    beta, gamma : weights of the two losses
    """

    def __init__(self, beta=INTERACTION, gamma=DIVERSITY, soft=False, **kwargs):
        super().__init__(**kwargs)
        self.cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=not soft)
        self.beta, self.gamma = beta, gamma

    def hybrid_forward(self, F, outputs, target):
        logits, _, interaction, diversity = outputs
        return self.cross_entropy(logits, target) + self.beta * interaction + self.gamma * diversity


class TrainedOutputs(nn.HybridBlock):
    """x -> the tuple of what `net` is trained with, logits, then losses; the parameters are the network's own."""

    def __init__(self, net, **kwargs):
        super().__init__(**kwargs)
        self.net = net

    def hybrid_forward(self, F, x):
        return self.net.give(x, (*self.net.trained, *self.net.losses))


def for_training(net: mx.gluon.HybridBlock, **flags: Any) -> Callable:
    """What to call while training `net`, hybridized with `flags` if there are any; evaluation goes on with `net`.

    >>> forward = for_training(net)
    >>> logits, losses = parts(net, forward(x))
    """
    if getattr(net, "trained", ("logits",)) == ("logits",) and not getattr(net, "losses", {}):
        return net
    view = TrainedOutputs(net)
    if flags:
        view.hybridize(**flags)
    return view


def parts(net: mx.gluon.HybridBlock, outputs: Any) -> tuple:
    """(the logits that each get a cross-entropy, the weighted sum of the network's own losses over images, or None).

    outputs : what `for_training(net)` gives

    >>> logits, own = parts(net, for_training(net)(x))
    """
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    weights = list(getattr(net, "losses", {}).values())
    count = len(outputs) - len(weights)
    own = [weight * value.astype("float32").sum() for weight, value in zip(weights, outputs[count:])]
    return outputs[:count], sum(own[1:], own[0]) if own else None
