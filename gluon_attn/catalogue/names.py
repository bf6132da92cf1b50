"""The tables behind the names, [cifar_][attention_]backbone: backbones, attentions, variants, and their product.

Pure data: this module imports no framework.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


@dataclass(frozen=True)
class Backbone:
    """A family (module:class), its arguments, and what an attention is given on it."""

    arch: dict
    family: str = "gluon_attn.models.resnet:ResNet"
    dataset: str = "imagenet"
    paper: str = "arXiv 1512.03385"
    # AFF and iAFF are published in ResNet-D form, stages 3 and 4 only; on CIFAR in every stage.
    fusion: dict = field(default_factory=dict)
    # The reduction of MS-CAM, AFF and iAFF (16; 4 in narrow blocks, as published).
    context_reduction: int = 16
    # The slots that the family has, where it lacks some; `slot=name` where only one mechanism fits.
    slots: tuple = ()
    # {attention: arguments that it has on this backbone alone}
    given: dict = field(default_factory=dict)

    def takes(self, attention):
        wanted = ({slot, f"{slot}={name}"} for slot, name in attention.arch.items())
        return not self.slots or all(names.intersection(self.slots) for names in wanted)


@dataclass(frozen=True)
class Attention:
    """The slot's arguments and the paper; `context` marks MS-CAM's relatives, which share one reduction.

    `on` names the backbones where it is not made for all of them, with what it is given there: {backbone: arguments}.
    """

    arch: dict
    paper: str
    context: bool = False
    fuses: bool = False
    on: Optional[dict] = None


@dataclass(frozen=True)
class Spec:
    """One name: how to build it and what it expects."""

    name: str
    family: str
    arch: dict
    dataset: str
    paper: str
    attention: str = ""

    @property
    def label(self):
        """What its paper calls it, where that is another name."""
        return LABELS.get(self.name, "")

    @property
    def classes(self):
        return {"imagenet": 1000, "cifar": 100, "gaze": 2}[self.dataset]

    @property
    def input_size(self):
        return {"imagenet": 224, "cifar": 32, "gaze": 448}[self.dataset]

    @property
    def preprocessing(self):
        """What weights without a record of their own are given: mean and std of RGB in 0..1, size, crop, filter."""
        cifar = self.dataset == "cifar"
        return dict(
            mean=CIFAR_MEAN if cifar else IMAGENET_MEAN,
            std=CIFAR_STD if cifar else IMAGENET_STD,
            input_size=self.input_size,
            crop_pct=0.875 if self.dataset == "imagenet" else 1.0,
            interpolation="bilinear",
        )


_AFF = "arXiv 2009.14082"
_IGNORE = "arXiv 2111.05684"
_ABN = "arXiv 1812.10025"
_CIFAR_RESNETS = ("cifar_resnet20", "cifar_resnet32", "cifar_resnet56", "cifar_resnet110", "cifar_resnet164bn")

# The five places of the official code: every second block of stages 2 and 3, every seventh of ResNet-101's stage 3.
_NONLOCAL = {
    "resnet50": dict(stage_after={2: (1, 3), 3: (1, 3, 5)}),
    "resnet101": dict(stage_after={2: (1, 3), 3: (6, 13, 20)}),
    **dict.fromkeys(_CIFAR_RESNETS, {}),
}

_IMAGENET_MAPS, _CIFAR_MAPS = (56, 28, 14, 7), (32, 16, 8)  # sizes of the stages' maps, for what is tied to them
_WHOLE_MAP = {
    **dict.fromkeys(("resnet50", "resnet101"), dict(map_size=_IMAGENET_MAPS)),
    **dict.fromkeys(_CIFAR_RESNETS, dict(map_size=_CIFAR_MAPS)),
}
_LAST_MAP = {
    **dict.fromkeys(("resnet50", "resnet101"), dict(map_size=_IMAGENET_MAPS[-1])),
    **dict.fromkeys(_CIFAR_RESNETS, dict(map_size=_CIFAR_MAPS[-1])),
}
_AFTER_THE_LAST = {
    **dict.fromkeys(("resnet50", "resnet101"), dict(stage_after={4: (-1,)})),
    **dict.fromkeys(_CIFAR_RESNETS, dict(stage_after={3: (-1,)})),
}
# The paper augments the last three stages, the first of them on maps of half the size.
_AUGMENTED = dict(map_size=_IMAGENET_MAPS, stages=(2, 3, 4), reduce=(1, 2, 1, 1))
_SELECTIVE = ("resnext50_32x4d", "resnext101_32x4d", "cifar_resnext38_32x4d", "cifar_resnext47_32x4d")

ATTENTIONS = {
    "se": Attention(dict(gate="se"), "arXiv 1709.01507"),
    "cbam": Attention(dict(gate="cbam"), "arXiv 1807.06521"),
    "eca": Attention(dict(gate="eca"), "arXiv 1910.03151"),
    "inv_se": Attention(dict(gate="inv_se"), _IGNORE),
    "inv_cbam": Attention(dict(gate="inv_cbam"), _IGNORE),
    "bam": Attention(dict(stage="bam"), "arXiv 1807.06514"),
    "abn": Attention(dict(head="abn"), _ABN),
    "abn_se": Attention(dict(head="abn", gate="se"), _ABN),
    "ltpa": Attention(
        dict(head="ltpa"),
        "arXiv 1804.02391",
        on={"cifar_vgg": dict(project="local"), **dict.fromkeys((*_CIFAR_RESNETS, "cifar_wrn28_10"), {})},
    ),
    "ms_cam": Attention(dict(gate="ms_cam"), _AFF, context=True),
    "aff": Attention(dict(fuse="aff"), _AFF, context=True, fuses=True),
    "iaff": Attention(dict(fuse="iaff"), _AFF, context=True, fuses=True),
    "nonlocal": Attention(dict(stage="nonlocal"), "arXiv 1711.07971", on=_NONLOCAL),
    "danet": Attention(
        dict(head="danet"), "arXiv 1809.02983", on=dict.fromkeys(("resnet50", "resnet101", *_CIFAR_RESNETS), {})
    ),
    "ge": Attention(dict(gate="ge", form="theta_plus"), "arXiv 1810.12348", on=_WHOLE_MAP),
    "ge_minus": Attention(dict(gate="ge", form="theta_minus"), "arXiv 1810.12348"),
    "lip": Attention(
        dict(block="lip", stem="lip", last_gamma=True),
        "arXiv 1908.04156",
        on={"resnet50": {}, "resnet101": {}, "cifar_resnet164bn": dict(stem="cifar")},
    ),
    "spatial_weights": Attention(dict(stage="spatial_weights"), "arXiv 1611.08860", on=_AFTER_THE_LAST),
    "pyramid": Attention(dict(head="pyramid"), "arXiv 1808.01106", on=_LAST_MAP),
    "sk": Attention(dict(conv="sk"), "arXiv 1903.06586", on=dict.fromkeys(_SELECTIVE, {})),
    "aa": Attention(dict(conv="aa"), "arXiv 1904.09925", on=dict.fromkeys(("resnet50", "resnet101"), _AUGMENTED)),
}

_WIDTHS = (64, 128, 256, 512)
_DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
_D_FORM = dict(stem="deep", stem_widths=(32, 32, 64), shortcut="avg")
_AFF_RESNET = dict(_D_FORM, stages=(3, 4))
_AFF_RESNEXT = dict(stem="deep", stem_widths=(64, 64, 128), shortcut=("conv", "avg", "avg", "avg"), stages=(3, 4))
_CIFAR_WIDTHS = (16, 32, 64)


def _imagenet_backbones():
    for depth, (block, layers) in _DEPTHS.items():
        arch = dict(layers=layers, widths=_WIDTHS, block=block)
        yield f"resnet{depth}", Backbone(arch, fusion=_AFF_RESNET)
        yield f"resnet{depth}d", Backbone({**arch, **_D_FORM}, paper="arXiv 1812.01187", fusion=_AFF_RESNET)
    for depth in (50, 101):
        arch = dict(layers=_DEPTHS[depth][1], widths=_WIDTHS, groups=32, group_width=4)
        yield f"resnext{depth}_32x4d", Backbone(arch, paper="arXiv 1611.05431", fusion=_AFF_RESNEXT)
        yield f"resnext{depth}d_32x4d", Backbone({**arch, **_D_FORM}, paper="arXiv 1611.05431", fusion=_AFF_RESNEXT)


def _cifar_backbones():
    stem = dict(stem="cifar", stem_widths=(16,))
    for depth in (20, 32, 56, 110):
        arch = dict(layers=((depth - 2) // 6,) * 3, widths=_CIFAR_WIDTHS, block="basic", **stem)
        yield f"cifar_resnet{depth}", Backbone(arch, dataset="cifar", context_reduction=4)
    arch = dict(layers=(18,) * 3, widths=_CIFAR_WIDTHS, **stem)
    yield "cifar_resnet164bn", Backbone(arch, dataset="cifar")
    arch = dict(layers=(5,) * 3, widths=_WIDTHS[:3], block="preact", stem="preact", shortcut="avg")
    yield "cifar_preresnet32_w4", Backbone(arch, dataset="cifar", paper="arXiv 1603.05027", context_reduction=4)
    for depth in (38, 47):
        arch = dict(layers=((depth - 2) // 9,) * 3, widths=_WIDTHS[:3], stem="cifar", shortcut="avg")
        arch.update(groups=32, group_width=4)
        yield f"cifar_resnext{depth}_32x4d", Backbone(arch, dataset="cifar", paper="arXiv 1611.05431")
    arch = dict(layers=(3,) * 3, widths=_WIDTHS[:3], stem="cifar", groups=8, group_width=64)
    # ABN's code, and so its weights, leave out one BatchNorm here; its parameters are there.
    given = dict(abn=dict(branch_norm=False))
    yield "cifar_resnext29_8x64d", Backbone(arch, dataset="cifar", paper="arXiv 1611.05431", given=given)
    arch = dict(layers=(4,) * 3, widths=(160, 320, 640), block="wide", stem="bare", stem_widths=(16,), dropout=0.3)
    yield "cifar_wrn28_10", Backbone(arch, dataset="cifar", paper="arXiv 1605.07146")
    arch = dict(layers=(8,) * 3, widths=_CIFAR_WIDTHS, block="biased", stem="biased", stem_widths=(16,))
    arch.update(shortcut="biased")
    yield "cifar_resnet50basic", Backbone(arch, dataset="cifar", paper=_IGNORE, context_reduction=4)


def _cifar_backbones_without_residuals():
    common = dict(dataset="cifar", slots=("gate", "head"))
    dense = dict(family="gluon_attn.models.densenet:DenseNet", paper="arXiv 1608.06993", **common)
    yield "cifar_densenet100_k12", Backbone(dict(layers=(16,) * 3, compression=2), **dense)
    yield "cifar_densenet40_k12", Backbone(dict(layers=(12,) * 3, epsilon=1.1e-5, momentum=0.99), **dense)
    arch = dict(widths=((64, 128, 128, 256, 256), (512,) * 6, (1024,) * 2))
    yield (
        "cifar_mobilenet",
        Backbone(arch, family="gluon_attn.models.mobilenet:MobileNet", paper="arXiv 1704.04861", **common),
    )
    vgg = dict(family="gluon_attn.models.vgg:VGG", dataset="cifar", paper="arXiv 1409.1556")
    yield "cifar_vgg", Backbone({}, slots=("head=ltpa",), **vgg)


BACKBONES = dict([*_imagenet_backbones(), *_cifar_backbones(), *_cifar_backbones_without_residuals()])
BACKBONES["fullface_gaze"] = Backbone(
    {}, family="gluon_attn.models.gaze:FullFaceGaze", dataset="gaze", paper="arXiv 1611.08860", slots=("its own",)
)

# The form a mechanism has in one paper's code, under `variant=`: tag -> attention, or name -> arguments.
VARIANTS = {
    "inverse_attention": {
        "": {},
        **dict.fromkeys(("se", "inv_se"), dict(reduction=8)),
        **dict.fromkeys(("cbam", "inv_cbam"), dict(reduction=8, spatial_bn=False, spatial_order="mean_max")),
    },
    # The authors' SENet code is an older ABN, whose map has no parameters.
    "abn": {"abn": {}, "abn_se": dict(attention_map="log_sum")},
    # The kernels of ECA's released models, which are not those of its formula.
    "ecanet": {"eca_resnet50": dict(kernel=(3, 5, 5, 7)), "eca_resnet101": dict(kernel=(3, 3, 5, 7))},
}

# What the papers' own tables call a network, where our name says another depth, width or form.
LABELS = {
    "cifar_aff_preresnet32_w4": "AFF-ResNet-32",
    "cifar_aff_resnext38_32x4d": "AFF-ResNeXt-38-32x4d",
    "cifar_aff_resnext47_32x4d": "AFF-ResNeXt-47-32x4d",
    "aff_resnet50": "AFF-ResNet-50",
    "iaff_resnet50": "iAFF-ResNet-50",
    "aff_resnext50_32x4d": "AFF-ResNeXt-50-32x4d",
    "iaff_resnext50_32x4d": "iAFF-ResNeXt-50-32x4d",
    "cifar_abn_resnet164bn": "ResNet110",  # made of bottlenecks where depth >= 44
    "cifar_abn_densenet100_k12": "DenseNet",
    "cifar_abn_wrn28_10": "Wide ResNet",
    "cifar_abn_resnext29_8x64d": "ResNeXt",
    "abn_resnet50": "ResNet50",
    "abn_resnet101": "ResNet101",
    "abn_resnet152": "ResNet152",
    "cifar_resnet50basic": "ResNet50",  # 6n + 2 basic blocks, n = 8
    "cifar_ltpa_vgg": "(VGG-att3)-concat-pc",
    "sk_resnext50_32x4d": "SKNet-50",
    "sk_resnext101_32x4d": "SKNet-101",
}


def _product():
    for name, backbone in BACKBONES.items():
        yield Spec(name, backbone.family, backbone.arch, backbone.dataset, backbone.paper)
        for label, attention in ATTENTIONS.items():
            if not backbone.takes(attention) or (attention.on is not None and name not in attention.on):
                continue
            arch = {**backbone.arch, **attention.arch, **(attention.on or {}).get(name, {})}
            arch.update(backbone.given.get(label, {}))
            if attention.context:
                arch["reduction"] = backbone.context_reduction
            if attention.fuses:
                arch.update(backbone.fusion)
            yield Spec(_join(label, name), backbone.family, arch, backbone.dataset, attention.paper, label)


def _join(attention, backbone):
    prefix = "cifar_" if backbone.startswith("cifar_") else ""
    return f"{prefix}{attention}_{backbone[len(prefix) :]}"


SPECS = {spec.name: spec for spec in _product()}
