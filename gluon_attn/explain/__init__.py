"""What a network looks at: class activation maps, the attention's own maps, occlusion; pictures and scores of them.

>>> maps = explain.gradcam(net, x)             # (N, H, W) in [0, 1], at input size
>>> weights = explain.attention_maps(net, x)   # {'stages.2.0.gate': AttentionMap, ...}
"""

from __future__ import annotations

from gluon_attn.explain.cam import class_gradient, gradcam, gradcam_pp, scorecam
from gluon_attn.explain.graph import differentiable
from gluon_attn.explain.maps import AttentionMap, attention_maps
from gluon_attn.explain.methods import METHODS, View, attention, look
from gluon_attn.explain.occlusion import occlusion

__all__ = [
    "METHODS",
    "AttentionMap",
    "View",
    "attention",
    "attention_maps",
    "class_gradient",
    "differentiable",
    "gradcam",
    "gradcam_pp",
    "look",
    "occlusion",
    "scorecam",
]
