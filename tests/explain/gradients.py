"""One small network a family (`small`), and the class gradients and maps of all its stages.

python -m tests.explain.gradients FILE.npz    # to compare a process with oneDNN and one without
"""

from __future__ import annotations

import sys

import mxnet as mx
import numpy as np

from gluon_attn import explain
from gluon_attn.explain.graph import SinglePlace
from tests.helpers import build, images

TARGET = [1, 0]
# name: (arguments, side of the input)
FAMILIES = {
    "resnet18": (dict(layers=(1, 1, 1, 1), widths=(8, 8, 12, 16), stem_widths=(8,)), 64),
    "resnet50d": (dict(layers=(1, 1, 1, 1), widths=(8, 8, 12, 16), stem_widths=(4, 4, 8)), 64),
    "lip_resnet50": (dict(layers=(1, 1, 1, 1), widths=(8, 8, 12, 16), stem_widths=(8,)), 64),
    "bam_resnet18": (dict(layers=(1, 1, 1, 1), widths=(8, 8, 12, 16), stem_widths=(8,), reduction=4), 64),
    "cifar_nonlocal_resnet20": (dict(layers=(1, 1, 1)), 32),
    "cifar_cbam_resnet20": (dict(layers=(1, 1, 1), reduction=4), 32),
    "cifar_abn_resnet20": (dict(layers=(1, 1, 1)), 32),
    "cifar_iaff_preresnet32_w4": (dict(layers=(1, 1, 1), widths=(8, 12, 16), stem_widths=(8,)), 32),
    "cifar_sk_resnext38_32x4d": (dict(layers=(1, 1, 1), widths=(16, 16, 16), groups=2, group_width=8), 32),
    "cifar_wrn28_10": (dict(layers=(1, 1, 1), widths=(8, 12, 16), stem_widths=(8,)), 32),
    "cifar_resnet50basic": (dict(layers=(1, 1, 1), widths=(8, 12, 16), stem_widths=(8,)), 32),
    "cifar_densenet100_k12": (dict(layers=(2, 1, 2), growth=4, stem_width=8), 32),
    "cifar_mobilenet": (dict(widths=((8, 12), (16,)), stem_width=8), 32),
    "cifar_ltpa_vgg": (dict(width=8), 32),
    "cifar_pyramid_resnet20": (dict(layers=(1, 1, 1), sampling="max"), 32),
    "fullface_gaze": (dict(widths=(8, 8, 12, 8, 8), hidden=64, image_size=128, dropout=0.0), 128),
}


def small(name, dtype="float32"):
    """The family's small network with random parameters, and images for it."""
    arch, side = FAMILIES[name]
    net = build(name, classes=2, **arch)
    for parameter in net.collect_params(".*weight").values():  # or deep ones without a shortcut have hardly a gradient
        parameter.set_data(4 * parameter.data())
    net.cast(dtype)
    return net, mx.nd.array(images(2, 3, side, side), dtype=dtype)


def gradients(name, dtype="float32"):
    """{stage: (features, gradient, Grad-CAM map)} of a small network."""
    net, x = small(name, dtype)
    found = {}
    for stage in net.features_at(mx.sym.var("data")):
        try:
            found[stage] = (*explain.class_gradient(net, x, TARGET, stage), explain.gradcam(net, x, TARGET, stage))
        except SinglePlace:
            assert name == "cifar_ltpa_vgg" and stage == "stage4"
    return found


def main(path):
    arrays = {}
    for name in FAMILIES:
        for stage, values in gradients(name).items():
            arrays.update({f"{name}/{stage}/{kind}": v for kind, v in zip(("features", "gradient", "map"), values)})
    np.savez(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
