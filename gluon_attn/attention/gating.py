r"""Gating functions: maps from logits z to weights, given to any gate (`gating=`, `alpha=`).

Learning to ignore (Laakom et al., BMVC 2021, arXiv 2111.05684) is nothing but such a map: the network learns what
to *suppress*. With s = sigmoid:

============  =======================  ==================  ====================================
name          weight                   range               remarks
============  =======================  ==================  ====================================
sigmoid       alpha * s(z)             (0, alpha)          the usual gate
complement    1 - alpha * s(z)         (1 - alpha, 1)      the paper's first variant
reciprocal    s(1 / (s(z) + 1e-6))     (0.731, 1)          its second ("invsigmoid")
negated       s(-z)                    (0, 1)              its third ("msigmoid")
============  =======================  ==================  ====================================

1 - s(z) equals s(-z), so `complement` with alpha 1 and `negated` are one function, and either is SE or CBAM with the
sign of the last layer turned: only alpha < 1 and `reciprocal` are really different gates.
"""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.attention.announce import announce
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import sigmoid

# s(1/s) rounds to 1 in float64 well before s falls to 1/64, so the clip changes no value; it keeps 1/s and the 1/s^2
# of the gradient inside float16, where the 1e-6 alone would overflow to inf * 0.
_SMALLEST = 1.0 / 64
_EPSILON = 1e-6


def _sigmoid(F, z, alpha):
    weight = sigmoid(F, z)
    return weight if alpha == 1 else alpha * weight


def _complement(F, z, alpha):
    return 1 - _sigmoid(F, z, alpha)


def _reciprocal(F, z, alpha):
    return sigmoid(F, 1 / (F.clip(sigmoid(F, z), _SMALLEST, 1) + _EPSILON))


def _negated(F, z, alpha):
    return sigmoid(F, -z)


GATINGS = {"sigmoid": _sigmoid, "complement": _complement, "reciprocal": _reciprocal, "negated": _negated}
_TAKES_ALPHA = ("sigmoid", "complement")


class Gating(nn.HybridBlock):
    """logits -> weights of the same shape, by the gating function `name`.

    alpha scales the sigmoid of `sigmoid` and `complement`, 0 < alpha <= 1; the other two have no alpha.
    """

    def __init__(self, name="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        if name not in GATINGS:
            raise unknown("gating", name, GATINGS)
        if not 0 < alpha <= 1:
            why = "the weights would be constant" if alpha == 0 else "the weights would leave [0, 1]"
            raise GluonAttnError(f"alpha={alpha} is outside (0, 1]: {why}.")
        if alpha != 1 and name not in _TAKES_ALPHA:
            raise GluonAttnError(f"alpha={alpha} has no meaning for gating={name!r}: only for {_TAKES_ALPHA}.")
        self.name_of_gating, self.alpha = name, alpha

    def hybrid_forward(self, F, z):
        weight = GATINGS[self.name_of_gating](F, z, self.alpha)
        return announce(self, weight, inverse=self.name_of_gating != "sigmoid")

    def __repr__(self):
        return f"Gating({self.name_of_gating}, alpha={self.alpha})"
