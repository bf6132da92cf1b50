"""Every mechanism of attention is one record here; tables, names, documents and searches derive from it.

Pure data: this module imports no framework. A new mechanism is one file in gluon_attn/attention/ and one record.
"""

from __future__ import annotations

from typing import Dict

from gluon_attn.catalogue.backbones import D_FORM
from gluon_attn.catalogue.kinds import COUNT, NOT_NEGATIVE, POSITIVE, SWITCH, WORD
from gluon_attn.catalogue.mechanism import Mechanism

_AFF = "arXiv 2009.14082"
_IGNORE = "arXiv 2111.05684"
_ABN = "arXiv 1812.10025"
_GE = "arXiv 1810.12348"
_IN = "gluon_attn.attention."
_NOWHERE = {}  # a word for its slot, and no network's name

_RESNETS = ("resnet50", "resnet101")
_OF_BASIC_BLOCKS = "cifar_resnet[0-9]*[0-9]"  # of any depth; 164bn and 50basic have other blocks
_CIFAR_RESNETS = (_OF_BASIC_BLOCKS, "cifar_resnet164bn")
_NARROW = (_OF_BASIC_BLOCKS, "cifar_preresnet32_w4", "cifar_resnet50basic")
_SELECTIVE = ("resnext50_32x4d", "resnext101_32x4d", "cifar_resnext38_32x4d", "cifar_resnext47_32x4d")

# The reduction of MS-CAM, AFF and iAFF: 16, and 4 in narrow blocks, as published.
_CONTEXT = {"*": dict(reduction=16), _NARROW: dict(reduction=4)}
# AFF and iAFF are published in ResNet-D form, stages 3 and 4 only; on CIFAR in every stage.
_FUSION = {
    **_CONTEXT,
    "resnet*": dict(D_FORM, stages=(3, 4)),
    "resnext*": dict(stem="deep", stem_widths=(64, 64, 128), shortcut=("conv", "avg", "avg", "avg"), stages=(3, 4)),
}
_MAPS, _CIFAR_MAPS = (56, 28, 14, 7), (32, 16, 8)  # sizes of the stages' maps, for what is tied to them
_TO_IGNORE = dict(reduction=8, spatial_bn=False, spatial_order="mean_max")

