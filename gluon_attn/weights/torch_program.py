"""The program that describes the tensors of a PyTorch file, run without calling anything that it names.

Python's pickle is a language for a small stack machine. The machine here knows the instructions that a dictionary of
tensors needs. Where the program asks for a function, it gets a name: `torch._utils._rebuild_tensor_v2` with its
arguments is a tensor, `collections.OrderedDict` a dictionary, and any other name the end.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

DTYPES = {
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
_MARK = object()


class _Name(NamedTuple):
    """A class or function that the file names."""

    text: str


class _Storage(NamedTuple):
    """A record of numbers."""

    kind: str
    key: str
    count: int


class Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class Damaged(Exception):
    """What the file does that no file of weights does."""


class Machine:
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
                raise Damaged(f"byte {self.at - 1} is the instruction {code!r}, which weights do not need")
            step(self)
        raise Damaged(f"it has more than {_MOST_STEPS} instructions")

    def bytes(self, count):
        self.at += count
        if self.at > len(self.data):
            raise Damaged("it is cut short")
        return self.data[self.at - count : self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.bytes(struct.calcsize(form)))[0]

    def text(self, count):
        try:
            return self.bytes(count).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise Damaged(f"byte {self.at} is no text") from None

    def line(self):
        end = self.data.find(b"\n", self.at, self.at + 1000)
        if end < 0:
            raise Damaged("a name does not end")
        name = self.text(end - self.at)
        self.at += 1
        return name

    def pop(self):
        if not self.stack or self.stack[-1] is _MARK:
            raise Damaged("it takes what it did not put down")
        return self.stack.pop()

    def since_mark(self):
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise Damaged("a mark is missing")

    def push(self, value):
        self.stack.append(value)

    def remember(self, key):
        value = self.pop()
        self.push(value)
        self.memo[key] = value

    def recall(self, key):
        if key not in self.memo:
            raise Damaged(f"it recalls {key}, which it never kept")
        self.push(self.memo[key])

    def long(self):
        self.push(int.from_bytes(self.bytes(self.number("B")), "little", signed=True))

    def name(self):
        text = f"{self.line()} {self.line()}"
        kind = text[len("torch ") : -len("Storage")]
        storage = text == f"torch {kind}Storage" and kind in DTYPES
        if not storage and text not in (*_TENSOR, *_PARAMETER, _DICTIONARY, *_PASSED_OVER):
            raise Damaged(f"it asks for {text.replace(' ', '.')}, which weights do not need")
        self.push(_Name(text))

    def tuple_of(self, count):
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def set_items(self, values):
        target = self.pop()
        if not isinstance(target, dict) or len(values) % 2:
            raise Damaged("it puts items into what is no dictionary")
        for key, value in zip(values[::2], values[1::2]):
            if not (isinstance(key, str) or (type(key) is int and abs(key) < 1 << 60)):
                raise Damaged("a key is neither text nor a number")
            target[key] = value
        self.push(target)

    def extend(self, values):
        target = self.pop()
        if not isinstance(target, list):
            raise Damaged("it appends to what is no list")
        target.extend(values)
        self.push(target)

    def build(self):
        self.pop()  # attributes, of which the object before it keeps none

    def reduce(self):
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise Damaged("it calls what is no function")
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
            raise Damaged("it refers to something that is no storage")
        if described[5:] not in ((), (None,)):
            raise Damaged(f"the storage {described[2]} is a part of another: save the weights anew")
        kind = described[1].text[len("torch ") : -len("Storage")]
        if kind not in DTYPES or described[4] < 0:
            raise Damaged(f"the storage {described[2]} is of an unknown kind")
        storage = _Storage(kind, described[2], described[4])
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Damaged(f"the storage {storage.key} is described twice")
        self.push(storage)


def _tensor(arguments):
    storage, offset, shape, strides = (*arguments[:4], *[None] * (4 - len(arguments[:4])))
    tuples = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 32
    if not (isinstance(storage, _Storage) and tuples):
        raise Damaged("a tensor is described by something else than tensors are")
    if not all(type(value) is int and 0 <= value < 1 << 62 for value in (offset, *shape, *strides)):
        raise Damaged("a tensor has an impossible shape, strides or offset")
    return Tensor(storage, offset, shape, strides)


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
    b"\x8a": Machine.long,
    b"G": lambda m: m.push(struct.unpack(">d", m.bytes(8))[0]),
    b"X": lambda m: m.push(m.text(m.number("I"))),
    b"U": lambda m: m.push(m.text(m.number("B"))),
    b"C": lambda m: m.push(m.bytes(m.number("B"))),
    b"c": Machine.name,
    b"q": lambda m: m.remember(m.number("B")),
    b"r": lambda m: m.remember(m.number("I")),
    b"h": lambda m: m.recall(m.number("B")),
    b"j": lambda m: m.recall(m.number("I")),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"Q": Machine.persistent,
    b"R": Machine.reduce,
    b"b": Machine.build,
    b"s": lambda m: m.set_items(list(reversed([m.pop(), m.pop()]))),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.since_mark()),
    b"0": lambda m: m.pop() and None,
}
