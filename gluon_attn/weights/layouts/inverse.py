"""Our names in the published layouts: the sources' `published_names`, checked by their key maps."""

from __future__ import annotations

from gluon_attn.errors import WeightsError
from gluon_attn.weights.layouts import ALIASES, SOURCES, source_of

FORMATS = (*[name for name, source in SOURCES.items() if hasattr(source, "published_names")], *ALIASES)


def published_names(layout, names, stem_length=2):
    """{our name: name in files of `layout`}; a WeightsError where the layout has no place for one of them.

    stem_length : layers of the stem, pooling and all, by which open-aff counts its stages
    """
    names = list(names)
    theirs = source_of(layout).published_names(names, stem_length)
    back = source_of(layout).key_map(list(theirs.values()))
    lost = [name for name in names if back.get(theirs.get(name)) != name]
    if lost:
        raise WeightsError(
            f"Files of {layout!r} have no place for {', '.join(lost[:4])}{', ...' if len(lost) > 4 else ''}: save the "
            "network with format='gluon', or take it to PyTorch whole (deploy.to_torch, `gluon-attn export`)."
        )
    return theirs
