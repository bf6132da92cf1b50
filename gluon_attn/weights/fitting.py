"""Whether a network of a file's names and shapes is the file's network: they do not show all that it was built with."""

from __future__ import annotations

from gluon_attn.weights.expressible import form, same_form
from gluon_attn.weights.layouts import source_of
from gluon_attn.weights.table import all_published


def keywords(net, source, names):
    """({keyword: value} that the file's network has and `net` has not, {keyword: the choice} that nobody tells).

    source, names : whose layout the file has, and its names, which are those of `net`. What a keyword of `net` says
    of an open question is believed; what other files of the source have is what this one has.

    >>> keywords(get_model("cifar_resnet20"), "openaff", ["features.0.weight", "features.2.0.body.0.weight"])
    ({'stem': 'linear'}, {})
    """
    built, module = getattr(net, "zoo_arch", None), source_of(source)
    if built is None:
        return {}, {}
    told = module.told(names) if hasattr(module, "told") else {}
    untold = module.untold(names) if hasattr(module, "untold") else {}
    open_ = {key: choice for key, choice in untold.items() if key not in built}
    like = _first_like(net, source) if open_ else None
    if like is not None:
        told, open_ = {**told, **{key: like.arch[key] for key in open_ if key in like.arch}}, {}
    return {key: value for key, value in told.items() if built.get(key) != value}, open_


def _first_like(net, source):
    """The first published entry of that source whose network `net` is, depth and what its keywords say aside."""
    for entry in all_published():
        if entry.source == source and same_form(net, form(type(net), {**entry.arch, **net.zoo_arch}), entry):
            return entry
    return None
