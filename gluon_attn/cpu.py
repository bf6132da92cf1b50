"""Training on a CPU at the engine's limit: the operators that MXNet runs slowly there, in other words.

The values are the same, and so are the parameters. The other words pay only where a backward pass runs on a CPU, so
they are chosen when a network is traced: by where its parameters live, and never within `inference_graphs()`.
"""

from __future__ import annotations

import math
from typing import Any, ContextManager

from gluon_attn.scoped import Scoped

BLOCK = 16  # channels that oneDNN keeps together in memory (AVX-512; 8 with AVX2)
_inference = Scoped(False)


def inference_graphs() -> ContextManager:
    """Within it, networks are traced (by this thread) in the plain words: for export, and for inference alone.

    >>> with inference_graphs():
    ...     symbol = net(mx.sym.Variable("data"))
    """
    return _inference.to(True)


def for_inference() -> bool:
    """Whether networks are traced in the plain words now.

    >>> for_inference()
    False
    """
    return _inference.value


def trains_on_cpu(block: Any) -> bool:
    """Whether the block's parameters live on a CPU; not before they are initialised (a graph of shapes alone).

    >>> trains_on_cpu(net)
    True
    """
    if for_inference():
        return False
    first = next(iter(block.collect_params().values()), None)
    contexts = () if first is None else first._ctx_list or ()
    return any(device.device_type.startswith("cpu") for device in contexts)


def fence(F: Any, x: Any) -> Any:
    """x, copied by an operator that oneDNN does not have: it, and its gradient, leave in the plain memory layout.

    >>> fence(mx.nd, x).shape == x.shape
    True
    """
    return F.slice_axis(x, axis=0, begin=0, end=None)


def own(F: Any, x: Any) -> Any:
    """x in memory of its own, copied by an operator of oneDNN's (a leaky ReLU of slope 1) in the layout that it has.

    The backward of oneDNN's max pooling reads the places of the maxima as if in the layout that its input has then. In
    a hybridized graph another reader of that input, `reshape` for one, may have re-laid it after the forward pass, and
    the gradient goes to wrong places. Nobody else reads this copy.

    >>> bool((own(mx.nd, x) == x).min().asscalar())
    True
    """
    return F.LeakyReLU(x, act_type="leaky", slope=1.0)


def finish_relaying() -> None:
    """Wait until nothing is computed: before a network's own arrays are read, by `asnumpy` or `mx.nd.save`.

    In inference oneDNN re-lays a convolution's weight in place, by an operation that the convolution itself starts.
    Both readers wait for operations that were started before, not for those of a forward pass that has not come so
    far, and may then read while the array is re-laid: the weight is permuted from there on, and looks fine.

    >>> finish_relaying()
    """
    import mxnet as mx

    mx.nd.waitall()


def narrow(width: int, groups: int) -> bool:
    """Whether a convolution of `groups` groups, `width` input channels each, has them too narrow for a block.

    >>> narrow(4, 32), narrow(4, 1), narrow(16, 2)
    (True, False, False)
    """
    return groups > 1 and 1 < width < BLOCK


def in_wide_groups(F: Any, weight: Any, shape: tuple, groups: int) -> tuple:
    """(weight, groups) of the same grouped convolution with `BLOCK` channels a group, or a multiple of it.

    weight : (out, in / groups, *kernel), which is `shape`; becomes block-diagonal: (out, merged * in / groups, *kernel)

    oneDNN runs 4 or 8 channels a group in a 4- or 8-channel-blocked memory layout, its neighbours in a 16-blocked one.
    BatchNorm's backward then gets data and gradient in two blocked layouts and falls to the reference kernel, 200 times
    as slow (`bnorm_ref` in DNNL_VERBOSE). Multiplying by zeros is cheaper than leaving the blocked layouts (`fence`).

    >>> weight, groups = in_wide_groups(mx.nd, mx.nd.ones((128, 4, 3, 3)), (128, 4, 3, 3), 32)
    >>> weight.shape, groups
    ((128, 16, 3, 3), 8)
    """
    out, width, *kernel = shape
    merged = BLOCK // math.gcd(BLOCK, math.gcd(width, out // groups))
    if groups % merged:
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
    """x 'mul' or 'add' a weight, repeated over what it has one value for.

    over : 'positions' for (N, C, 1, 1), 'channels' for (N, 1, H, W), 'height' for (N, C, 1, W), 'width' for
        (N, C, H, 1)

    The gradient of a broadcast is a sum, and MXNet's sum unravels the index of every element: half of the training
    step of a gate. The product with a row of ones gives the same values, and a product's gradient is a product.

    >>> broadcast(mx.nd, net, "mul", x, mx.nd.ones((len(x), 3, 1, 1))).shape == x.shape
    True
    """
    if not trains_on_cpu(block):
        return getattr(F, f"broadcast_{operation}")(x, weight)
    matrix = (-3, 0, 0) if over in ("height", "width") else (0, 0, -1)  # (N C, H, W) or (N, C, HW)
    rows, weight = F.reshape(x, matrix), F.reshape(weight, matrix)
    if over in ("positions", "width"):
        repeated = F.batch_dot(weight, F.ones_like(F.slice_axis(rows, axis=1, begin=0, end=1)))
    else:
        repeated = F.batch_dot(F.ones_like(F.slice_axis(rows, axis=2, begin=0, end=1)), weight)
    return getattr(F, f"elemwise_{operation}")(x, F.reshape_like(repeated, x))
