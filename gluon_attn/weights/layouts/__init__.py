"""Key maps: from the names in a published file to ours, one module a source.

A source is `recognises(names) -> bool` and `key_map(names) -> {name in the file: our name, or None where the tensor is
deliberately unused}`; both are pure and see nothing but the names. A name that the map leaves out is an error of the
file, so a map is total by construction. `SUFFIX` is that of its files, `COUNTS_BATCHES` whether they hold a
`num_batches_tracked` beside every running mean. Where networks can be saved in its layout it has the inverse,
`published_names(names, stem_length) -> {our name: theirs}`. A new source is one module and one line in SOURCES.

Names and shapes may fit another network than the file's. Then the source has `told(names) -> {keyword: value}`, what
the names tell of the network besides, or `untold(names) -> {keyword: which networks have what}`, what they leave open
(`weights/fitting.py`).
"""

from __future__ import annotations

from gluon_attn.errors import WeightsError, unknown
from gluon_attn.weights.layouts import abn, imgclsmob, openaff, own, timm

SOURCES = {"gluon_attn": own, "openaff": openaff, "imgclsmob": imgclsmob, "timm": timm, "abn": abn}
ALIASES = {"torchvision": "timm", "gluon": "gluon_attn"}  # formats with the names of another one, and ours


def recognise(names, where="the file"):
    """The one source whose files have such names."""
    names = list(names)
    matching = [source for source, module in SOURCES.items() if module.recognises(names)]
    holds = f"it holds {len(names)} tensors, {', '.join(names[:4])}, ..."
    if not matching:
        raise WeightsError(f"{where} has none of the known layouts ({', '.join(SOURCES)}): {holds}")
    if len(matching) > 1:
        raise WeightsError(
            f"{where} has the layout of {' and of '.join(matching)}: {holds} Say which: load_weights(..., source=)."
        )
    return matching[0]


def key_map(source, names):
    """{name in the file: our name or None} for the files of `source`."""
    return source_of(source).key_map(list(names))


def source_of(layout):
    """The module of the files that `layout` stands for.

    >>> source_of("torchvision").SUFFIX
    '.safetensors'
    """
    if layout not in SOURCES and layout not in ALIASES:
        raise unknown("source of weights", layout, [*SOURCES, *ALIASES], WeightsError)
    return SOURCES[ALIASES.get(layout, layout)]
