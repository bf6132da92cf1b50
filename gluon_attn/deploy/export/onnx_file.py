"""`export_onnx`: a Gluon network as one verified ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Tuple

import onnx

from gluon_attn.deploy.export import check, onnx_graph
from gluon_attn.deploy.export.own_card import own_card
from gluon_attn.deploy.export.trace import trace
from gluon_attn.deploy.run.onnxruntime_engine import session
from gluon_attn.files import AnyPath, write_bytes

if TYPE_CHECKING:
    import mxnet as mx

    from gluon_attn.weights.card import Card


def export_onnx(
    net: mx.gluon.HybridBlock,
    path: AnyPath,
    size: int,
    *,
    in_channels: int = 3,
    card: Optional[Card] = None,
    tolerance: float = check.TOLERANCE,
) -> float:
    """Write `net` (initialised) as `path`, and return the largest difference from Gluon, relative to the output.

    Input `images` (batch, in_channels, height, width) float32, normalised; output `logits` (batch, classes), or all
    that the network gives. The batch is free, and so are height and width unless the network is tied to `size`.
    BatchNorm is folded into convolutions. card (weights.card.Card; the network's own, where it has one, by default)
    goes into the file's metadata. Above `tolerance` nothing is written.

    >>> export_onnx(net, "net.onnx", size=32) < 1e-4
    True
    """
    model, difference = verified(net, size, in_channels, tolerance)
    card = own_card(net, size, in_channels, card)
    if card is not None:
        card = card.but(outputs=[output.name for output in model.graph.output])
        onnx.helper.set_model_props(model, card.to_metadata())
    write_bytes(path, model.SerializeToString())
    return difference


def verified(
    net: mx.gluon.HybridBlock, size: int, in_channels: int = 3, tolerance: float = check.TOLERANCE
) -> Tuple[onnx.ModelProto, float]:
    """(onnx.ModelProto, its difference from Gluon).

    >>> model, difference = verified(net, 32)
    >>> [output.name for output in model.graph.output]
    ['logits']
    """
    symbol = trace(net)
    check.check_network(symbol, net, size, in_channels)
    free = check.takes(symbol, net, size + 32, in_channels)
    model = onnx_graph.to_onnx(net, size, in_channels, dynamic_size=free)
    running = session(model.SerializeToString())
    sizes = (size, size + 32) if free else (size,)
    found = check.difference(
        net, lambda images: running.run(None, {onnx_graph.INPUT: images}), size, in_channels, sizes=sizes
    )
    check.demand(found, tolerance)
    return model, found
