"""Semantic segmentation on the backbones of the zoo: logits (N, classes, H, W) of every pixel.

============  ==========================================  ==================================================
method        backbone                                    head
============  ==========================================  ==================================================
dilated       dilated, `output_stride`                    3x3, BN, ReLU, 1x1: DANet's without its attention
danet         the same                                    position and channel attention, three outputs
fcn           strided                                     a skip connection a stage, added
aff_fcn       strided                                     the same, fused by AFF
iaff_fcn      strided                                     the same, fused by iAFF
============  ==========================================  ==================================================

>>> net = segmentation.create("danet", "resnet50", classes=21, output_stride=8, multi_grid=(1, 2, 4))

`net.stem` and `net.stages` are the backbone's, under the names of its own parameter file.
"""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn import zoo
from gluon_attn.attention import create_fuse
from gluon_attn.attention.danet import DualAttention
from gluon_attn.complexity import check_size
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import batch_norm, conv, relu, sequence

DROPOUT = 0.1  # of whole channels, before every 1x1 that gives logits


class Segmenter(nn.HybridBlock):
    """stem -> stages -> logits of every pixel; subclasses give `scores`, maps of logits of any size.

    gives : names of what `outputs='all'` gives; the first is the prediction, all of them are trained.
    """

    gives = ("logits",)

    def __init__(self, backbone, outputs="logits", **kwargs):
        super().__init__(**kwargs)
        if outputs not in ("logits", "all"):
            raise unknown("outputs", outputs, ("logits", "all"))
        self.stem, self.stages, self.outputs = backbone.stem, backbone.stages, outputs

    def hybrid_forward(self, F, x):
        features = [self.stem(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        maps = self.scores(F, features[1:])
        maps = maps if self.outputs == "all" else maps[:1]
        full = tuple(F.contrib.BilinearResize2D(y, like=x, mode="like") for y in maps)
        return full if self.outputs == "all" else full[0]


def classifier(channels, classes):
    return sequence(nn.Dropout(DROPOUT, axes=(2, 3)), conv(channels, classes, bias=True))


class Dilated(Segmenter):
    """One map of logits from the last stage: 3x3 to a quarter of the channels, BN, ReLU, 1x1."""

    def __init__(self, backbone, channels, classes, **kwargs):
        super().__init__(backbone, **kwargs)
        inner = channels[-1] // 4
        self.reduce = sequence(conv(channels[-1], inner, 3), batch_norm(inner), relu())
        self.classify = classifier(inner, classes)

    def scores(self, F, features):
        return (self.classify(self.reduce(features[-1])),)


class DANet(Segmenter):
    """Three maps of logits from the last stage: of position + channel features, and of each alone (Fu et al., 2019).

    GluonCV's head leaves out the dropout of the authors' code and fixes the width at 512; this one has both.
    """

    gives = ("logits", "position_logits", "channel_logits")

    def __init__(self, backbone, channels, classes, channel_form="max_minus", **kwargs):
        super().__init__(backbone, **kwargs)
        inner = channels[-1] // 4
        self.attention = DualAttention(channels[-1], inner, channel_form=channel_form)
        self.classify, self.classify_position, self.classify_channel = (classifier(inner, classes) for _ in range(3))

    def scores(self, F, features):
        position, channel = self.attention(features[-1])
        fused = self.classify(position + channel)
        return fused, self.classify_position(position), self.classify_channel(channel)


class FCN(Segmenter):
    """From the last stage upwards: y = relu(fuse(1x1 of the stage, y enlarged)), then 3x3, BN, ReLU, 1x1.

    fuse : 'add' as in fully convolutional networks (Long et al., CVPR 2015), or 'aff', 'iaff' (arXiv 2009.14082), which
        weigh the fine map against the coarse one at every position.
    """

    def __init__(self, backbone, channels, classes, width=64, fuse="add", reduction=4, **kwargs):
        super().__init__(backbone, **kwargs)
        arguments = {} if fuse == "add" else {"reduction": reduction}
        self.lateral, self.fuse = nn.HybridSequential(), nn.HybridSequential()
        for number, before in enumerate(channels):
            self.lateral.add(sequence(conv(before, width), batch_norm(width)))
            if number:
                self.fuse.add(create_fuse(fuse, width, **arguments))
        self.smooth = sequence(conv(width, width, 3), batch_norm(width), relu())
        self.classify = classifier(width, classes)

    def scores(self, F, features):
        maps = [lateral(x) for lateral, x in zip(self.lateral, features)]
        y = maps.pop()
        for fuse in reversed(list(self.fuse)):
            fine = maps.pop()
            y = F.relu(fuse(fine, F.contrib.BilinearResize2D(y, like=fine, mode="like")))
        return (self.classify(self.smooth(y)),)


METHODS = {
    "dilated": (Dilated, {}),
    "danet": (DANet, {}),
    "fcn": (FCN, dict(fuse="add")),
    "aff_fcn": (FCN, dict(fuse="aff")),
    "iaff_fcn": (FCN, dict(fuse="iaff")),
}


def create(method, backbone, classes, outputs="logits", head=None, input_size=None, **arch):
    """The segmentation network `method` on the zoo's `backbone` (with the arguments `arch`), uninitialised.

    head : arguments of the head: channel_form of DANet, width and reduction of the FCNs
    input_size : side of its images, by default that of the backbone's; a mechanism that is tied to another is refused
    """
    if method not in METHODS:
        raise unknown("segmentation method", method, METHODS)
    cls, arguments = METHODS[method]
    net = zoo.get_model(backbone, classes=1, **arch)
    if net.branch is not None:
        raise GluonAttnError(
            f"{backbone} looks through a branch before its last stage, for which no method has a place."
        )
    channels = stage_channels(net, input_size or zoo.find(backbone).input_size)
    return cls(net, channels, classes, outputs=outputs, **arguments, **(head or {}))


def stage_channels(net, size=224):
    """Output channels of every stage; images of that size are what they are found with."""
    check_size(net, size)
    features = net.features_at(mx.sym.Variable("data"))
    graph = mx.sym.Group([feature for name, feature in features.items() if name != "stem"])
    _, shapes, _ = graph.infer_shape(data=(1, 3, size, size))
    return tuple(shape[1] for shape in shapes)
