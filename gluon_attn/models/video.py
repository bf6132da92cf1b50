"""Non-local blocks in GluonCV's I3D, for clips (N, 3, frames, H, W) (Wang et al., CVPR 2018)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import _compat
from gluon_attn.attention.non_local import NonLocal
from gluon_attn.catalogue.names import SPECS
from gluon_attn.errors import unknown
from gluon_attn.layers import Conv3D


def nonlocal_i3d(depth=50, classes=400, **how):
    """GluonCV's I3D ResNet (depth 50 or 101) with five non-local blocks in the official places, uninitialised there.

    how : arguments of NonLocal (form, sub_sample, scale, ...)

    GluonCV's own `i3d_nl5_...` has its blocks in these places too, but sub-samples after the convolutions of phi and g,
    and knows the embedded form alone.
    """
    if depth not in (50, 101):
        raise unknown("depth of a non-local I3D", depth, ("50", "101"))
    models = _compat.import_gluoncv().model_zoo
    net = models.get_model(f"i3d_resnet{depth}_v1_kinetics400", nclass=classes, pretrained_base=False)
    for stage, places in SPECS[f"nonlocal_resnet{depth}"].arch["stage_after"].items():
        for place in places:
            # Its bottleneck applies this attribute to what leaves the last ReLU, where there is a block in it.
            net.res_layers[stage - 1][place].nonlocal_block = NonLocal(4 * 64 * 2 ** (stage - 1), dims=3, **how)
    net.apply(_fence)
    return net


def _fence(block):
    """GluonCV's convolutions become ours, which have the same parameters and can be trained on a CPU."""
    if type(block) is nn.Conv3D:
        block.__class__ = Conv3D
