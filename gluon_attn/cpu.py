"""MXNet on a CPU at the engine's limit: the operators that it runs slowly there, in other words.

The values are the same, and so are the parameters. Most of the other words pay only where a backward pass runs on a
CPU, so they are chosen when a network is traced: by where its parameters live, and never within `inference_graphs()`,
where those for a forward pass alone can be asked for.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any, ContextManager, Tuple

from gluon_attn import matrix_units
from gluon_attn.mixed_precision import operator
from gluon_attn.scoped import Scoped

BLOCK = 16  # channels that oneDNN keeps together in memory (AVX-512; 8 with AVX2)
_words = Scoped(None)  # None: by where the network lives
_network = Scoped(None)  # the one that is traced


def inference_graphs(words: str = "plain") -> ContextManager:
    """Within it, networks are traced (by this thread) for inference alone, in the plain words, as exports need them.

    words : 'forward' for the quickest without a backward pass on a CPU (networks refuse one); never exported

    >>> with inference_graphs():
    ...     symbol = net(mx.sym.Variable("data"))
    """
    return _words.to(words)


def for_inference() -> bool:
    """Whether networks are traced for inference alone now, in either words.

    >>> for_inference()
    False
    """
    return _words.value is not None


def runs_forward() -> bool:
    """Whether networks are traced now for inference by MXNet.

    >>> with inference_graphs("forward"):
    ...     runs_forward()
    True
    """
    return _words.value == "forward"


def within(network: Any) -> ContextManager:
    """Within it, blocks without parameters (SimAM, Gather-Excite) are taken to run where those of `network` live.

    >>> with within(net):
    ...     trains_on_cpu(mx.gluon.nn.HybridSequential())
    True
    """
    return _network.to(network)


def trains_on_cpu(block: Any) -> bool:
    """Whether the block's parameters live on a CPU; not before they are initialised (a graph of shapes alone).

    >>> trains_on_cpu(net)
    True
    """
    return not for_inference() and _on_cpu(block)


def plain(block: Any) -> bool:
    """Whether everything has to stand in the plain words now: for an export, or on a GPU.

    >>> plain(net)
    False
    """
    return not (_on_cpu(block) and _words.value in (None, "forward"))


def _on_cpu(block):
    owners = (block, _network.value)
    first = next((p for owner in owners if owner is not None for p in _parameters(owner)), None)
    contexts = () if first is None else first._ctx_list or ()
    return any(device.device_type.startswith("cpu") for device in contexts)


def _parameters(block):
    """Those of the block, one after the other: `collect_params` makes a list of all for the first of them."""
    yield from block.params.values()
    for child in block._children.values():
        yield from _parameters(child)


def fence(F: Any, x: Any) -> Any:
    """x, copied by an operator that oneDNN does not have: it, and its gradient, leave in the plain memory layout.

    >>> fence(mx.nd, x).shape == x.shape
    True
    """
    return F.slice_axis(x, axis=0, begin=0, end=None)


def fences(in_channels: int, channels: int, kernel: int, groups: int = 1, of: str = "maps") -> Tuple[bool, bool]:
    """Whether to fence what enters a convolution before a BatchNorm, and what leaves it: on matrix units alone.

    Their convolutions are channels-last. They have none for the gradient of an input by 16 channels or fewer, nor for a
    1x1 of so few input channels: these run in a blocked layout, and a BatchNorm with data in one and a gradient in the
    other has no kernel but its reference (`bnorm_ref`), 200 times as slow. What comes in the plain layout is re-laid to
    the other's. On maps of one pixel (`of` 'pixel') oneDNN takes the layouts for equal, re-lays neither, and has no
    kernel either. A 'picture' has no gradient.

    >>> fences(16, 16, 3)  # without matrix units
    (False, False)
    """
    if not matrix_units.taken() or groups > 1:
        return False, False
    return channels <= BLOCK and of != "picture", of == "pixel" or (kernel == 1 and in_channels <= BLOCK)


def own(F: Any, x: Any) -> Any:
    """x in memory of its own, copied by an operator of oneDNN's (a leaky ReLU of slope 1) in the layout that it has.

    The backward of oneDNN's max pooling reads the places of the maxima as if in the layout that its input has then. In
    a hybridized graph another reader of that input, `reshape` for one, may have re-laid it after the forward pass, and
    the gradient goes to wrong places. Nobody else reads this copy. It is computed in float32: not for float64.

    >>> bool((own(mx.nd, x) == x).min().asscalar())
    True
    """
    return F.LeakyReLU(x, act_type="leaky", slope=1.0)


def finish_relaying() -> None:
    """Wait until nothing is computed: before a network's own arrays are read, by `asnumpy` or `mx.nd.save`.

    In inference oneDNN re-lays a convolution's weight in place, by an operation that the convolution itself starts.
    Both readers wait for what was started before, not for a forward pass that has not come so far, and may then read
    while the array is re-laid: the weight is permuted from there on, and looks fine.

    >>> finish_relaying()
    """
    import mxnet as mx

    mx.nd.waitall()


def group_width() -> int:
    """Channels that a group should have where a network is trained on this CPU: `BLOCK`, or more on matrix units.

    >>> group_width()
    16
    """
    return matrix_units.GROUP if matrix_units.taken() else BLOCK


def narrow(width: int, groups: int, wide: int = BLOCK) -> bool:
    """Whether a convolution of `groups` groups, `width` input channels each, has them too narrow.

    >>> narrow(4, 32), narrow(4, 1), narrow(16, 2), narrow(16, 2, wide=32)
    (True, False, False, True)
    """
    return groups > 1 and 1 < width < wide and (width < BLOCK or wide % width == 0)


def in_wide_groups(F: Any, weight: Any, shape: tuple, groups: int, wide: int = BLOCK) -> tuple:
    """(weight, groups) of the same grouped convolution with `wide` channels a group, or a multiple of it.

    weight : (out, in / groups, *kernel), which is `shape`; becomes block-diagonal: (out, merged * in / groups, *kernel)
    wide : where that many groups cannot be merged, `BLOCK` is tried

    oneDNN runs 4 or 8 channels a group in a 4- or 8-channel-blocked memory layout, its neighbours in a 16-blocked one.
    BatchNorm's backward then gets data and gradient in two blocked layouts and falls to the reference kernel, 200 times
    as slow (`bnorm_ref` in DNNL_VERBOSE). Multiplying by zeros is cheaper than leaving the blocked layouts (`fence`).

    >>> weight, groups = in_wide_groups(mx.nd, mx.nd.ones((128, 4, 3, 3)), (128, 4, 3, 3), 32)
    >>> weight.shape, groups
    ((128, 16, 3, 3), 8)
    """
    out, width, *kernel = shape
    common = math.gcd(width, out // groups)
    merged = next((m for m in (block // math.gcd(block, common) for block in (wide, BLOCK)) if groups % m == 0), 1)
    if merged == 1:
        return weight, groups
    ones = (1,) * len(kernel)
    # Not by reshaping the weight: once oneDNN has re-laid a grouped one for inference, `reshape` fails on it. And the
    # block-diagonal ones come from `arange_like`, since AMP fails on operators without inputs, such as `eye`.
    tiled = F.tile(weight, (1, merged, *ones))
    row = F.floor(F.contrib.arange_like(tiled, axis=0) / (out // groups)) % merged
    column = F.floor(F.contrib.arange_like(tiled, axis=1) / width)
    diagonal = F.broadcast_equal(F.reshape(row, (-1, 1, *ones)), F.reshape(column, (1, -1, *ones)))
    return F.broadcast_mul(tiled, diagonal), groups // merged


def broadcast(F: Any, block: Any, operation: str, x: Any, weight: Any, over: str = "positions") -> Any:
    """x 'mul', 'add' or 'sub' a weight, repeated over what it has one value for.

    over : 'positions' for (N, C, 1, 1), 'channels' for (N, 1, H, W), 'height' for (N, C, 1, W), 'width' for
        (N, C, H, 1)

    The gradient of a broadcast is a sum, and MXNet's sum unravels the index of every element: half of the training
    step of a gate. A product with ones gives the same values, and its gradient is a product. Where no backward pass
    runs, BLAS adds it to x as it computes it.

    >>> broadcast(mx.nd, net, "mul", x, mx.nd.ones((len(x), 3, 1, 1))).shape == x.shape
    True
    """
    if plain(block):
        return getattr(F, f"broadcast_{operation}")(x, weight)
    if runs_forward() and operation != "mul":
        rows, factors = _outer(F, weight, x, over)
        return F.reshape_like(F.linalg_gemm(*factors, rows, alpha=1 if operation == "add" else -1), x)
    return getattr(F, f"elemwise_{operation}")(x, repeated(F, block, weight, x, over))


def repeated(F: Any, block: Any, weight: Any, x: Any, over: str = "positions") -> Any:
    """The weight of `broadcast` as often as x has it, as a product with a row of ones; the weight itself in the plain
    words, where MXNet's broadcasting does that. Not of float16 in the 'forward' words: BLAS has none.

    >>> repeated(mx.nd, net, mx.nd.ones((len(x), 3, 1, 1)), x).shape[:2] == (len(x), 3)
    True
    """
    if plain(block):
        return weight
    return F.reshape_like(product(F, *_outer(F, weight, x, over)[1]), x)


def _outer(F, weight, x, over):
    """x as matrices, and the two factors, weight and ones, whose product has that shape."""
    matrix = (-3, 0, 0) if over in ("height", "width") else (0, 0, -1)  # (N C, H, W) or (N, C, HW)
    rows, weight = F.reshape(x, matrix), F.reshape(weight, matrix)
    axis = 1 if over in ("positions", "width") else 2  # the one that the ones take the place of
    ones = F.ones_like(F.slice_axis(rows, axis=axis, begin=0, end=1))
    return rows, ((weight, ones) if axis == 1 else (ones, weight))


def product(F: Any, a: Any, b: Any) -> Any:
    """a (N, L, K) by b (N, K, M), matrix by matrix, by the operator that is quicker there.

    >>> product(mx.nd, mx.nd.ones((2, 3, 1)), mx.nd.ones((2, 1, 4))).shape
    (2, 3, 4)
    """
    return (F.linalg_gemm2 if runs_forward() else F.batch_dot)(a, b)


# x (N, C, H, W) with one axis to reduce, as rows (A, L, B) whose L is reduced: the shapes on the way there, and which
# axes of the reduced rows (A, 1, B) are which of x on the way back: {axis: (shapes, axes of the rows, axes of x)}.
_ROWS = {
    1: (((0, 0, -1),), (2, 3), (2, 4)),
    2: (((-3, 0, 0),), (0, 1), (0, 2)),
    3: (((-3, 0, 0), (-3, 0, 1)), (0, 2), (0, 3)),
    (2, 3): (((0, 0, -1), (-3, 0, 1)), (0, 1), (0, 2)),
}


def reduced(F: Any, block: Any, operation: str, x: Any, axis: Any) -> Any:
    """The 'max' or 'mean' of x (N, C, H, W) over the axis (1, 2, 3, or (2, 3)), which stays as one of length 1.

    MXNet's own unravel the index of every element, forward and backward. Its pooling of channels-last rows (not
    oneDNN's) runs along the memory, and a mean is a product with a row of ones, in a tenth of the time and less.

    >>> reduced(mx.nd, net, "max", x, axis=1).shape
    (2, 1, 32, 32)
    """
    if plain(block):
        return getattr(F, operation)(x, axis=axis, keepdims=True)
    if trains_on_cpu(block) and operation == "max":
        return max_and_mean(F, block, x, axis)[0]
    if not trains_on_cpu(block) and axis == (2, 3):
        return F.Pooling(x, kernel=(1, 1), global_pool=True, pool_type={"max": "max", "mean": "avg"}[operation])
    rows = reduce(F.reshape, _ROWS[axis][0], x)
    return _unrolled(F, _mean(F, rows, axis) if operation == "mean" else _pooled(F, rows, "max"), x, axis)


def max_and_mean(F: Any, block: Any, x: Any, axis: Any) -> tuple:
    """Both of `reduced`, of the same values.

    Of several equal maxima the first has the whole gradient, as with PyTorch's max pooling and its `max` over a
    dimension, which the released codes take; in the plain words each of them has it (MXNet's `max`).
    A maximum of NaN stays NaN where it is trained, and one of +inf becomes NaN there; in the 'forward' words a maximum
    passes over NaN, as every max pooling of MXNet does.

    >>> largest, mean = max_and_mean(mx.nd, net, x, axis=1)
    """
    if not trains_on_cpu(block):
        mean = mean_of_map(F, block, x) if axis == (2, 3) else reduced(F, block, "mean", x, axis)
        return reduced(F, block, "max", x, axis), mean
    rows = reduce(F.reshape, _ROWS[axis][0], x)
    mean = _mean(F, rows, axis)
    largest = _pooled(F, rows, "max") + F.BlockGrad(0 * mean)
    return _unrolled(F, largest, x, axis), _unrolled(F, mean, x, axis)


def _mean(F, rows, axis):
    """That of rows (A, L, B) over L: (A, 1, B)."""
    if axis == 2:
        return _pooled(F, rows, "avg")
    ones = F.ones_like(F.slice(rows, begin=(0, 0, 0), end=(1, None, 1)))
    shares = F.broadcast_div(ones, F.sum(ones, keepdims=True))
    # Not AMP's operators: in bfloat16 1 / L would be rounded. It has made float32 of the rows when they were reshaped.
    if axis == 1:
        row, kernel = F.expand_dims(rows, axis=3), F.expand_dims(shares, axis=3)
        return F.reshape(operator(F, "Convolution")(row, kernel, kernel=(1, 1), num_filter=1, no_bias=True), (0, 0, -1))
    return F.expand_dims(operator(F, "FullyConnected")(rows, F.flatten(shares), num_hidden=1, no_bias=True), axis=2)


def _unrolled(F, rows, x, axis):
    _, (lhs_begin, lhs_end), (rhs_begin, rhs_end) = _ROWS[axis]
    return F.reshape_like(rows, x, lhs_begin=lhs_begin, lhs_end=lhs_end, rhs_begin=rhs_begin, rhs_end=rhs_end)


def _pooled(F, rows, how):
    return F.Pooling(rows, kernel=(1,), global_pool=True, pool_type=how, layout="NWC")


def mean_of_map(F: Any, block: Any, x: Any) -> Any:
    """The mean of x (N, C, H, W) over H and W: (N, C, 1, 1).

    Not GlobalAvgPool2D's but in inference: its backward falls to oneDNN's reference kernel where its input and its
    gradient differ in layout (36 % of a step of the CIFAR AFF-ResNet-32). Nor `mean`, half as fast as the adaptive
    pooling of the plain words, which a product with ones in turn beats by 3 to 7 % of a step.

    >>> mean_of_map(mx.nd, net, x).shape[2:]
    (1, 1)
    """
    if runs_forward():
        return F.Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg")
    if not trains_on_cpu(block):
        return F.contrib.AdaptiveAvgPooling2D(x, output_size=1)
    return reduced(F, block, "mean", x, (2, 3))
