"""PyTorch's files of weights (.pth), read without torch and without unpickling: nothing in them is ever called.

Such a file describes its tensors in the language of Python's pickle, a program for a small stack machine. The machine
here knows the instructions that a dictionary of tensors needs. Where the program asks for a function, it gets a name:
`torch._utils._rebuild_tensor_v2` with its arguments is a tensor, `collections.OrderedDict` a dictionary, and any other
name the end. Numbers come from the records of the zip archive (torch 1.6 and later) or from behind the program, and a
tensor must lie within its record; torch's own reader trusts the count in the program.
"""

from __future__ import annotations

import functools
import io
import math
import struct
from typing import NamedTuple

import numpy as np

from gluon_attn.errors import WeightsError
from gluon_attn.weights.archive import Archive

_DTYPES = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "BFloat16": "u2",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}
_TENSOR = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2")
_PARAMETER = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")
_DICTIONARY = "collections OrderedDict"
# Beside the weights in checkpoints: kept as a name with arguments, and never looked at.
_PASSED_OVER = (
    "argparse Namespace",
    "numpy dtype",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "_codecs encode",
    "torch Size",
    "torch device",
    "collections defaultdict",
    "__builtin__ dict",
    "__builtin__ set",
)
_MOST_STEPS = 1 << 18  # of the program; a tensor takes about 30
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MARK = object()


class _Name(NamedTuple):
    """A class or function that the file names."""

    text: str


class _Storage(NamedTuple):
    """A record of numbers."""

    kind: str
    key: str
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _Damaged(Exception):
    """What the file does that no file of weights does."""


def read_torch(data, where):
    """{name: array} from the bytes of a .pth file; of a checkpoint, its `state_dict` or `model`."""
    try:
        loaded, records = (_read_archive if data[:2] == b"PK" else _read_legacy)(data, where)
        for key in ("state_dict", "model"):
            if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
                loaded = loaded[key]
        if not (isinstance(loaded, dict) and loaded and all(isinstance(value, _Tensor) for value in loaded.values())):
            raise WeightsError(f"{where} holds no state_dict of tensors.")
        _demand_size(loaded, len(data))
        return {str(name): _array(tensor, records) for name, tensor in loaded.items()}
    except _Damaged as problem:
        raise WeightsError(
            f"{where} is no file of weights by PyTorch, or damaged: {problem}. Nothing in it ran."
        ) from None


