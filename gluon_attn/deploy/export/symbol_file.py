"""`export_symbol`: a Gluon network as MXNet's own pair of files, for any of its languages."""

from __future__ import annotations

import json
from pathlib import Path

import mxnet as mx

from gluon_attn.deploy.export import check, onnx_graph
from gluon_attn.errors import GluonAttnError

INPUT = "data"  # what MXNet's own tools expect


def export_symbol(net, prefix, size, *, in_channels=3, card=None, tolerance=check.TOLERANCE):
    """Write PREFIX-symbol.json, PREFIX-0000.params and PREFIX-card.json; the difference from Gluon is returned.

    The graph is the one of inference: nothing in it that only training on a CPU needs.
    """
    symbol = onnx_graph.trace(net, INPUT)
    used = set(symbol.list_inputs())
    auxiliary = set(symbol.list_auxiliary_states())
    arrays = {
        f"{'aux' if name in auxiliary else 'arg'}:{name}": p.data().as_in_context(mx.cpu())
        for name, p in net.collect_params().items()
        if name in used
    }
    block = as_block(net)
    found = check.difference(net, lambda images: _run(block, images), size, in_channels)
    check.demand(found, tolerance)
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    symbol.save(f"{prefix}-symbol.json")
    mx.nd.save(f"{prefix}-0000.params", arrays)
    if card is not None:
        Path(f"{prefix}-card.json").write_text(json.dumps(card.to_metadata(), indent=1) + "\n", encoding="utf-8")
    return found


def load_symbol(path):
    """(SymbolBlock, metadata) of PREFIX-symbol.json and the files beside it."""
    prefix = str(path)[: -len("-symbol.json")]
    for suffix in ("-symbol.json", "-0000.params"):
        if not Path(prefix + suffix).is_file():
            raise GluonAttnError(
                f"There is no file {prefix + suffix!r}: `gluon-attn export --format symbol` writes both."
            )
    block = mx.gluon.SymbolBlock.imports(f"{prefix}-symbol.json", [INPUT], f"{prefix}-0000.params")
    card = Path(f"{prefix}-card.json")
    return block, json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}


def as_block(net):
    """The network in the plain words of inference, sharing its parameters."""
    return mx.gluon.SymbolBlock(onnx_graph.trace(net, INPUT), [mx.sym.Variable(INPUT)], params=net.collect_params())


def _run(block, images):
    outputs = block(mx.nd.array(images))
    return [y.asnumpy() for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
