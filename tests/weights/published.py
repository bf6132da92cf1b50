"""Random files in the published layouts, for tests: names and shapes from layouts/*.json.gz."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

import mxnet as mx
import numpy as np


@functools.lru_cache(maxsize=None)
def layouts(source):
    path = Path(__file__).parent / "layouts" / f"{source}.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def random_arrays(source, layout, seed=0, dtype="float32"):
    """{name: array}: signals keep their size from layer to layer, and no two tensors are alike."""
    rng = np.random.RandomState(seed)
    pool = rng.standard_normal(1 << 22).astype("float32")  # slices of one pool: 25 M normal numbers take seconds
    return {name: _random(rng, pool, name, shape).astype(dtype) for name, shape in layouts(source)[layout].items()}


def _random(rng, pool, name, shape):
    if name.endswith("num_batches_tracked"):
        return np.asarray(7)
    size = int(np.prod(shape))
    start = rng.randint(len(pool) - size)
    values = pool[start : start + size].reshape(shape)
    if name.endswith(("gamma", "running_var")) or (name.endswith("weight") and len(shape) == 1):
        return 1 + 0.3 * np.tanh(values)
    if len(shape) > 1:
        return values * np.sqrt(1.5 / np.prod(shape[1:]))
    return 0.2 * values


def save(path, arrays):
    """Write a .params file by MXNet itself, or a .safetensors file."""
    if str(path).endswith(".safetensors"):
        from safetensors.numpy import save_file

        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(path))
    else:
        mx.nd.save(str(path), {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()})
    return path