_RECORDS = (
    Mechanism("identity", "gate", _IN + "plain:Identity", formula="x", on=_NOWHERE),
    Mechanism("add", "fuse", _IN + "plain:Add", formula="x + y", on=_NOWHERE),
    Mechanism("plain", "conv", _IN + "plain:plain_conv", formula="conv(x)", on=_NOWHERE),
    Mechanism("classifier", "head", "gluon_attn.models.heads:classifier", formula="W gap(x)", on=_NOWHERE),
    Mechanism(
        "se",
        "gate",
        _IN + "se:SE",
        "arXiv 1709.01507",
        "x s(W2 relu(W1 gap(x)))",
        variants={"inverse_attention": {"*": dict(reduction=8)}},
        words=dict(round_to=COUNT.or_none()),
    ),
    Mechanism(
        "cbam",
        "gate",
        _IN + "cbam:CBAM",
        "arXiv 1807.06521",
        "channel gate (gap and gmp, one MLP), then spatial gate (7x7 of max and mean)",
        variants={"inverse_attention": {"*": _TO_IGNORE}},
        words=dict(spatial_bn=SWITCH, spatial_order=WORD),
    ),
    Mechanism(
        "eca",
        "gate",
        _IN + "eca:ECA",
        "arXiv 1910.03151",
        "x s(conv1d over the channels of gap(x))",
        # The kernels of the released models, which are not those of the formula.
        variants={
            "ecanet": {
                "resnet18": dict(kernel=(3, 5, 7, 7)),
                "resnet50": dict(kernel=(3, 5, 5, 7)),
                **dict.fromkeys(("resnet34", "resnet101", "resnet152"), dict(kernel=(3, 3, 5, 7))),
            }
        },
    ),
    Mechanism(
        "inv_se",
        "gate",
        _IN + "se:SE",
        _IGNORE,
        "x (1 - alpha s(z)), z of SE; also reciprocal, negated",
        arguments=dict(gating="complement"),
        variants={"inverse_attention": {"*": dict(reduction=8)}},
    ),
    Mechanism(
        "inv_cbam",
        "gate",
        _IN + "cbam:CBAM",
        _IGNORE,
        "CBAM with the inverse gating in both gates",
        arguments=dict(gating="complement"),
        variants={"inverse_attention": {"*": _TO_IGNORE}},
    ),
    Mechanism(
        "coordatt",
        "gate",
        _IN + "coordatt:CoordAtt",
        "arXiv 2103.02907",
        "x s(W_h f_rows) s(W_w f_columns), f = hswish(bn(W [means of rows; of columns]))",
    ),
    Mechanism(
        "gc", "gate", _IN + "gc:GlobalContext", "arXiv 1904.11492", "x + W2 relu(LN(W1 sum_j softmax(w . x)_j x_j))"
    ),
    Mechanism(
        "simam",
        "gate",
        _IN + "simam:SimAM",
        "ICML 2021 (PMLR 139, yang21o)",
        "x s((x - mu)^2 / (4 (v + lambda)) + 1/2), no parameters",
        words=dict(energy_lambda=POSITIVE),
    ),
    Mechanism(
        "triplet",
        "gate",
        _IN + "triplet:TripletAttention",
        "arXiv 2010.03045",
        "mean of x s(bn(7x7 of max and mean)) over height, width and channels, the pooled axis in front",
        words=dict(spatial=SWITCH),
    ),
    Mechanism(
        "bam",
        "stage",
        _IN + "bam:BAM",
        "arXiv 1807.06514",
        "x (1 + s(channel(x) spatial(x)))",
        words=dict(dilation=COUNT),
    ),
    Mechanism(
        "abn",
        "head",
        "gluon_attn.models.heads:abn",
        _ABN,
        "x (1 + M), M = s(map of the class evidence); two losses",
        # ABN's code, and so its weights, leave out one BatchNorm there; its parameters exist.
        on={"*": {}, "cifar_resnext29_8x64d": dict(branch_norm=False)},
        variants={"abn": {"*": {}}},
        words=dict(attention_map=WORD, branch_norm=SWITCH),
    ),
    Mechanism(
        "abn_se",
        "head",
        "",
        _ABN,
        "ABN with SE in the blocks",
        on={"*": dict(head="abn", gate="se")},
        # The authors' SENet code is an older ABN, whose map has no parameters.
        variants={"abn": {"*": dict(attention_map="log_sum")}},
    ),
    Mechanism(
        "ltpa",
        "head",
        "gluon_attn.models.heads:ltpa",
        "arXiv 1804.02391",
        "sum of l_i softmax(l_i . g) for three depths, concatenated",
        on={"cifar_vgg": dict(project="local"), (*_CIFAR_RESNETS, "cifar_wrn28_10"): {}},
        words=dict(compatibility=WORD, combine=WORD, project=WORD),
    ),
    Mechanism("ms_cam", "gate", _IN + "aff:MSCAM", _AFF, "x s(L(x) + G(x))", on=_CONTEXT),
    Mechanism("aff", "fuse", _IN + "aff:AFF", _AFF, "2 (w x + (1 - w) y), w = s(L(x + y) + G(x + y))", on=_FUSION),
    Mechanism("iaff", "fuse", _IN + "aff:IAFF", _AFF, "w2 x + (1 - w2) y, w2 from an AFF of x and y", on=_FUSION),
    Mechanism(
        "nonlocal",
        "stage",
        _IN + "non_local:NonLocal",
        "arXiv 1711.07971",
        "x_i + bn(W sum_j softmax(theta_i . phi_j) g_j)",
        # The five places of the official code: every second block of stages 2 and 3, every seventh of ResNet-101's 3.
        on={
            "resnet50": dict(stage_after={2: (1, 3), 3: (1, 3, 5)}),
            "resnet101": dict(stage_after={2: (1, 3), 3: (6, 13, 20)}),
            _CIFAR_RESNETS: {},
        },
        words=dict(inner=COUNT.or_none(), sub_sample=SWITCH, scale=SWITCH, dims=COUNT),
    ),
    Mechanism(
        "danet",
        "head",
        "gluon_attn.models.heads:danet",
        "arXiv 1809.02983",
        "position attention + channel attention, each a softmax of products",
        on={(*_RESNETS, *_CIFAR_RESNETS): {}},
    ),
    Mechanism("position", "stage", _IN + "danet:PositionAttention", "arXiv 1809.02983", "DANet's, alone", on=_NOWHERE),
    Mechanism("channel", "stage", _IN + "danet:ChannelAttention", "arXiv 1809.02983", "DANet's, alone", on=_NOWHERE),
    Mechanism(
        "ge",
        "gate",
        _IN + "ge:GatherExcite",
        _GE,
        "x s(W2 relu(W1 relu(bn(whole-map depthwise conv)))); without map_size x s(gap(x))",
        on={
            (*_RESNETS, *_CIFAR_RESNETS): dict(form="theta_plus"),
            _RESNETS: dict(map_size=_MAPS),
            _CIFAR_RESNETS: dict(map_size=_CIFAR_MAPS),
        },
    ),
    Mechanism(
        "ge_minus",
        "gate",
        _IN + "ge:GatherExcite",
        _GE,
        "x s(gap(x)), no parameters",
        arguments=dict(form="theta_minus"),
    ),
    Mechanism(
        "lip",
        "block",
        "gluon_attn.models.lip:LIP",
        "arXiv 1908.04156",
        "pools avg(x e^l) / avg(e^l), l = 12 s(IN(conv))",
        on={
            (*_RESNETS, "cifar_resnet164bn"): dict(stem="lip", last_gamma=True),
            "cifar_resnet164bn": dict(stem="cifar"),
        },
    ),
    Mechanism(
        "spatial_weights",
        "stage",
        _IN + "spatial_weights:SpatialWeights",
        "arXiv 1611.08860",
        "x relu(w3 relu(w2 relu(w1 x))), its gradient / channels",
        on={_RESNETS: dict(stage_after={4: (-1,)}), _CIFAR_RESNETS: dict(stage_after={3: (-1,)})},
        words=dict(scale_gradient=SWITCH),
    ),
    Mechanism(
        "pyramid",
        "head",
        "gluon_attn.models.heads:pyramid",
        "arXiv 1808.01106",
        "A X, A = L2 rows of softmax(F(Y_1, ..., Y_N))",
        on={_RESNETS: dict(map_size=_MAPS[-1]), _CIFAR_RESNETS: dict(map_size=_CIFAR_MAPS[-1])},
        words=dict(frames=COUNT, fusion=WORD, sampling=WORD, interaction=NOT_NEGATIVE, diversity=NOT_NEGATIVE),
    ),
    Mechanism(
        "sk",
        "conv",
        _IN + "sk:SelectiveKernel",
        "arXiv 1903.06586",
        "sum_m softmax_m(V z) conv_m(x)",
        on={_SELECTIVE: {}},
        words=dict(branches=COUNT),
    ),
    Mechanism(
        "aa",
        "conv",
        _IN + "aa:AugmentedConv",
        "arXiv 1904.09925",
        "concat(conv(x), W multi-head attention(x)) with relative positions",
        # The paper augments the last three stages, the first of them on maps of half the size.
        on={_RESNETS: dict(map_size=_MAPS, stages=(2, 3, 4), reduce=(1, 2, 1, 1))},
        words=dict(heads=COUNT, kappa=POSITIVE, upsilon=POSITIVE, reduce=COUNT),
    ),
)

MECHANISMS: Dict[str, Mechanism] = {record.name: record for record in _RECORDS}
