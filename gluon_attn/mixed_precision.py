"""Training in bfloat16 by MXNet's AMP, which makes operators cast what they are given; and what is kept out of it.

AMP patches the operators of a process, for good, and networks that are built afterwards use the patched ones.
"""

from __future__ import annotations

from typing import Any, Dict

from gluon_attn import cpu, matrix_units

_before: Dict[Any, Any] = {}  # {mx.nd, mx.sym: their Convolution before it was patched}


def switch_on() -> None:
    """Let this process train in bfloat16, before a network is built; nothing where it does.

    >>> switch_on()
    """
    if _before:
        return
    import mxnet as mx
    from mxnet.contrib import amp
    from mxnet.contrib.amp.lists import symbol_bf16

    _before.update({F: F.Convolution for F in (mx.nd, mx.sym)})
    # AMP casts nothing for a concat in bfloat16, which takes one type: DenseNet's and Attention Augmented's fail.
    symbol_bf16.WIDEST_TYPE_CASTS += ["Concat", "concat"]
    amp.init(target_dtype="bfloat16")


def picture_in_float32() -> bool:
    """Whether the convolution that a network begins with is in float32, though the network is trained in bfloat16.

    For a picture's few channels oneDNN has no convolution in bfloat16 but that of the matrix units: it multiplies
    matrices, and leaves a plain memory layout, in which BatchNorm takes 20 times as long as in a blocked one
    (`ncsp_bnorm`, 45 % of a small network's step). What follows is in float32 until a convolution or `after_picture`.

    >>> picture_in_float32()  # nothing is trained in bfloat16
    False
    """
    return bool(_before) and not matrix_units.taken()


def convolution(F: Any) -> Any:
    """The operator Convolution of F (mx.nd or mx.sym) as it is without AMP.

    >>> convolution(mx.nd) is mx.nd.Convolution
    True
    """
    return _before.get(F, F.Convolution)


def after_picture(x: Any) -> Any:
    """What a network's stem gives, in bfloat16 where that was `picture_in_float32`: a sum is as wide as its widest.

    >>> after_picture(x) is x
    True
    """
    if cpu.for_inference() or not picture_in_float32():
        return x
    import mxnet as mx
    from mxnet.contrib.amp.amp import bfloat16

    return (mx.nd if isinstance(x, mx.nd.NDArray) else mx.sym).amp_cast(x, dtype=bfloat16)
