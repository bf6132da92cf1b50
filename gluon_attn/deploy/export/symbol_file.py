"""`export_symbol`: a Gluon network as MXNet's own pair of files, for any of its languages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import mxnet as mx

from gluon_attn import cpu
from gluon_attn.deploy.export import check
from gluon_attn.deploy.export.own_card import own_card
from gluon_attn.deploy.export.trace import as_block, names_of, place_of, trace
from gluon_attn.files import AnyPath, write_text
from gluon_attn.weights.files import write_checked

if TYPE_CHECKING:
    from gluon_attn.weights.card import Card


def export_symbol(
    net: mx.gluon.HybridBlock,
    prefix: AnyPath,
    size: int,
    *,
    in_channels: int = 3,
    card: Optional[Card] = None,
    tolerance: float = check.TOLERANCE,
) -> float:
    """Write PREFIX-symbol.json, PREFIX-0000.params and PREFIX-card.json; the difference from Gluon is returned.

    The graph is the one of inference: nothing in it that only training on a CPU needs. card : by default the network's
    own; where it has none, there is no third file, and one of an export before is removed.

    >>> export_symbol(net, "net", size=32) < 1e-4
    True
    """
    symbol = trace(net)
    check.check_network(symbol, net, size, in_channels)
    used = set(symbol.list_inputs())
    auxiliary = set(symbol.list_auxiliary_states())
    arrays = {
        f"{'aux' if name in auxiliary else 'arg'}:{name}": p.list_data()[0].as_in_context(mx.cpu())
        for name, p in net.collect_params().items()
        if name in used
    }
    block = as_block(net)
    found = check.difference(net, lambda images: _run(block, mx.nd.array(images, ctx=place_of(net))), size, in_channels)
    check.demand(found, tolerance)
    cpu.finish_relaying()
    write_checked(f"{prefix}-0000.params", lambda path: mx.nd.save(path, arrays))
    write_text(f"{prefix}-symbol.json", symbol.tojson())
    card = own_card(net, size, in_channels, card)
    card_file = Path(f"{prefix}-card.json")
    if card is not None:
        names = names_of(net, len(symbol.list_outputs()))
        card.but(outputs=names).write(card_file)
    else:  # one of an export before: this network would be served under the name and classes of that
        card_file.unlink(missing_ok=True)
    return found


def _run(block, images):
    outputs = block(images)
    return [y.asnumpy() for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
