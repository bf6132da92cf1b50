"""Networks and pictures as a user has them: on others float32 says little, whichever the engine.

Random noise looks alike from afar: over a batch of it global averages hardly vary, and BatchNorm divides rounding by
that. Statistics that were never those of the pictures let a deep network explode in inference.
"""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import torch
from mxnet.gluon import nn

import gluon_attn
from gluon_attn import zoo
from gluon_attn.deploy import to_torch

BATCH = 8
GAZE = "fullface_gaze"  # its size is in its parameters, of which it has most in the zoo


def pictures(count, size, channels=3, seed=1):
    """1/f spectra, as photographs have, each of its own brightness, contrast and colour."""
    rng = np.random.RandomState(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    x = np.fft.irfft2(np.fft.rfft2(rng.normal(0, 1, (count, channels, size, size))) / frequency, s=(size, size))
    x *= rng.uniform(0.5, 1.5, (count, 1, 1, 1)) / x.std((2, 3), keepdims=True)
    x += rng.normal(0, 0.7, (count, 1, 1, 1)) + rng.normal(0, 0.3, (count, channels, 1, 1))
    return x.astype("float32")


def small(name):
    """Arguments that leave one block a stage, of half the width: it has every operator and every mechanism."""
    arch = zoo.find(name).arch
    if name == GAZE:
        return {"image_size": 96, "widths": (8, 8, 8, 8, 8), "hidden": 8}
    if "layers" not in arch and "widths" in arch:  # MobileNet
        return {"widths": tuple(widths[:1] for widths in arch["widths"])}
    given = {"layers": (1,) * len(arch["layers"])} if "layers" in arch else {}
    if arch.get("widths", (0,))[0] > 16 and "groups" not in arch:
        given["widths"] = tuple(width // (4 if width % 5 == 0 else 2) for width in arch["widths"])
    if "stage_after" in arch:
        given["stage_after"] = dict.fromkeys(arch["stage_after"], (0,))
    return given


def size_of(name):
    """The side of its pictures here: as small as the network takes."""
    spec = zoo.find(name)
    return 64 if spec.input_size == 224 and "map_size" not in spec.arch else spec.input_size


def small_size(name):
    """The side of the small network's pictures."""
    return small(name).get("image_size", size_of(name))


def small_network(name):
    """The network with one block a stage, without values, and without Dropout, whose chance differs."""
    net = gluon_attn.get_model(name, **small(name))
    net.apply(lambda block: setattr(block, "_rate", 0) if isinstance(block, nn.Dropout) else None)
    return net


def filled(net, size, batch=BATCH):
    """(network, pictures): He's weights, every other parameter slightly perturbed, the pictures' own statistics."""
    x = pictures(batch if size < 224 else 2, size)
    mx.random.seed(0)
    net.initialize(mx.init.Xavier("gaussian", "in", 2))
    net(mx.nd.array(x[:1]))  # shapes that were deferred
    rng = np.random.RandomState(0)
    for key, parameter in sorted(net._collect_params_with_prefix().items()):
        if not key.endswith("weight"):
            shift = 1 if key.endswith(("gamma", "running_var")) else 0
            parameter.set_data(mx.nd.array(shift + rng.uniform(-0.1, 0.1, parameter.shape)))
    _settle(net, x)
    return net, x


def _settle(net, x):
    """Give the running statistics what the pictures have."""
    module = to_torch(net).train()
    for part in module.modules():
        if hasattr(part, "momentum"):
            part.momentum = 0.0
    with torch.no_grad():
        module(torch.from_numpy(x))
    named, settled = net._collect_params_with_prefix(), module.state_dict()
    for key, parameter in named.items():
        if "running_" in key:
            parameter.set_data(mx.nd.array(settled[key].numpy() + 0.01))


def without_kinks(net):
    """The network with softplus for ReLU and tanh for ReLU6: gradients that no rounding can move by a jump."""
    text = net(mx.sym.Variable("data")).tojson()
    graph = json.loads(text)
    for node in graph["nodes"]:
        if node["op"] == "Activation" and node["attrs"]["act_type"] == "relu":
            node["attrs"]["act_type"] = "softrelu"
        elif node["op"] in ("clip", "relu"):
            node["op"], node["attrs"] = "Activation", {"act_type": "tanh"}
    symbol = mx.sym.load_json(json.dumps(graph))
    return mx.gluon.SymbolBlock(symbol, mx.sym.Variable("data"), params=net.collect_params())
