"""The plain formulation, the peer of every speed here: GluonCV's own network, or the blocks as in a textbook."""

from __future__ import annotations

import gluon_attn
from gluon_attn import cpu
from gluon_attn.attention.aff import AFF, IAFF
from gluon_attn.layers import GlobalAvgPool


class TextbookAFF(AFF):
    """2 (x w + y (1 - w)), w = sigmoid(context(x + y))."""

    def hybrid_forward(self, F, x, y):
        w = F.sigmoid(self.context(x + y))
        return 2 * x * w + 2 * y * (1 - w)


class TextbookIAFF(IAFF):
    """x w2 + y (1 - w2), w2 = sigmoid(second(x w + y (1 - w))), w = sigmoid(first(x + y))."""

    def hybrid_forward(self, F, x, y):
        w = F.sigmoid(self.first(x + y))
        w = F.sigmoid(self.second(x * w + y * (1 - w)))
        return x * w + y * (1 - w)


class TextbookPool(GlobalAvgPool):
    """GlobalAvgPool2D."""

    def hybrid_forward(self, F, x):
        return F.Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg")


TEXTBOOK = {AFF: TextbookAFF, IAFF: TextbookIAFF, GlobalAvgPool: TextbookPool}
GLUONCV = {"resnext50_32x4d", "resnet50_v1b"}


def plain_network(name):
    """GluonCV's network where it has one, else ours in textbook blocks; to be traced within `plain_words()`."""
    if name in GLUONCV:
        from gluoncv.model_zoo import get_model

        return get_model(name)
    return gluon_attn.get_model(name).apply(_as_in_a_textbook)


def _as_in_a_textbook(block):
    block.__class__ = TEXTBOOK.get(type(block), type(block))


plain_words = cpu.inference_graphs
