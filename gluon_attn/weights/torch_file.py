"""PyTorch's files of weights (.pth), read without torch and without unpickling: nothing in them is ever called.

Such a file describes its tensors by a program (torch_program.py). Numbers come from the records of the zip archive
(torch 1.6 and later) or from behind the program, and a tensor must lie within its record; torch's own reader trusts the
count in the program.
"""

from __future__ import annotations

import functools
import io
import math
import struct

import numpy as np

from gluon_attn.errors import WeightsError
from gluon_attn.weights.archive import Archive
from gluon_attn.weights.torch_program import DTYPES, Damaged, Machine, Tensor

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_torch(data, where):
    """{name: array} from the bytes of a .pth file; of a checkpoint, its `state_dict` or `model`."""
    try:
        loaded, records = (_read_archive if data[:2] == b"PK" else _read_legacy)(data, where)
        for key in ("state_dict", "model"):
            if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
                loaded = loaded[key]
        if not (isinstance(loaded, dict) and loaded and all(isinstance(value, Tensor) for value in loaded.values())):
            raise WeightsError(f"{where} holds no state_dict of tensors.")
        _demand_size(loaded, len(data))
        return {str(name): _array(tensor, records) for name, tensor in loaded.items()}
    except Damaged as problem:
        raise WeightsError(
            f"{where} is no file of weights by PyTorch, or damaged: {problem}. Nothing in it ran."
        ) from None


def _read_archive(data, where):
    """The described object, and a function from a storage to its numbers."""
    archive = Archive(io.BytesIO(data), where)
    if not archive.stored:
        raise Damaged("its records are compressed, and PyTorch's never are")
    programs = [name for name in archive.names if name.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1:
        raise Damaged(f"it holds {len(programs)} records data.pkl")
    folder = programs[0][: -len("data.pkl")]
    mark = f"{folder}byteorder"
    order = ">" if mark in archive.names and archive.read(mark) == b"big" else "<"
    loaded, _ = Machine(archive.read(programs[0])).run()
    read = functools.lru_cache(maxsize=None)(lambda key: archive.read(f"{folder}data/{key}"))
    return loaded, lambda storage: _numbers(storage, read(storage.key), order)


def _read_legacy(data, where):
    """As `_read_archive`: programs for a magic number, version, machine, the object and its keys; then the numbers."""
    at, values, storages = 0, [], {}
    for _ in range(5):
        machine = Machine(data, at)
        value, at = machine.run()
        values.append(value)
        storages.update(machine.storages)
    if values[0] != _LEGACY_MAGIC or not isinstance(values[4], list):
        raise Damaged("it does not begin with PyTorch's magic number")
    read = {}
    for key in values[4]:
        if not isinstance(key, str) or key not in storages:
            raise Damaged("it holds numbers that nothing describes")
        count = struct.unpack_from("<q", data, at)[0] if at + 8 <= len(data) else -1
        end = at + 8 + count * _itemsize(storages[key])
        if count != storages[key].count or end > len(data):
            raise Damaged(f"the numbers {key} are cut short")
        read[key], at = data[at + 8 : end], end

    def numbers(storage):
        if storage.key not in read:
            raise Damaged(f"it lacks the numbers {storage.key}")
        return _numbers(storage, read[storage.key], "<")

    return values[3], numbers


def _itemsize(storage):
    return np.dtype(DTYPES[storage.kind]).itemsize


def _numbers(storage, record, order):
    if len(record) < storage.count * _itemsize(storage):
        raise Damaged(f"the record {storage.key} has {len(record)} bytes for {storage.count} numbers")
    return np.frombuffer(record, np.dtype(DTYPES[storage.kind]).newbyteorder(order), storage.count)


def _demand_size(tensors, size):
    """All tensors together are no larger than the file, or twice that where some share their numbers."""
    total = sum(math.prod(tensor.shape) * _itemsize(tensor.storage) for tensor in tensors.values())
    if total > 2 * size:
        raise Damaged(f"its tensors have {total} bytes, the file {size}")


def _array(tensor, numbers):
    """The tensor as numpy has it, floating-point numbers of 16 bits as float32: numpy has no bfloat16."""
    flat = numbers(tensor.storage)
    if 0 in tensor.shape:
        raise Damaged(f"a tensor has the shape {tensor.shape}")
    last = tensor.offset + sum((dim - 1) * stride for dim, stride in zip(tensor.shape, tensor.strides))
    if last >= len(flat):
        raise Damaged(f"a tensor of shape {tensor.shape} ends behind its {len(flat)} numbers")
    steps = [stride * flat.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps, writeable=False)
    if tensor.storage.kind == "BFloat16":  # the upper half of a float32
        return (view.astype("u4") << 16).view("f4")
    return view.astype({"f": "f4"}.get(view.dtype.kind, view.dtype.newbyteorder("=")))
