"""Training in bfloat16 by MXNet's AMP, which makes operators cast what they are given; and what is kept out of it.

AMP patches the operators of a process, and networks that are built afterwards use the patched ones.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any, Dict, Iterator, Tuple

from gluon_attn import matrix_units
from gluon_attn.hybridization import unhybridized

_patched: Dict[Tuple[Any, str], Tuple[Any, Any]] = {}  # {(module, operator): (as it was, as AMP has it)}
_off = False
_turns = threading.RLock()  # of those that switch it off


def switch_on() -> None:
    """Let this process train in bfloat16, before a network is built; nothing where it does.

    >>> switch_on()
    """
    if _patched:
        return
    import mxnet as mx
    from mxnet.base import _OP_NAME_PREFIX_LIST
    from mxnet.contrib import amp
    from mxnet.contrib.amp.lists import symbol_bf16

    # AMP casts nothing for a concat in bfloat16, which takes one type: DenseNet's and Attention Augmented's fail.
    symbol_bf16.WIDEST_TYPE_CASTS += ["Concat", "concat"]
    names = ("op", "_internal", *(prefix[1:-1] for prefix in _OP_NAME_PREFIX_LIST))
    modules = {id(m): m for F in (mx.nd, mx.sym) for m in (F, *(getattr(F, name) for name in names))}.values()
    before = [(module, dict(vars(module))) for module in modules]
    amp.init(target_dtype="bfloat16")
    for module, operators in before:
        patched = {name: getattr(module, name) for name in operators if getattr(module, name) is not operators[name]}
        _patched.update({(module, name): (operators[name], new) for name, new in patched.items()})


@contextlib.contextmanager
def switched_off(net: Any) -> Iterator[None]:
    """Within it, operators are as they were before AMP, and `net` runs each of its own: an export is of float32.

    A network that was hybridized keeps the graph that it trains with. Of the process, not of the thread: threads that
    switch it off take turns, and another that builds or traces a network meanwhile gets it in float32.

    >>> with switched_off(net):
    ...     net(x).dtype
    <class 'numpy.float32'>
    """
    global _off
    if not _patched:
        yield
        return
    with _turns, unhybridized(net):
        before, _off = _off, True
        try:
            for (module, name), (operator, _) in _patched.items():
                setattr(module, name, operator)
            yield
        finally:
            _off = before
            if not before:
                for (module, name), (_, operator) in _patched.items():
                    setattr(module, name, operator)


def patched_by_others() -> bool:
    """Whether this process has called MXNet's `amp.init` itself, whose casts nobody here can take out again.

    >>> patched_by_others()
    False
    """
    module = sys.modules.get("mxnet.contrib.amp.amp")
    return bool(getattr(module, "_amp_initialized", False)) and not _patched


def picture_in_float32() -> bool:
    """Whether the convolution that a network begins with is in float32, though the network is trained in bfloat16.

    For a picture's few channels oneDNN has no convolution in bfloat16 but that of the matrix units: it multiplies
    matrices, and leaves a plain memory layout, in which BatchNorm takes 20 times as long as in a blocked one
    (`ncsp_bnorm`, 45 % of a small network's step). What follows is in float32 until a convolution or `after_picture`.

    >>> picture_in_float32()  # nothing is trained in bfloat16
    False
    """
    return bool(_patched) and not _off and not matrix_units.taken()


def operator(F: Any, name: str) -> Any:
    """That of F (mx.nd or mx.sym) as it is without AMP: it casts nothing.

    >>> operator(mx.nd, "Convolution") is mx.nd.Convolution
    True
    """
    return _patched.get((F, name), (getattr(F, name),))[0]


def in_float32(F: Any, x: Any) -> Any:
    """x, cast once where the network is trained in bfloat16, for operators that have no bfloat16.

    AMP casts what each of them is given anew, and there are many in a gate.

    >>> in_float32(mx.nd, x) is x  # nothing is trained in bfloat16
    True
    """
    return F.amp_cast(x, dtype="float32") if _patched and not _off else x


def after_picture(x: Any) -> Any:
    """What a network's stem gives, in bfloat16 where that was `picture_in_float32`: a sum is as wide as its widest.

    >>> after_picture(x) is x
    True
    """
    if not picture_in_float32():
        return x
    import mxnet as mx
    from mxnet.contrib.amp.amp import bfloat16

    return (mx.nd if isinstance(x, mx.nd.NDArray) else mx.sym).amp_cast(x, dtype=bfloat16)
