"""What every backbone must compute, written a second time in numpy from its parameters by path, `REFERENCES`.

`SE` gates are computed where the parameters have them: tests/models/test_families.py puts them there.
"""

from __future__ import annotations

import functools

import numpy as np

from tests.attention.references.sk import grouped
from tests.attention.references.spatial_weights import spatial_weights
from tests.helpers import batch_norm, conv1x1, conv2d, sigmoid


def relu(x):
    return np.maximum(x, 0)


def pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def conv(x, p, path, stride=1):
    weight, bias = p[path + ".weight"], p.get(path + ".bias")
    y = grouped(x, weight, x.shape[1] // weight.shape[1], padding=weight.shape[2] // 2, stride=stride)
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


def se(x, p, path):
    if f"{path}.mlp.0.weight" not in p:
        return x
    z = conv1x1(relu(conv1x1(x.mean((2, 3), keepdims=True), p, f"{path}.mlp.0")), p, f"{path}.mlp.2")
    return x * sigmoid(z)


def classify(x, p):
    return x.mean((2, 3)) @ p["head.fc.weight"].T + p["head.fc.bias"]


def wide(x, p, layers):
    x = conv(x, p, "stem.0")
    for stage, depth in enumerate(layers):
        for block in range(depth):
            at, stride = f"stages.{stage}.{block}", 2 if block == 0 and stage else 1
            z = relu(batch_norm(x, p, f"{at}.norm.0"))
            y = relu(batch_norm(conv(z, p, f"{at}.body.0", stride), p, f"{at}.body.1"))
            y = se(conv(y, p, f"{at}.body.4"), p, f"{at}.gate")
            x = y + (conv(z, p, f"{at}.shortcut.0", stride) if f"{at}.shortcut.0.weight" in p else x)
    return classify(relu(batch_norm(x, p, "head.norm.0")), p)


def densenet(x, p, layers, eps=1e-5):
    def norm(x, path):
        return relu(batch_norm(x, p, path, eps))

    x = conv(x, p, "stem.0")
    for stage, depth in enumerate(layers):
        for layer in range(depth):
            at = f"stages.{stage}.0.body.{layer}.body"
            y = conv(norm(conv(norm(x, f"{at}.0"), p, f"{at}.2"), f"{at}.3"), p, f"{at}.5")
            x = np.concatenate([x, y], 1)
        x = se(x, p, f"stages.{stage}.0.gate")
        if stage < 2:
            x = pool(conv(norm(x, f"stages.{stage}.1.body.0"), p, f"stages.{stage}.1.body.2"))
            x = se(x, p, f"stages.{stage}.1.gate")
    return classify(norm(x, "head.norm.0"), p)


def mobilenet(x, p, blocks=(2, 1)):
    def relu6(x, path):
        return np.clip(batch_norm(x, p, path, 1e-3), 0, 6)

    x = relu6(conv(x, p, "stem.0"), "stem.1")
    for stage, depth in enumerate(blocks):
        for block in range(depth):
            at, stride = f"stages.{stage}.{block}", 2 if block == 0 and stage else 1
            weight = p[f"{at}.body.0.weight"]
            x = np.concatenate([conv2d(x[:, c : c + 1], weight[c : c + 1], 1, stride) for c in range(x.shape[1])], 1)
            x = relu6(conv(relu6(x, f"{at}.body.1"), p, f"{at}.body.3"), f"{at}.body.4")
            x = se(x, p, f"{at}.gate")
    return classify(x, p)


def keras_resnet(x, p, layers):
    def norm(x, path):
        return batch_norm(x, p, path, 1e-3)

    x = relu(norm(conv(x, p, "stem.0"), "stem.1"))
    for stage, depth in enumerate(layers):
        for block in range(depth):
            at, stride = f"stages.{stage}.{block}", 2 if block == 0 and stage else 1
            y = relu(norm(conv(x, p, f"{at}.body.0", stride), f"{at}.body.1"))
            y = se(norm(conv(y, p, f"{at}.body.3"), f"{at}.body.4"), p, f"{at}.gate")
            x = relu(y + (conv(x, p, f"{at}.shortcut.0", stride) if stride == 2 else x))
    return classify(x, p)


def max_pool(x, padding=1):
    """3x3 windows with stride 2."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    rows, columns = ((x.shape[axis] - 3) // 2 + 1 for axis in (2, 3))
    taps = [x[:, :, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for i in range(3) for j in range(3)]
    return np.maximum.reduce(taps)


def resnet_stem(x, p, kind):
    if kind == "preact":  # a BatchNorm whose gamma is 1, whatever the file says
        ones = np.ones_like(p["stem.0.gamma"])
        return conv(batch_norm(x, {**p, "stem.0.gamma": ones}, "stem.0"), p, "stem.1")
    if kind == "linear":
        return batch_norm(conv(x, p, "stem.0"), p, "stem.1")
    layers = {"cifar": [(0, 1)], "half": [(0, 2)], "imagenet": [(0, 2)], "deep": [(0, 2), (3, 1), (6, 1)]}[kind]
    for number, stride in layers:
        x = relu(batch_norm(conv(x, p, f"stem.{number}", stride), p, f"stem.{number + 1}"))
    return x if kind in ("cifar", "half") else max_pool(x)


def resnet_body(x, p, at, kind, stride):
    if kind == "preact":
        y = conv(relu(batch_norm(x, p, f"{at}.0")), p, f"{at}.2", stride)
        return conv(relu(batch_norm(y, p, f"{at}.3")), p, f"{at}.5")
    if kind == "basic":
        y = relu(batch_norm(conv(x, p, f"{at}.0", stride), p, f"{at}.1"))
        return batch_norm(conv(y, p, f"{at}.3"), p, f"{at}.4")
    y = relu(batch_norm(conv(x, p, f"{at}.0"), p, f"{at}.1"))
    y = relu(batch_norm(conv(y, p, f"{at}.3", stride), p, f"{at}.4"))
    return batch_norm(conv(y, p, f"{at}.6"), p, f"{at}.7")


def resnet(x, p, layers, stem, block, shortcut="conv"):
    x = resnet_stem(x, p, stem)
    for stage, depth in enumerate(layers):
        for number in range(depth):
            at, stride = f"stages.{stage}.{number}", 2 if number == 0 and stage else 1
            y = se(resnet_body(x, p, f"{at}.body", block, stride), p, f"{at}.gate")
            if f"{at}.shortcut.0.weight" in p and shortcut == "conv":
                x = batch_norm(conv(x, p, f"{at}.shortcut.0", stride), p, f"{at}.shortcut.1")
            elif f"{at}.shortcut.1.weight" in p and shortcut == "avg":
                x = conv(pool(x) if stride == 2 else x, p, f"{at}.shortcut.1")
                x = x if block == "preact" else batch_norm(x, p, f"{at}.shortcut.2")
            x = y + x if block == "preact" else relu(y + x)
    return classify(relu(batch_norm(x, p, "head.norm.0")) if block == "preact" else x, p)


def vgg(x, p):
    def layer(x, at):
        return relu(batch_norm(conv(x, p, f"{at}.0"), p, f"{at}.1"))

    def halve(x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))

    x = layer(x, "stem")
    for stage, kinds in enumerate(("cccccc", "pccc", "pccc", "pcpcp")):
        for number, kind in enumerate(kinds):
            x = layer(x, f"stages.{stage}.{number}") if kind == "c" else halve(x)
    return classify(relu(conv(x.mean((2, 3), keepdims=True), p, "stages.3.5.1")), p)


def full_face_gaze(x, p):
    def layer(x, at, stride=1, padding=1):
        return relu(conv2d(x, p[f"{at}.weight"], padding, stride) + p[f"{at}.bias"].reshape(1, -1, 1, 1))

    def dense(x, at):
        return x @ p[f"{at}.weight"].T + p[f"{at}.bias"]

    x = max_pool(layer(x, "stem.0", 4, 2), padding=0)
    x = max_pool(layer(x, "stages.0.0", padding=2), padding=0)
    for number in range(3):
        x = layer(x, f"stages.1.{number}")
    x = max_pool(x, padding=0)
    gate = {key[len("stages.2.0.") :]: value for key, value in p.items() if key.startswith("stages.2.0.")}
    x = spatial_weights(x, gate).reshape(len(x), -1)
    return dense(relu(dense(relu(dense(x, "head.1")), "head.3")), "head.5")


_CIFAR = dict(layers=(2, 1, 1), widths=(8, 12, 16), stem_widths=(8,))
_DENSE = dict(layers=(2, 1, 2), growth=4, stem_width=8)
_KERAS = functools.partial(keras_resnet, layers=(2, 1, 1))
_NARROW_DENSE = functools.partial(densenet, layers=(2, 1, 2))

# backbone: (reference, arguments of a small one that has every kind of block, side of its input)
REFERENCES = {
    "cifar_wrn28_10": (functools.partial(wide, layers=(2, 1, 1)), _CIFAR, 16),
    "cifar_densenet100_k12": (_NARROW_DENSE, _DENSE, 16),
    "cifar_densenet40_k12": (functools.partial(_NARROW_DENSE, eps=1.1e-5), _DENSE, 16),
    "cifar_mobilenet": (mobilenet, dict(widths=((8, 12), (16,)), stem_width=8), 16),
    "cifar_resnet50basic": (_KERAS, _CIFAR, 16),
    "cifar_vgg": (vgg, dict(width=4), 32),
    "fullface_gaze": (full_face_gaze, dict(widths=(4, 4, 6, 6, 6), hidden=8, image_size=96), 96),
}


def _resnets():
    four = dict(layers=(2, 1, 1, 1), widths=(8, 8, 12, 16))
    grouped_four = dict(layers=(2, 1, 1, 1), widths=(16, 16, 32, 32), groups=2, group_width=32)
    d_form = dict(stem="deep", shortcut="avg")
    for depth in (18, 34, 50, 101, 152):
        block = "basic" if depth < 50 else "bottleneck"
        yield f"resnet{depth}", four, dict(stem="imagenet", block=block)
        yield f"resnet{depth}d", four, dict(d_form, block=block)
    for depth in (50, 101):
        yield f"resnext{depth}_32x4d", grouped_four, dict(stem="imagenet", block="bottleneck")
        yield f"resnext{depth}d_32x4d", grouped_four, dict(d_form, block="bottleneck")
    for depth in (20, 32, 56, 110):
        yield f"cifar_resnet{depth}", _CIFAR, dict(stem="cifar", block="basic")
    yield "cifar_resnet164bn", _CIFAR, dict(stem="cifar", block="bottleneck")
    narrow = dict(_CIFAR, stem_widths=(64,))  # what the record says
    yield "cifar_preresnet32_w4", narrow, dict(stem="preact", block="preact", shortcut="avg")
    grouped_three = dict(layers=(2, 1, 1), widths=(16, 16, 32), groups=2, group_width=32)
    for depth in (38, 47):
        yield f"cifar_resnext{depth}_32x4d", grouped_three, dict(stem="cifar", block="bottleneck", shortcut="avg")
    yield "cifar_resnext29_8x64d", grouped_three, dict(stem="cifar", block="bottleneck")


for _name, _small, _how in _resnets():
    REFERENCES[_name] = (functools.partial(resnet, layers=_small["layers"], **_how), _small, 32)
