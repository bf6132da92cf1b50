"""Networks as published, computed straight from the arrays by their published names: no gluon_attn code.

`FORWARD[source](p, x)` gives the logits of a file {name: NDArray}; what the shapes do not say (strides, order, factors)
follows the publishers' descriptions.
"""

from __future__ import annotations

import itertools

from mxnet import nd


def conv(p, name, x, stride=1, groups=1, dilation=1):
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
    size = weight.shape[2]
    return nd.Convolution(
        x,
        weight,
        *([] if bias is None else [bias]),
        no_bias=bias is None,
        num_filter=weight.shape[0],
        kernel=(size, size),
        stride=(stride, stride),
        pad=(dilation * (size // 2),) * 2,
        dilate=(dilation, dilation),
        num_group=groups,
    )


def bn(p, name, x):
    torch = f"{name}.gamma" not in p
    gamma, beta = (p[f"{name}.{key}"] for key in (("weight", "bias") if torch else ("gamma", "beta")))
    shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
    mean, var = (p[f"{name}.running_{key}"].reshape(shape) for key in ("mean", "var"))
    centred = nd.broadcast_div(nd.broadcast_sub(x, mean), nd.sqrt(var + 1e-5))
    return nd.broadcast_add(nd.broadcast_mul(centred, gamma.reshape(shape)), beta.reshape(shape))


def mean_pool(x):
    return x.mean(axis=(2, 3), keepdims=True)


def max_pool(x):
    return nd.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")


def avg_pool(x, stride):
    sizes = dict(kernel=(stride, stride), stride=(stride, stride))
    return nd.Pooling(x, pool_type="avg", pooling_convention="full", count_include_pad=False, **sizes)


def dense(p, name, x):
    return nd.dot(x.reshape((x.shape[0], -1)), p[f"{name}.weight"].T) + p[f"{name}.bias"]


def blocks(p, stage):
    """The prefixes stage.0, stage.1, ... that the file has."""
    for number in itertools.count():
        if not any(name.startswith(f"{stage}.{number}.") for name in p):
            return
        yield number, f"{stage}.{number}"


# --- open-aff ---------------------------------------------------------------------------------------------------------


def context(p, name, x, which=""):
    def branch(x, first):
        layers = [f"{name}.{'global' if first else 'local'}_att{which}.{first + i}" for i in (0, 1, 3, 4)]
        x = nd.relu(bn(p, layers[1], conv(p, layers[0], x)))
        return bn(p, layers[3], conv(p, layers[2], x))

    return nd.sigmoid(nd.broadcast_add(branch(x, 0), branch(mean_pool(x), 1)))


def fuse(p, block, x, shortcut):
    name = f"{block}.attention"
    if f"{name}.local_att.0.weight" not in p:
        return x + shortcut
    w = context(p, name, x + shortcut)
    if f"{name}.local_att2.0.weight" not in p:
        return 2 * x * w + 2 * shortcut * (1 - w)
    w = context(p, name, x * w + shortcut * (1 - w), "2")
    return x * w + shortcut * (1 - w)


def openaff(p, x):
    if "layer1.0.conv1.weight" in p:
        return openaff_resnet(p, x)
    return openaff_preact(p, x) if "features.0.gamma" in p else openaff_resnext(p, x)


def openaff_resnet(p, x):
    for number, norm, stride in ((0, "conv1.1", 2), (3, "conv1.4", 1), (6, "bn1", 1)):
        x = nd.relu(bn(p, norm, conv(p, f"conv1.{number}", x, stride)))
    x = max_pool(x)
    for stage in (1, 2, 3, 4):
        for number, block in blocks(p, f"layer{stage}"):
            stride = 2 if stage > 1 and number == 0 else 1
            y = nd.relu(bn(p, f"{block}.bn1", conv(p, f"{block}.conv1", x)))
            y = nd.relu(bn(p, f"{block}.bn2", conv(p, f"{block}.conv2", y, stride)))
            y = bn(p, f"{block}.bn3", conv(p, f"{block}.conv3", y))
            if number == 0:
                x = bn(p, f"{block}.downsample.2", conv(p, f"{block}.downsample.1", avg_pool(x, stride)))
            x = nd.relu(fuse(p, block, y, x))
    return dense(p, "fc", mean_pool(x))


def openaff_resnext(p, x):
    cifar = "features.3.0.body.0.weight" in p
    for number, stride in ((0, 1),) if cifar else ((0, 2), (3, 1), (6, 1)):
        x = nd.relu(bn(p, f"features.{number + 1}", conv(p, f"features.{number}", x, stride)))
    first = 3 if cifar else 10
    x = x if cifar else max_pool(x)
    for stage in range(first, first + (3 if cifar else 4)):
        for number, block in blocks(p, f"features.{stage}"):
            stride = 2 if stage > first and number == 0 else 1
            y = nd.relu(bn(p, f"{block}.body.1", conv(p, f"{block}.body.0", x)))
            y = nd.relu(bn(p, f"{block}.body.4", conv(p, f"{block}.body.3", y, stride, groups=32)))
            y = bn(p, f"{block}.body.7", conv(p, f"{block}.body.6", y))
            if f"{block}.downsample.0.weight" in p:
                x = bn(p, f"{block}.downsample.1", conv(p, f"{block}.downsample.0", x, stride))
            elif number == 0:
                x = bn(p, f"{block}.downsample.2", conv(p, f"{block}.downsample.1", avg_pool(x, stride)))
            x = nd.relu(fuse(p, block, y, x))
    return dense(p, "output", mean_pool(x))


def openaff_preact(p, x):
    # scale=False, center=False: the file's gamma is not used, its beta (zero when trained) is added
    x = conv(p, "features.1", bn({**p, "features.0.gamma": nd.ones_like(p["features.0.gamma"])}, "features.0", x))
    for stage in (2, 3, 4):
        for number, block in blocks(p, f"features.{stage}"):
            stride = 2 if stage > 2 and number == 0 else 1
            y = conv(p, f"{block}.resfwd.2", nd.relu(bn(p, f"{block}.resfwd.0", x)), stride)
            y = conv(p, f"{block}.resfwd.5", nd.relu(bn(p, f"{block}.resfwd.3", y)))
            if f"{block}.downsample.1.weight" in p:
                x = conv(p, f"{block}.downsample.1", avg_pool(x, stride))
            x = fuse(p, block, y, x)
    return dense(p, "output", mean_pool(nd.relu(bn(p, "features.5", x))))


# --- imgclsmob --------------------------------------------------------------------------------------------------------


def squeeze_excite(p, first, second, x):
    return nd.broadcast_mul(x, nd.sigmoid(conv(p, second, nd.relu(conv(p, first, mean_pool(x))))))


def cbam(p, name, x):
    def mlp(x):
        hidden = nd.relu(dense(p, f"{name}.ch_gate.mlp.fc1", x))
        return dense(p, f"{name}.ch_gate.mlp.fc2", hidden)

    channel = nd.sigmoid(mlp(mean_pool(x)) + mlp(x.max(axis=(2, 3), keepdims=True)))
    x = nd.broadcast_mul(x, channel.reshape((0, 0, 1, 1)))
    planes = nd.concat(x.max(axis=1, keepdims=True), x.mean(axis=1, keepdims=True), dim=1)
    return nd.broadcast_mul(
        x, nd.sigmoid(bn(p, f"{name}.sp_gate.conv.bn", conv(p, f"{name}.sp_gate.conv.conv", planes)))
    )


def bam(p, name, x):
    channel = nd.relu(bn(p, f"{name}.ch_att.init_fc.bn", dense(p, f"{name}.ch_att.init_fc.fc", mean_pool(x))))
    channel = dense(p, f"{name}.ch_att.final_fc", channel).reshape((0, 0, 1, 1))
    y = nd.relu(bn(p, f"{name}.sp_att.init_conv.bn", conv(p, f"{name}.sp_att.init_conv.conv", x)))
    for number in (0, 1):
        layer = f"{name}.sp_att.dil_convs.{number}"
        y = nd.relu(bn(p, f"{layer}.bn", conv(p, f"{layer}.conv", y, dilation=4)))
    spatial = conv(p, f"{name}.sp_att.final_conv", y)
    return x * (1 + nd.sigmoid(nd.broadcast_mul(channel, spatial)))


def imgclsmob(p, x, stride_first=False):
    cifar = "features.0.conv.weight" in p
    stem = "features.0" if cifar else "features.0.conv"
    x = nd.relu(bn(p, f"{stem}.bn", conv(p, f"{stem}.conv", x, 1 if cifar else 2)))
    x = x if cifar else max_pool(x)
    for stage in range(1, 4 if cifar else 5):
        for number, block in blocks(p, f"features.{stage}"):
            stride = 2 if stage > 1 and number == 0 else 1
            if f"{block}.bam.sp_att.final_conv.weight" in p:
                x = bam(p, f"{block}.bam", x)
            x = imgclsmob_block(p, block, x, stride, stride_first)
    return dense(p, "output.1", mean_pool(x))


def imgclsmob_block(p, block, x, stride, stride_first):
    inner = f"{block}.res_unit" if f"{block}.res_unit.body.conv1.conv.weight" in p else block
    last = 3 if f"{inner}.body.conv3.conv.weight" in p else 2
    strided = 1 if last == 2 or stride_first else 2
    y = x
    for number in range(1, last + 1):
        weight = p[f"{inner}.body.conv{number}.conv.weight"]
        layer = f"{inner}.body.conv{number}"
        y = conv(p, f"{layer}.conv", y, stride if number == strided else 1, groups=y.shape[1] // weight.shape[1])
        y = bn(p, f"{layer}.bn", y)
        y = nd.relu(y) if number < last else y
    if f"{block}.se.conv1.weight" in p:
        y = squeeze_excite(p, f"{block}.se.conv1", f"{block}.se.conv2", y)
    if f"{block}.cbam.sp_gate.conv.conv.weight" in p:
        y = cbam(p, f"{block}.cbam", y)
    if f"{inner}.identity_conv.conv.weight" in p:
        x = bn(p, f"{inner}.identity_conv.bn", conv(p, f"{inner}.identity_conv.conv", x, stride))
    return nd.relu(y + x)


# --- timm -------------------------------------------------------------------------------------------------------------


def eca(p, name, x):
    weight = p[name]
    z = mean_pool(x).reshape((0, 1, -1))
    size = weight.shape[2]
    z = nd.Convolution(z, weight, no_bias=True, num_filter=1, kernel=(size,), pad=(size // 2,))
    return nd.broadcast_mul(x, nd.sigmoid(z).reshape((0, -1, 1, 1)))


def timm(p, x):
    deep = "conv1.0.weight" in p
    stem = (("conv1.0", "conv1.1", 2), ("conv1.3", "conv1.4", 1), ("conv1.6", "bn1", 1)) if deep else ()
    for layer, norm, stride in stem or (("conv1", "bn1", 2),):
        x = nd.relu(bn(p, norm, conv(p, layer, x, stride)))
    x = max_pool(x)
    for stage in (1, 2, 3, 4):
        for number, block in blocks(p, f"layer{stage}"):
            stride = 2 if stage > 1 and number == 0 else 1
            y = nd.relu(bn(p, f"{block}.bn1", conv(p, f"{block}.conv1", x)))
            groups = y.shape[1] // p[f"{block}.conv2.weight"].shape[1]
            y = nd.relu(bn(p, f"{block}.bn2", conv(p, f"{block}.conv2", y, stride, groups)))
            y = bn(p, f"{block}.bn3", conv(p, f"{block}.conv3", y))
            if f"{block}.se.fc1.weight" in p:
                y = squeeze_excite(p, f"{block}.se.fc1", f"{block}.se.fc2", y)
            if f"{block}.se.conv.weight" in p:
                y = eca(p, f"{block}.se.conv.weight", y)
            if f"{block}.downsample.0.weight" in p:
                x = bn(p, f"{block}.downsample.1", conv(p, f"{block}.downsample.0", x, stride))
            elif number == 0:
                x = bn(p, f"{block}.downsample.2", conv(p, f"{block}.downsample.1", avg_pool(x, stride)))
            x = nd.relu(y + x)
    return dense(p, "fc", mean_pool(x))


FORWARD = {"openaff": openaff, "imgclsmob": imgclsmob, "timm": timm}
