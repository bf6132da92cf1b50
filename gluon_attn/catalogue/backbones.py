"""The backbones: a family (module:class) and its arguments, under the names that attention is put before.

Pure data: this module imports no framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Mapping


@dataclass(frozen=True)
class Backbone:
    """How a network is built, and which mechanisms have a place in it.

    slots : those that the family has, where it lacks some; `slot=name` where only one mechanism fits
    d_form : the same network in ResNet-D form, where that has a name of its own: what AFF and iAFF are compared with
    """

    arch: Mapping
    family: str = "gluon_attn.models.resnet:ResNet"
    dataset: str = "imagenet1k"
    paper: str = "arXiv 1512.03385"
    slots: tuple = ()
    d_form: str = ""

    def takes(self, filled: Mapping) -> bool:
        """Whether the family has every slot of {slot: name}, and its block the one that `conv` fills.

        >>> BACKBONES["cifar_vgg"].takes({"head": "ltpa"}), BACKBONES["cifar_vgg"].takes({"head": "abn"})
        (True, False)
        """
        if "conv" in filled and self.arch.get("block", "bottleneck") != "bottleneck":
            return False  # it takes the place of a bottleneck's 3x3
        wanted = ({slot, f"{slot}={name}"} for slot, name in filled.items())
        return not self.slots or all(names.intersection(self.slots) for names in wanted)


_WIDTHS = (64, 128, 256, 512)
_DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
D_FORM = dict(stem="deep", stem_widths=(32, 32, 64), shortcut="avg")
_CIFAR_WIDTHS = (16, 32, 64)


def _imagenet_backbones():
    for depth, (block, layers) in _DEPTHS.items():
        arch = dict(layers=layers, widths=_WIDTHS, block=block)
        yield f"resnet{depth}", Backbone(arch, d_form=f"resnet{depth}d")
        yield f"resnet{depth}d", Backbone({**arch, **D_FORM}, paper="arXiv 1812.01187")
    for depth in (50, 101):
        arch = dict(layers=_DEPTHS[depth][1], widths=_WIDTHS, groups=32, group_width=4)
        yield f"resnext{depth}_32x4d", Backbone(arch, paper="arXiv 1611.05431", d_form=f"resnext{depth}d_32x4d")
        yield f"resnext{depth}d_32x4d", Backbone({**arch, **D_FORM}, paper="arXiv 1611.05431")


def _cifar_backbones():
    stem = dict(stem="cifar", stem_widths=(16,))
    for depth in (20, 32, 56, 110):
        arch = dict(layers=((depth - 2) // 6,) * 3, widths=_CIFAR_WIDTHS, block="basic", **stem)
        yield f"cifar_resnet{depth}", Backbone(arch, dataset="cifar100")
    arch = dict(layers=(18,) * 3, widths=_CIFAR_WIDTHS, **stem)
    yield "cifar_resnet164bn", Backbone(arch, dataset="cifar100")
    arch = dict(layers=(5,) * 3, widths=_WIDTHS[:3], block="preact", stem="preact", shortcut="avg")
    yield "cifar_preresnet32_w4", Backbone(arch, dataset="cifar100", paper="arXiv 1603.05027")
    for depth in (38, 47):
        arch = dict(layers=((depth - 2) // 9,) * 3, widths=_WIDTHS[:3], stem="cifar", shortcut="avg")
        arch.update(groups=32, group_width=4)
        yield f"cifar_resnext{depth}_32x4d", Backbone(arch, dataset="cifar100", paper="arXiv 1611.05431")
    arch = dict(layers=(3,) * 3, widths=_WIDTHS[:3], stem="cifar", groups=8, group_width=64)
    yield "cifar_resnext29_8x64d", Backbone(arch, dataset="cifar100", paper="arXiv 1611.05431")
    arch = dict(layers=(4,) * 3, widths=(160, 320, 640), block="wide", stem="bare", stem_widths=(16,), dropout=0.3)
    yield "cifar_wrn28_10", Backbone(arch, dataset="cifar100", paper="arXiv 1605.07146")
    arch = dict(layers=(8,) * 3, widths=_CIFAR_WIDTHS, block="biased", stem="biased", stem_widths=(16,))
    arch.update(shortcut="biased")
    yield "cifar_resnet50basic", Backbone(arch, dataset="cifar100", paper="arXiv 2111.05684")


def _cifar_backbones_without_residuals():
    common = dict(dataset="cifar100", slots=("gate", "head"))
    dense = dict(family="gluon_attn.models.densenet:DenseNet", paper="arXiv 1608.06993", **common)
    yield "cifar_densenet100_k12", Backbone(dict(layers=(16,) * 3, compression=2), **dense)
    yield "cifar_densenet40_k12", Backbone(dict(layers=(12,) * 3, epsilon=1.1e-5, momentum=0.99), **dense)
    arch = dict(widths=((64, 128, 128, 256, 256), (512,) * 6, (1024,) * 2))
    yield (
        "cifar_mobilenet",
        Backbone(arch, family="gluon_attn.models.mobilenet:MobileNet", paper="arXiv 1704.04861", **common),
    )
    vgg = dict(family="gluon_attn.models.vgg:VGG", dataset="cifar100", paper="arXiv 1409.1556")
    yield "cifar_vgg", Backbone({}, slots=("head=ltpa",), **vgg)


BACKBONES: Dict[str, Backbone] = dict(
    [*_imagenet_backbones(), *_cifar_backbones(), *_cifar_backbones_without_residuals()]
)
BACKBONES["fullface_gaze"] = Backbone(
    {},
    family="gluon_attn.models.gaze:FullFaceGaze",
    dataset="mpiifacegaze",
    paper="arXiv 1611.08860",
    slots=("its own",),
)
