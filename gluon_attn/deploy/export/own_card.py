"""The card that goes into an exported file where none is given."""

from __future__ import annotations

from typing import Any, Optional

from gluon_attn.weights.card import Card


def own_card(net: Any, size: int, card: Optional[Card] = None) -> Optional[Card]:
    """`card`, else the network's own, which `get_model(..., pretrained=)` gave it, for pictures of `size`; else None.

    >>> own_card(gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits"), 32).input_size
    32
    """
    own = getattr(net, "card", None)
    if card is not None or not isinstance(own, Card):
        return card
    return own.but(input_size=size)
