"""Convolutions and dense layers, all three passes of each: `python -m tests.bfloat16_passes FILE.npz [DTYPE AMX]`.

A program of its own, since a process cannot leave AMP, nor AMX, again.
"""

from __future__ import annotations

import sys

import numpy as np

# in, out, kernel, stride, groups, side; what oneDNN has different kernels for: few and many channels, 1x1, strides,
# maps of one pixel, groups, a first layer
CONVOLUTIONS = [
    (3, 16, 3, 1, 1, 16),
    (16, 16, 3, 1, 1, 16),
    (16, 32, 3, 2, 1, 16),
    (16, 32, 1, 2, 1, 16),
    (32, 32, 3, 1, 1, 8),
    (64, 64, 3, 1, 1, 4),
    (16, 4, 1, 1, 1, 1),
    (4, 16, 1, 1, 1, 16),
    (64, 16, 1, 1, 1, 8),
    (64, 256, 1, 1, 1, 8),
    (64, 64, 3, 1, 2, 8),
    (256, 256, 3, 1, 8, 8),
    (3, 64, 7, 2, 1, 32),
]
DENSE = [(64, 10), (256, 10)]


def passes(seed=0):
    """{'16-32-3-2-1-16 weight': array}: outputs, and gradients by input, weight and bias, of every layer."""
    import mxnet as mx

    found = {}
    for shape in [*CONVOLUTIONS, *DENSE]:
        random, name = np.random.RandomState(seed), "-".join(map(str, shape))
        if len(shape) == 2:
            block, x = mx.gluon.nn.Dense(shape[1], in_units=shape[0]), random.randn(4, shape[0])
        else:
            channels, out, kernel, stride, groups, side = shape
            block = mx.gluon.nn.Conv2D(out, kernel, stride, kernel // 2, groups=groups, in_channels=channels)
            x = random.randn(4, channels, side, side)
        block.initialize()
        for p in block.collect_params().values():
            p.set_data(mx.nd.array(0.1 * random.randn(*p.shape)))
        block.hybridize(static_alloc=True, static_shape=True)
        x = mx.nd.array(x)
        x.attach_grad()
        with mx.autograd.record():
            y = block(x).astype("float32")
            loss = (y * mx.nd.array(random.randn(*y.shape))).sum()
        loss.backward()
        found[f"{name} output"], found[f"{name} input"] = y.asnumpy(), x.grad.asnumpy()
        found[f"{name} weight"], found[f"{name} bias"] = (p.grad().asnumpy() for p in (block.weight, block.bias))
    return found


def main(path, dtype="float32", amx="off"):
    from gluon_attn import matrix_units

    matrix_units.take(dtype, amx)
    import mxnet as mx

    from gluon_attn.devices import prepare_arithmetic

    prepare_arithmetic(dtype, [mx.cpu()])
    np.savez(path, taken=matrix_units.taken(), **passes())


if __name__ == "__main__":
    main(*sys.argv[1:])
