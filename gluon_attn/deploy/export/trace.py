"""A Gluon network as a graph of MXNet's, in the plain words of inference: what every export begins with."""

from __future__ import annotations

import mxnet as mx

from gluon_attn.deploy.run.symbol_file import INPUT
from gluon_attn.errors import GluonAttnError
from gluon_attn.mixed_precision import patched_by_others
from gluon_attn.models.network import output_names
from gluon_attn.tracing import plain_graph


def trace(net, name=INPUT):
    """The network as a Symbol of one variable; nothing in it that only training on a CPU, or in bfloat16, needs."""
    if patched_by_others():
        raise GluonAttnError(
            "This process has called amp.init(): every network that is traced in it holds AMP's casts. Save the "
            "weights and export in another process. Where `mixed_precision.switch_on()` did it, as in training by "
            "--dtype bfloat16, they can be left out."
        )
    with plain_graph(net):
        outputs = net(mx.sym.Variable(name))
    return mx.sym.Group(list(outputs)) if isinstance(outputs, (tuple, list)) else outputs


def place_of(net):
    """The device of the parameters that are exported; of several the first."""
    return next((parameter.list_ctx()[0] for parameter in net.collect_params().values()), mx.current_context())


def as_block(net):
    """The network as a SymbolBlock that shares its parameters."""
    return mx.gluon.SymbolBlock(trace(net), [mx.sym.Variable(INPUT)], params=net.collect_params())


def names_of(net, count):
    """Names of the `count` outputs, as the network says them; 'logits' where it has one and says nothing."""
    names = output_names(net) or ("logits",)
    if len(names) != count:
        raise GluonAttnError(
            f"{type(net).__name__} gives {count} outputs, named {', '.join(names)}: its `gives` says what they are."
        )
    return list(names)
