"""`export_torch`: a Gluon network as one verified file for PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import torch

from gluon_attn.deploy.export import check
from gluon_attn.deploy.export.named_graph import named_graph
from gluon_attn.deploy.export.own_card import own_card
from gluon_attn.deploy.export.trace import names_of, trace
from gluon_attn.deploy.run.torch_file import write_pair
from gluon_attn.deploy.run.torch_graph import build
from gluon_attn.errors import GluonAttnError
from gluon_attn.files import AnyPath

if TYPE_CHECKING:
    import mxnet as mx

    from gluon_attn.weights.card import Card


def export_torch(
    net: mx.gluon.HybridBlock,
    path: AnyPath,
    size: int,
    *,
    in_channels: int = 3,
    card: Optional[Card] = None,
    tolerance: float = check.TOLERANCE,
) -> float:
    """Write `net` as `path` (.safetensors: weights, graph and card), and return the largest difference from Gluon.

    `deploy.load_torch(path)` makes a module of it where there is no MXNet, and `Predictor(path)` serves it. card : by
    default the network's own, if it has one. Above `tolerance` nothing is written.

    >>> export_torch(net, "net.safetensors", size=32)
    >>> module = deploy.load_torch("net.safetensors")
    """
    graph, arrays, _ = named_graph(net)
    check.check_network(trace(net), net, size, in_channels)
    module = build(graph, arrays, str(path), unused=True)  # of the very arrays that are written

    def run(images):
        with torch.no_grad():
            outputs = module(torch.from_numpy(images))
        return [y.numpy() for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]

    found = check.difference(net, run, size, in_channels)
    check.demand(found, tolerance)
    names = names_of(net, len(graph.outputs)) if len(graph.outputs) == 1 or hasattr(net, "gives") else None
    if card is not None and names is None:
        raise GluonAttnError(f"{type(net).__name__} does not say what it gives: set its `gives`, a name an output.")
    card = own_card(net, size, in_channels, card) if names else None
    metadata = {"outputs": json.dumps(names)} if names else {}
    metadata.update(card.but(outputs=names).to_metadata() if card is not None else {})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_pair(path, graph, arrays, metadata)
    return found
