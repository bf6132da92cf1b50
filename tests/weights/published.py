"""Random files in the published layouts, for tests: names and shapes from layouts/*.json.gz."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

import mxnet as mx
import numpy as np

from gluon_attn.weights import WeightsEntry
from gluon_attn.weights.verify import digest


@functools.lru_cache(maxsize=None)
def layouts(source):
    path = Path(__file__).parent / "layouts" / f"{source}.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def random_arrays(source, layout, seed=0, dtype="float32"):
    """{name: array}: signals keep their size from layer to layer, and no two tensors are alike."""
    rng = np.random.RandomState(seed)
    shapes = layouts(source)[layout]
    size = max(1 << 22, 1 + max(int(np.prod(shape)) for shape in shapes.values()))
    pool = rng.standard_normal(size).astype("float32")  # slices of one pool: 25 M normal numbers take seconds
    return {name: _random(rng, pool, name, shape).astype(dtype) for name, shape in shapes.items()}


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


def entry_for(model, data, kind="sha256", **changes):
    """A row of the weights table for a file with the bytes `data`; `changes` replace its fields."""
    preprocessing = dict(dataset="cifar10", mean=(0.5,) * 3, std=(0.25,) * 3, input_size=32, crop_pct=1.0)
    fields = dict(
        model=model,
        tag="test",
        source="gluon_attn",
        url=None,
        member=None,
        hash_kind=kind,
        hash=digest(kind, data),
        top1_error=12.5,
        top5_error=None,
        classes=10,
        preprocessing=dict(preprocessing, interpolation="bilinear"),
    )
    return WeightsEntry(**{**fields, **changes})