def _read_archive(data, where):
    """The described object, and a function from a storage to its numbers."""
    archive = Archive(io.BytesIO(data), where)
    if not archive.stored:
        raise _Damaged("its records are compressed, and PyTorch's never are")
    programs = [name for name in archive.names if name.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1:
        raise _Damaged(f"it holds {len(programs)} records data.pkl")
    folder = programs[0][: -len("data.pkl")]
    mark = f"{folder}byteorder"
    order = ">" if mark in archive.names and archive.read(mark) == b"big" else "<"
    loaded, _ = _Machine(archive.read(programs[0])).run()
    read = functools.lru_cache(maxsize=None)(lambda key: archive.read(f"{folder}data/{key}"))
    return loaded, lambda storage: _numbers(storage, read(storage.key), order)


def _read_legacy(data, where):
    """As `_read_archive`: programs for a magic number, version, machine, the object and its keys; then the numbers."""
    at, values, storages = 0, [], {}
    for _ in range(5):
        machine = _Machine(data, at)
        value, at = machine.run()
        values.append(value)
        storages.update(machine.storages)
    if values[0] != _LEGACY_MAGIC or not isinstance(values[4], list):
        raise _Damaged("it does not begin with PyTorch's magic number")
    read = {}
    for key in values[4]:
        if not isinstance(key, str) or key not in storages:
            raise _Damaged("it holds numbers that nothing describes")
        count = struct.unpack_from("<q", data, at)[0] if at + 8 <= len(data) else -1
        end = at + 8 + count * _itemsize(storages[key])
        if count != storages[key].count or end > len(data):
            raise _Damaged(f"the numbers {key} are cut short")
        read[key], at = data[at + 8 : end], end

    def numbers(storage):
        if storage.key not in read:
            raise _Damaged(f"it lacks the numbers {storage.key}")
        return _numbers(storage, read[storage.key], "<")

    return values[3], numbers


def _itemsize(storage):
    return np.dtype(_DTYPES[storage.kind]).itemsize


def _numbers(storage, record, order):
    if len(record) < storage.count * _itemsize(storage):
        raise _Damaged(f"the record {storage.key} has {len(record)} bytes for {storage.count} numbers")
    return np.frombuffer(record, np.dtype(_DTYPES[storage.kind]).newbyteorder(order), storage.count)


def _demand_size(tensors, size):
    """All tensors together are no larger than the file, or twice that where some share their numbers."""
    total = sum(math.prod(tensor.shape) * _itemsize(tensor.storage) for tensor in tensors.values())
    if total > 2 * size:
        raise _Damaged(f"its tensors have {total} bytes, the file {size}")


def _array(tensor, numbers):
    """The tensor as numpy has it, floating-point numbers of 16 bits as float32: numpy has no bfloat16."""
    flat = numbers(tensor.storage)
    if 0 in tensor.shape:
        raise _Damaged(f"a tensor has the shape {tensor.shape}")
    last = tensor.offset + sum((dim - 1) * stride for dim, stride in zip(tensor.shape, tensor.strides))
    if last >= len(flat):
        raise _Damaged(f"a tensor of shape {tensor.shape} ends behind its {len(flat)} numbers")
    steps = [stride * flat.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps, writeable=False)
    if tensor.storage.kind == "BFloat16":  # the upper half of a float32
        return (view.astype("u4") << 16).view("f4")
    return view.astype({"f": "f4"}.get(view.dtype.kind, view.dtype.newbyteorder("=")))


class _Machine:
    """Pickle's stack machine, as far as PyTorch uses it; every function is a `_Name`, and none is called."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at
        self.stack, self.memo, self.storages = [], {}, {}

    def run(self):
        """The described object and where its description ends."""
        for _ in range(_MOST_STEPS):
            code = self.bytes(1)
            if code == b".":
                return self.pop(), self.at
            step = _STEPS.get(code)
            if step is None:
                raise _Damaged(f"byte {self.at - 1} is the instruction {code!r}, which weights do not need")
            step(self)
        raise _Damaged(f"it has more than {_MOST_STEPS} instructions")

    def bytes(self, count):
        self.at += count
        if self.at > len(self.data):
            raise _Damaged("it is cut short")
        return self.data[self.at - count : self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.bytes(struct.calcsize(form)))[0]

    def text(self, count):
        try:
            return self.bytes(count).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise _Damaged(f"byte {self.at} is no text") from None

    def line(self):
        end = self.data.find(b"\n", self.at, self.at + 1000)
        if end < 0:
            raise _Damaged("a name does not end")
        name = self.text(end - self.at)
        self.at += 1
        return name

    def pop(self):
        if not self.stack or self.stack[-1] is _MARK:
            raise _Damaged("it takes what it did not put down")
        return self.stack.pop()

    def since_mark(self):
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise _Damaged("a mark is missing")

    def push(self, value):
        self.stack.append(value)

    def remember(self, key):
        value = self.pop()
        self.push(value)
        self.memo[key] = value

    def recall(self, key):
        if key not in self.memo:
            raise _Damaged(f"it recalls {key}, which it never kept")
        self.push(self.memo[key])

    def long(self):
        self.push(int.from_bytes(self.bytes(self.number("B")), "little", signed=True))

    def name(self):
        text = f"{self.line()} {self.line()}"
        kind = text[len("torch ") : -len("Storage")]
        storage = text == f"torch {kind}Storage" and kind in _DTYPES
        if not storage and text not in (*_TENSOR, *_PARAMETER, _DICTIONARY, *_PASSED_OVER):
            raise _Damaged(f"it asks for {text.replace(' ', '.')}, which weights do not need")
        self.push(_Name(text))

    def tuple_of(self, count):
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def set_items(self, values):
        target = self.pop()
        if not isinstance(target, dict) or len(values) % 2:
            raise _Damaged("it puts items into what is no dictionary")
        for key, value in zip(values[::2], values[1::2]):
            if not (isinstance(key, str) or (type(key) is int and abs(key) < 1 << 60)):
                raise _Damaged("a key is neither text nor a number")
            target[key] = value
        self.push(target)

    def extend(self, values):
        target = self.pop()
        if not isinstance(target, list):
            raise _Damaged("it appends to what is no list")
        target.extend(values)
        self.push(target)

    def build(self):
        self.pop()  # attributes, of which the object before it keeps none

    def reduce(self):
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise _Damaged("it calls what is no function")
        if function.text in _TENSOR:
            self.push(_tensor(arguments))
        elif function.text in _PARAMETER:
            self.push(arguments[0] if arguments else None)
        else:
            self.push({} if function.text == _DICTIONARY else function)

    def persistent(self):
        """('storage', its class, its key, the device, the count of its numbers)."""
        described = self.pop()
        described = described if isinstance(described, tuple) else ()
        kinds = [type(value) for value in described[:5]]
        if kinds != [str, _Name, str, str, int] or described[0] != "storage":
            raise _Damaged("it refers to something that is no storage")
        if described[5:] not in ((), (None,)):
            raise _Damaged(f"the storage {described[2]} is a part of another: save the weights anew")
        kind = described[1].text[len("torch ") : -len("Storage")]
        if kind not in _DTYPES or described[4] < 0:
            raise _Damaged(f"the storage {described[2]} is of an unknown kind")
        storage = _Storage(kind, described[2], described[4])
        if self.storages.setdefault(storage.key, storage) != storage:
            raise _Damaged(f"the storage {storage.key} is described twice")
        self.push(storage)


def _tensor(arguments):
    storage, offset, shape, strides = (*arguments[:4], *[None] * (4 - len(arguments[:4])))
    tuples = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 32
    if not (isinstance(storage, _Storage) and tuples):
        raise _Damaged("a tensor is described by something else than tensors are")
    if not all(type(value) is int and 0 <= value < 1 << 62 for value in (offset, *shape, *strides)):
        raise _Damaged("a tensor has an impossible shape, strides or offset")
    return _Tensor(storage, offset, shape, strides)


_STEPS = {
    b"\x80": lambda m: m.bytes(1),  # the version
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"(": lambda m: m.push(_MARK),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("B")),
    b"M": lambda m: m.push(m.number("H")),
    b"J": lambda m: m.push(m.number("i")),
    b"\x8a": _Machine.long,
    b"G": lambda m: m.push(struct.unpack(">d", m.bytes(8))[0]),
    b"X": lambda m: m.push(m.text(m.number("I"))),
    b"U": lambda m: m.push(m.text(m.number("B"))),
    b"C": lambda m: m.push(m.bytes(m.number("B"))),
    b"c": _Machine.name,
    b"q": lambda m: m.remember(m.number("B")),
    b"r": lambda m: m.remember(m.number("I")),
    b"h": lambda m: m.recall(m.number("B")),
    b"j": lambda m: m.recall(m.number("I")),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"Q": _Machine.persistent,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"s": lambda m: m.set_items(list(reversed([m.pop(), m.pop()]))),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.since_mark()),
    b"0": lambda m: m.pop() and None,
}
