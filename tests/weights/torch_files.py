"""PyTorch's two forms of a .pth file, written without torch."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from unittest import mock

import numpy as np

KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "u1": "ByteStorage"}


def _stub(name, module):
    """A class that is pickled as torch's of that name."""
    return type(name, (), {"__module__": module, "__qualname__": name})


STORAGES = {kind: _stub(name, "torch") for kind, name in KINDS.items()}
REBUILD = _stub("_rebuild_tensor_v2", "torch._utils")


class Record:
    def __init__(self, array, key, count=None):
        self.data = np.ascontiguousarray(array).tobytes()
        self.kind, self.key, self.count = array.dtype.str[1:], key, array.size if count is None else count


class Tensor:
    def __init__(self, record, shape, strides=None, offset=0):
        self.arguments = (record, offset, shape, strides or strides_of(shape), False, OrderedDict())

    def __reduce__(self):
        return REBUILD, self.arguments


def strides_of(shape):
    return tuple(int(np.prod(shape[i + 1 :], dtype="int64")) for i in range(len(shape)))


def tensors(arrays):
    """({name: Tensor}, the records) of {name: array}."""
    records = [Record(array, str(number)) for number, array in enumerate(arrays.values())]
    return {name: Tensor(record, arrays[name].shape) for name, record in zip(arrays, records)}, records


def pickled(value):
    modules = {"torch": types.ModuleType("torch"), "torch._utils": types.ModuleType("torch._utils")}
    for storage in STORAGES.values():
        setattr(modules["torch"], storage.__name__, storage)
    modules["torch._utils"]._rebuild_tensor_v2 = REBUILD
    stream = io.BytesIO()
    with mock.patch.dict(sys.modules, modules):
        pickler = pickle.Pickler(stream, protocol=2)
        pickler.persistent_id = lambda each: (
            ("storage", STORAGES[each.kind], each.key, "cpu", each.count) if isinstance(each, Record) else None
        )
        pickler.dump(value)
    return stream.getvalue()


def archive(program, records, compression=zipfile.ZIP_STORED):
    """The form of torch 1.6 and later."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/byteorder", "little")
        for record in records:
            file.writestr(f"archive/data/{record.key}", record.data)
        file.writestr("archive/version", "3\n")
    return stream.getvalue()


def legacy(program, records):
    """The form before torch 1.6: one after the other."""
    system = dict(protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    head = [pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, system)]
    keys = pickle.dumps([record.key for record in records], protocol=2)
    numbers = [struct.pack("<q", record.count) + record.data for record in records]
    return b"".join([*head, program, keys, *numbers])


FORMS = {"archive": archive, "legacy": legacy}


def torch_file(arrays, form="archive", nest=lambda state: state):
    described, records = tensors(arrays)
    return FORMS[form](pickled(nest(described)), records)
