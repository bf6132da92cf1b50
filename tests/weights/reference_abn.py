"""Attention Branch Networks as published, computed straight from the tensors by their published names.

`forward(p, x)` gives (attention logits, perception logits, map) of {name without `module.`: NDArray}.
"""

from __future__ import annotations

from mxnet import nd

from tests.weights.reference import blocks, bn, conv, dense, max_pool, mean_pool


def forward(p, x):
    family = {"layer1.0": resnet, "block1.layer": wide, "dense1.0": densenet, "stage_1.stage_1_bottleneck_0": resnext}
    return next(run for prefix, run in family.items() if any(name.startswith(prefix) for name in p))(p, x)


def attend(p, x, a):
    """a: what the branch's stage gives; returns x for the last stage, the branch's logits and the map."""
    a = nd.relu(bn(p, "bn_att2", conv(p, "att_conv", a)))
    weight = nd.sigmoid(bn(p, "bn_att3", conv(p, "att_conv3", a)))
    scores = mean_pool(conv(p, "att_conv2", a)).reshape((x.shape[0], -1))
    return nd.broadcast_mul(x, weight) + x, scores, weight


def resnet(p, x):
    imagenet = p["conv1.weight"].shape[2] == 7
    x = nd.relu(bn(p, "bn1", conv(p, "conv1", x, 2 if imagenet else 1)))
    x = max_pool(x) if imagenet else x
    last = 4 if imagenet else 3

    def layer(name, x, stride):
        for number, block in blocks(p, name):
            y = nd.relu(bn(p, f"{block}.bn1", conv(p, f"{block}.conv1", x)))
            y = nd.relu(bn(p, f"{block}.bn2", conv(p, f"{block}.conv2", y, stride if number == 0 else 1)))
            y = bn(p, f"{block}.bn3", conv(p, f"{block}.conv3", y))
            if number == 0:
                x = bn(p, f"{block}.downsample.1", conv(p, f"{block}.downsample.0", x, stride))
            x = nd.relu(y + x)
        return x

    for number in range(1, last):
        x = layer(f"layer{number}", x, 1 if number == 1 else 2)
    x, scores, weight = attend(p, x, bn(p, "bn_att", layer(f"att_layer{last}", x, 1)))
    return scores, dense(p, "fc", mean_pool(layer(f"layer{last}", x, 2))), weight


def wide(p, x):
    def layer(name, x, stride):
        for number, block in blocks(p, f"{name}.layer"):
            z = nd.relu(bn(p, f"{block}.bn1", x))
            y = nd.relu(bn(p, f"{block}.bn2", conv(p, f"{block}.conv1", z, stride if number == 0 else 1)))
            y = conv(p, f"{block}.conv2", y)
            x = y + (conv(p, f"{block}.convShortcut", z, stride) if number == 0 else x)
        return x

    x = layer("block2", layer("block1", conv(p, "conv1", x), 1), 2)
    x, scores, weight = attend(p, x, bn(p, "bn_att", layer("att_block3", x, 1)))
    x = nd.relu(bn(p, "bn1", layer("block3", x, 2)))
    return scores, dense(p, "fc", mean_pool(x)), weight


def densenet(p, x):
    def layer(name, x):
        for _, block in blocks(p, name):
            y = conv(p, f"{block}.conv1", nd.relu(bn(p, f"{block}.bn1", x)))
            y = conv(p, f"{block}.conv2", nd.relu(bn(p, f"{block}.bn2", y)))
            x = nd.concat(x, y, dim=1)
        return x

    def transition(name, x):
        x = conv(p, f"{name}.conv1", nd.relu(bn(p, f"{name}.bn1", x)))
        return nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg")

    x = conv(p, "conv1", x)
    for number in (1, 2):
        x = transition(f"trans{number}", layer(f"dense{number}", x))
    x, scores, weight = attend(p, x, bn(p, "bn_att", layer("att_dense3", x)))
    x = nd.relu(bn(p, "bn", layer("dense3", x)))
    return scores, dense(p, "fc", mean_pool(x)), weight


def resnext(p, x):
    def layer(name, x, stride):
        for number in range(3):
            block = f"{name}.{name}_bottleneck_{number}"
            stride = stride if number == 0 else 1
            y = nd.relu(bn(p, f"{block}.bn_reduce", conv(p, f"{block}.conv_reduce", x)))
            y = nd.relu(bn(p, f"{block}.bn", conv(p, f"{block}.conv_conv", y, stride, groups=8)))
            y = bn(p, f"{block}.bn_expand", conv(p, f"{block}.conv_expand", y))
            if number == 0:
                x = bn(p, f"{block}.shortcut.shortcut_bn", conv(p, f"{block}.shortcut.shortcut_conv", x, stride))
            x = nd.relu(y + x)
        return x

    x = nd.relu(bn(p, "bn_1", conv(p, "conv_1_3x3", x)))
    x = layer("stage_2", layer("stage_1", x, 1), 2)
    x, scores, weight = attend(p, x, layer("stage_att", x, 1))  # bn_att is there and never applied
    return scores, dense(p, "classifier", mean_pool(layer("stage_3", x, 2))), weight
