"""Whether a network of a file's names and shapes is the file's network: they do not show all that it was built with."""

from __future__ import annotations

from typing import NamedTuple

from gluon_attn.weights.expressible import form, same_form
from gluon_attn.weights.layouts import source_of
from gluon_attn.weights.table import all_published


class Unsaid(NamedTuple):
    """What a network lacks that the file's network has, though names and shapes agree.

    told : {keyword: value} that the file's names tell
    likely : {keyword: value} of the other files of its source
    left_open : {keyword: the choice} that nobody tells
    """

    told: dict
    likely: dict
    left_open: dict


def unsaid(net, source, names):
    """The Unsaid of `net`, by the layout of the file and its names, which are those of `net`.

    What a keyword of `net` says of an open question is believed.

    >>> unsaid(get_model("cifar_resnet20"), "openaff", ["features.0.weight", "features.2.0.body.0.weight"]).told
    {'stem': 'linear'}
    """
    built, module = getattr(net, "zoo_arch", None), source_of(source)
    if built is None:
        return Unsaid({}, {}, {})
    told = module.told(names) if hasattr(module, "told") else {}
    untold = module.untold(names) if hasattr(module, "untold") else {}
    left_open = {key: choice for key, choice in untold.items() if key not in built}
    like = _first_like(net, source) if left_open else None
    told = {key: value for key, value in told.items() if built.get(key) != value}
    if like is None:
        return Unsaid(told, {}, left_open)
    return Unsaid(told, {key: like.arch[key] for key in left_open if key in like.arch}, {})


def _first_like(net, source):
    """The first published entry of that source whose network `net` is, depth and what its keywords say aside."""
    for entry in all_published():
        if entry.source == source and same_form(net, form(type(net), {**entry.arch, **net.zoo_arch}), entry):
            return entry
    return None
