"""Graph, weights and card as one file, `net.safetensors`: what `gluon-attn export --format torch` writes.

The tensors have the names of `net.save_parameters`, so `gluon_attn.load_weights` takes the file back into Gluon. The
metadata hold the graph, the card, and a SHA-256 of graph and tensors: neither can be exchanged without the other.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Dict, Tuple

import numpy as np

from gluon_attn.deploy.run.symbol_json import Graph, read_graph, write_graph
from gluon_attn.errors import GluonAttnError
from gluon_attn.files import replacing
from gluon_attn.weights.files import read_arrays, read_file

SUFFIX = ".safetensors"
_GRAPH, _HASH = "graph", "sha256"


def write_pair(path: os.PathLike, graph: Graph, arrays: Dict[str, np.ndarray], metadata: Dict[str, str]) -> None:
    """Write them as one file, whole or not at all."""
    from safetensors.numpy import save_file

    text = write_graph(graph)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with replacing(path) as temporary:
        save_file(arrays, str(temporary), {**metadata, _GRAPH: text, _HASH: _digest(text, arrays)})
        read_pair(temporary)


def read_pair(path: os.PathLike) -> Tuple[Graph, Dict[str, np.ndarray], Dict[str, str]]:
    """(Graph, {name: array}, the other metadata), verified before the graph is looked at."""
    data = read_file(path)
    arrays = read_arrays(data, path)
    metadata = _metadata(data)
    if _GRAPH not in metadata or _HASH not in metadata:
        raise GluonAttnError(
            f"{path} holds weights without their graph: it was not written by `gluon-attn export --format torch`."
        )
    text, expected = metadata.pop(_GRAPH), metadata.pop(_HASH)
    if _digest(text, arrays) != expected:
        raise GluonAttnError(f"{path} is damaged: its graph and weights are not those once written. Export it again.")
    return read_graph(text, path), arrays, metadata


def _metadata(data) -> Dict[str, str]:
    """Of a .safetensors file that its reader has found in order: 8 bytes of length, then a JSON header."""
    length = int.from_bytes(bytes(data[:8]), "little")
    return dict(json.loads(bytes(data[8 : 8 + length])).get("__metadata__") or {})


def _digest(text, arrays):
    whole = hashlib.sha256(text.encode("utf-8"))
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"\n{name} {array.dtype.name} {array.shape}\n".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()
