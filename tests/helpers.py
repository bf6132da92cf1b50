"""What the tests share: random parameters, a numpy reference of the usual layers, finite differences."""

from __future__ import annotations

import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import devices
from gluon_attn.attention.slots import PLACES, accepted
from gluon_attn.catalogue.names import SPECS

needs_bfloat16 = pytest.mark.skipif(not devices._has_bfloat16(), reason="this CPU has no bfloat16")


def randomise(net, seed=0):
    """Give every parameter a random value: a zero-initialised one would hide what stands behind it."""
    rng = np.random.RandomState(seed)
    net.initialize(mx.init.Zero(), force_reinit=True)  # the quickest, for the shapes
    for name, parameter in sorted(net._collect_params_with_prefix().items()):
        positive = name.endswith(("gamma", "running_var"))
        low, high = (0.5, 1.5) if positive else (-0.5, 0.5)
        fan_in = max(int(np.prod(parameter.shape[1:])), 1) if name.endswith("weight") else 1
        parameter.set_data(mx.nd.array(rng.uniform(low, high, parameter.shape) / np.sqrt(fan_in)))
    return net


def build(name, seed=0, **arch):
    """A zoo network with random parameters."""
    return randomise(gluon_attn.get_model(name, **arch), seed)


def smallest(attention):
    """The name of the cheapest network with that attention."""
    names = [name for name, spec in SPECS.items() if spec.attention == attention]
    small = [name for name in names if name.startswith("cifar_")] or names
    preferred = [name for name in small if name.endswith("_resnet20")]
    return (preferred or sorted(small, key=len))[0]


def shallow(name):
    """Arguments that leave one block a stage, which has every operator."""
    spec = SPECS[name]
    family = spec.family.partition(":")[0].rpartition(".")[2]
    if family == "vgg":
        return {"width": 8}
    if family == "mobilenet":
        return {"widths": ((16, 16), (32,), (32,))}
    blocks = {"resnet": 1, "densenet": 2}.get(family)
    return {"layers": (blocks,) * len(spec.arch["layers"])} if blocks else {}


def narrow(name):
    """{'reduction': 1} where a mechanism in the network takes that.

    At 16, a gate of 16 channels has one inner unit, and a dead ReLU there is no mistake; at 4 it has four, which die
    together, too, where there is no bias.
    """
    filled = {slot: chosen for slot, chosen in SPECS[name].arch.items() if slot in PLACES and chosen is not None}
    return {"reduction": 1} if any("reduction" in accepted(*item) for item in filled.items()) else {}


def arrays(block):
    """{attribute path: float64 array} of a block's parameters."""
    return {name: p.data().asnumpy().astype("float64") for name, p in block._collect_params_with_prefix().items()}


def images(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def conv1x1(x, p, path):
    """Pointwise convolution of (N, C, H, W) with the weight (and bias) stored under `path`."""
    y = np.einsum("nchw,oc->nohw", x, p[path + ".weight"][:, :, 0, 0])
    bias = p.get(path + ".bias")
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


def conv2d(x, weight, padding=0, stride=1, dilation=1):
    """Any dense convolution, by summing over the kernel's taps."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kernel = weight.shape[2]
    size = [(x.shape[axis] - dilation * (kernel - 1) - 1) // stride + 1 for axis in (2, 3)]
    y = 0
    for i in range(kernel):
        for j in range(kernel):
            rows = slice(i * dilation, i * dilation + stride * (size[0] - 1) + 1, stride)
            columns = slice(j * dilation, j * dilation + stride * (size[1] - 1) + 1, stride)
            y = y + np.einsum("nchw,oc->nohw", x[:, :, rows, columns], weight[:, :, i, j])
    return y


def batch_norm(x, p, path, eps=1e-5):
    """BatchNorm in inference."""
    gamma, beta, mean, var = (
        p[f"{path}.{key}"].reshape(1, -1, 1, 1) for key in ("gamma", "beta", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(var + eps) * gamma + beta


def numeric_gradient(function, x, step=1e-5):
    """Central differences of a scalar function of a float64 array."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


def kernels_of(code):
    """The (kind, implementation) of all that oneDNN runs for this program."""
    environment = dict(os.environ, DNNL_VERBOSE="1", PYTHONWARNINGS="ignore")
    run = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    lines = (row.split(",") for row in run.stdout.splitlines())
    kernels = {(line[3], line[4]) for line in lines if line[1:2] == ["exec"]}
    assert any(kind == "batch_normalization" for kind, _ in kernels), "DNNL_VERBOSE printed nothing"
    return kernels
