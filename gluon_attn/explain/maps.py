"""The maps that the attention mechanisms of a network make themselves, as outputs of a second graph.

See gluon_attn/attention/announce.py for how a mechanism announces them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, Tuple

import mxnet as mx
import numpy as np

from gluon_attn.attention.announce import KINDS, listening
from gluon_attn.attention.gating import Gating
from gluon_attn.errors import GluonAttnError
from gluon_attn.explain.cam import as_batch, enlarge
from gluon_attn.explain.graph import built_once, subgraph
from gluon_attn.models.refused import taking

AXES = ("rows", "columns")  # maps along one axis of the picture: two of them make one of places


@dataclass(frozen=True, repr=False)
class AttentionMap:
    """One map of one mechanism for a batch.

    name : path of the mechanism in the network ('stages.2.0.fuse')
    mechanism : its class ('AFF', 'Gating', ...)
    kind : 'channel' (N, C, 1, 1), 'plane' (N, 1, h, w), 'full' (N, C, h, w); 'rows' (N, C, h, 1) and 'columns'
        (N, C, 1, w), which weigh places along one axis; 'positions' (N, heads, queries, keys), 'channels' (N, C, C),
        'branches' (N, M, C, 1, 1)
    values : the weights that the mechanism used
    size : (H, W) of the network's input
    inverse : an inverse gate, made to say what is *ignored*

    >>> attention_maps(net, x)["stages.0.0.fuse"].enlarged().shape == (len(x), *x.shape[2:])
    True
    """

    name: str
    mechanism: str
    kind: str
    values: np.ndarray
    size: tuple
    inverse: bool = False

    def __repr__(self):
        shape = " x ".join(map(str, self.values.shape))
        low, mean, high = self.values.min(), self.values.mean(), self.values.max()
        return f"<{self.mechanism} at {self.name}: {self.kind} {shape}, {low:.3g} to {high:.3g}, mean {mean:.3g}" + (
            ", inverse>" if self.inverse else ">"
        )

    @property
    def ignored(self):
        """1 - values: what an inverse gate suppresses."""
        if not self.inverse:
            raise GluonAttnError(
                f"{self.name} is not an inverse gate: gating='complement' and its like have `ignored`."
            )
        return 1 - self.values

    @property
    def has_plane(self):
        return self.kind in ("plane", "full", "positions", *AXES)

    def plane(self, pixel=None, channel=None):
        """A picture (N, h, w): of 'full' the mean over channels or one channel; of 'positions' what `pixel` looks at.

        Of 'rows' it is (N, h, 1), of 'columns' (N, 1, w): `enlarged` draws the line over the whole picture.

        pixel : (row, column) in the network's input; without it the mean over all queries, what is looked at most;
            heads are averaged
        """
        if not self.has_plane:
            raise GluonAttnError(f"{self.name} weighs {self.kind}, not places: it has no plane; see its `values`.")
        if self.kind != "positions":
            return self.values.mean(axis=1) if channel is None else self.values[:, channel]
        weights = self.values.mean(axis=1)
        rows = weights.mean(axis=1) if pixel is None else weights[:, self._query(pixel)]
        return rows.reshape(-1, *grid(weights.shape[2], self.size))

    def enlarged(self, pixel=None, channel=None):
        """The plane at the size of the input, (N, H, W); the values stay what they are."""
        return enlarge(self.plane(pixel, channel), self.size)

    def _query(self, pixel):
        height, width = grid(self.values.shape[2], self.size)
        row, column = pixel
        if not (0 <= row < self.size[0] and 0 <= column < self.size[1]):
            raise GluonAttnError(f"pixel={tuple(pixel)} lies outside of the input of {self.size[0]}x{self.size[1]}.")
        return row * height // self.size[0] * width + column * width // self.size[1]


def attention_maps(net: mx.gluon.HybridBlock, *inputs: mx.nd.NDArray) -> Dict[str, AttentionMap]:
    """{name: AttentionMap} of every map that the mechanisms in `net` announce, in the order of computation.

    net : a network, or a single mechanism (a fusion takes two inputs); hybridized or not
    inputs : one image (3, H, W) or a batch (N, 3, H, W), normalised

    The maps come out of a second graph with the same parameters; the network itself is not touched.

    >>> maps = attention_maps(net, x)
    >>> maps["stages.2.0.fuse"].kind
    'full'
    """
    inputs = [as_batch(x) for x in inputs]
    announced, graph = built_once(_map_graph, net, len(inputs))
    if not announced:
        return {}
    with taking(*inputs):
        values = graph(*inputs)
    values = values if isinstance(values, (list, tuple)) else [values]
    count, size = inputs[0].shape[0], tuple(inputs[0].shape[2:])
    maps = {}
    for (name, mechanism, kind, inverse), value in zip(announced, values):
        kind, value = kind or kind_of(value.shape), value.asnumpy()
        if value.ndim != KINDS[kind]:
            raise GluonAttnError(
                f"{name} announced a map of shape {value.shape} as {kind!r}, which has {KINDS[kind]} axes: leave out "
                "the kind where the shape says it, or reshape the map (gluon_attn/attention/announce.py)."
            )
        if kind == "positions":
            value = value.reshape(count, -1, *value.shape[1:])
        maps[name] = AttentionMap(name, mechanism, kind, value, size, inverse)
    return maps


def kind_of(shape: tuple) -> str:
    """The kind of a map that was announced without one.

    >>> kind_of((8, 64, 1, 1)), kind_of((8, 1, 7, 7))
    ('channel', 'plane')
    """
    if len(shape) != 4:
        raise GluonAttnError(f"A map of shape {shape} was announced without a kind: choose one of {', '.join(KINDS)}.")
    if shape[2] == shape[3] == 1:
        return "channel"
    if 1 in shape[2:]:
        return "rows" if shape[3] == 1 else "columns"
    return "plane" if shape[1] == 1 else "full"


def grid(count: int, size: Tuple[int, int]) -> Tuple[int, int]:
    """(h, w) with h * w = count and the ratio h / w nearest to that of `size`: the shape of a flattened map.

    >>> grid(49, (224, 224)), grid(32, (100, 200))
    ((7, 7), (4, 8))
    """
    heights = [h for h in range(1, count + 1) if count % h == 0]
    height = min(heights, key=lambda h: abs(math.log(h * h * size[1] / (count * size[0]))))
    return height, count // height


def _map_graph(net, inputs):
    """([(name, mechanism, kind, inverse), ...], block that computes these maps); ([], None) where there are none."""
    blocks = _blocks(net)
    paths = {block: path for path, block in blocks.items()}
    announced, symbols = {}, []

    def listener(mechanism, weight, kind, inverse):
        path = paths[mechanism]
        if isinstance(mechanism, Gating):  # the part of a mechanism, which people know by the mechanism's name
            path = path.rpartition(".")[0]
        name, number = path or "map", 2
        while name in announced:
            name, number = f"{path}#{number}", number + 1
        announced[name] = (type(blocks[path]).__name__, kind, inverse)
        symbols.append(weight)

    names = [f"data{i}" for i in range(inputs)]
    variables = [mx.sym.var(name) for name in names]
    with listening(listener):
        net(*variables)
    graph = subgraph(net, mx.sym.Group(symbols), names) if symbols else None
    return [(name, *facts) for name, facts in announced.items()], graph


def _blocks(block, path=""):
    """{attribute path: block} of a block ('') and everything inside it."""
    found = {path: block}
    for name, child in block._children.items():
        found.update(_blocks(child, f"{path}.{name}".strip(".")))
    return found
