"""Gather-Excite (Hu et al., NeurIPS 2018, arXiv 1810.12348)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.attention.positions import refuse_another_size
from gluon_attn.attention.se import squeezed
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import GlobalAvgPool, batch_norm, conv, relu, sequence

FORMS = ("theta_minus", "theta", "theta_plus")


class GatherExcite(nn.HybridBlock):
    r"""x * gating(excite(gather(x))), gather over the whole map; at the end of the residual branch.

    ===========  =======================================================  ==========================
    form         gather                                                   excite
    ===========  =======================================================  ==========================
    theta_minus  mean over the map: no parameters at all                  nothing
    theta        depthwise convolution as large as the map, BN            nothing
    theta_plus   the same, BN, ReLU                                       1x1 C -> C/r, ReLU, 1x1 -> C
    ===========  =======================================================  ==========================

    form : by default theta_plus, as published in the networks, where `map_size` is given, else theta_minus
    map_size : height and width of x, which the two learned forms are tied to: 56, 28, 14, 7 by stage at 224 pixels.
    No biases in the depthwise convolution, biases in the 1x1, r = 16, as in the authors' prototxt files.
    """

    def __init__(self, channels, form=None, map_size=None, reduction=16, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        if form is None:
            form = "theta_minus" if map_size is None else "theta_plus"
        if form not in FORMS:
            raise unknown("form of Gather-Excite", form, FORMS)
        if form != "theta_minus" and map_size is None:
            raise GluonAttnError(
                f"Gather-Excite {form!r} learns a kernel as large as the map: give map_size=, one value a stage "
                "((56, 28, 14, 7) for 224x224), or form='theta_minus', which has no parameters."
            )
        self.form, self.map_size = form, map_size
        self.gather, self.excite = self._gather(channels, form), None
        if form == "theta_plus":
            inner = squeezed(channels, reduction)
            self.excite = sequence(conv(channels, inner, bias=True), relu(), conv(inner, channels, bias=True))
        self.gating = Gating(gating, alpha)

    def _gather(self, channels, form):
        if form == "theta_minus":
            return GlobalAvgPool()
        size = self.map_size
        whole = nn.Conv2D(channels, size, groups=channels, use_bias=False, in_channels=channels)
        return sequence(whole, batch_norm(channels), *([relu()] if form == "theta_plus" else []))

    def hybrid_forward(self, F, x):
        if self.form != "theta_minus":
            refuse_another_size(x, self.map_size, f"Gather-Excite {self.form!r}")
        z = self.gather(x)
        return cpu.broadcast(F, self, "mul", x, self.gating(z if self.excite is None else self.excite(z)))
