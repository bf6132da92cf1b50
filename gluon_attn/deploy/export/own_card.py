"""The card that goes into an exported file where none is given."""

from __future__ import annotations

from typing import Any, Optional

from gluon_attn.weights.card import Card


def own_card(net: Any, size: int, in_channels: int = 3, card: Optional[Card] = None) -> Optional[Card]:
    """`card`, else the network's own, which `get_model(..., pretrained=)` gave it, for pictures of `size`; else None.

    None, too, where the own one normalises another number of channels than the network takes (`in_channels=` of an
    adapted one): nothing could be served by it.

    >>> own_card(gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits"), 32).input_size
    32
    """
    own = getattr(net, "card", None)
    if card is not None or not isinstance(own, Card) or len(own.mean) != in_channels:
        return card
    return own.but(input_size=size)
