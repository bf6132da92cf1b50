"""MXNet's .params container, read in Python into numpy.

MXNet's own loader believes every length in the file: a flipped bit can ask it for terabytes or end the interpreter.
Here each header is checked against what is left of the file before anything is allocated; the arrays are views of it.

uint64 0x112, uint64 0, uint64 n, then n arrays, uint64 m (0 or n), then m names of uint64 length. An array is
uint32 magic, [int32 storage type], int32 ndim, int64 dims, int32 device type, int32 device id, int32 dtype, the data.
"""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np

from gluon_attn.errors import WeightsError

LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # MXNet before 1.0; 1.x; 1.x with numpy shapes
_DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
_DEVICES = (1, 2, 3, 5)  # CPU, GPU, and their pinned and shared memory
_MOST_DIMS, _MOST_ARRAYS, _LONGEST_NAME = 32, 1 << 20, 1 << 16


def read_params(data, where="the file"):
    """{name: array} of a .params file given as bytes; `arg:` and `aux:` prefixes of Module's files are dropped."""
    cursor = _Cursor(data, where)
    if len(data) < 24 or cursor.take("Q", "magic number") != LIST_MAGIC:
        raise WeightsError(f"{where} is not an MXNet .params file: it does not begin with its magic number.")
    if cursor.take("Q", "reserved field"):
        raise cursor.damaged("its reserved field is not 0")
    count = cursor.below(cursor.take("Q", "number of arrays"), _MOST_ARRAYS, "number of arrays")
    arrays = [_read_array(cursor, i) for i in range(count)]
    named = cursor.below(cursor.take("Q", "number of names"), _MOST_ARRAYS, "number of names")
    if named != count:
        raise WeightsError(f"{where} has {count} arrays and {named} names: parameters are found by name.")
    names = [_read_name(cursor, i) for i in range(count)]
    if cursor.left():
        raise cursor.damaged(f"{cursor.left()} bytes follow the last name")
    if len(set(names)) != count:
        raise cursor.damaged(f"the name {Counter(names).most_common(1)[0][0]!r} occurs twice")
    return dict(zip(names, arrays))


def _read_array(cursor, index):
    what = f"array {index}"
    magic = cursor.take("I", f"{what}'s magic number")
    if magic not in (_V1, _V2, _V3):
        raise cursor.damaged(f"{what} begins with {magic:#x}, which no MXNet 1.x writes")
    if magic != _V1 and cursor.take("i", f"{what}'s storage type") != 0:
        raise cursor.damaged(f"{what} is sparse or undefined; weights are dense")
    dims = cursor.below(cursor.take("i", f"{what}'s ndim"), _MOST_DIMS, f"{what}'s ndim")
    if dims == 0 and magic != _V3:
        raise cursor.damaged(f"{what} is empty")
    shape = [cursor.take("q", f"{what}'s shape") for _ in range(dims)]
    if cursor.take("i", f"{what}'s device type") not in _DEVICES:
        raise cursor.damaged(f"{what} comes from an unknown kind of device")
    cursor.take("i", f"{what}'s device number")  # the place of the array when it was saved; nothing depends on it
    flag = cursor.take("i", f"{what}'s type")
    if not 0 <= flag < len(_DTYPES):
        raise cursor.damaged(f"{what} has the unknown type {flag}")
    return cursor.array(shape, np.dtype(_DTYPES[flag]).newbyteorder("<"), what)


def _read_name(cursor, index):
    length = cursor.below(cursor.take("Q", f"length of name {index}"), _LONGEST_NAME, f"length of name {index}")
    raw = bytes(cursor.bytes(length, f"name {index}"))
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise cursor.damaged(f"name {index} is not text") from None
    return name[4:] if name[:4] in ("arg:", "aux:") else name


class _Cursor:
    """A position in bytes that never reads past their end."""

    def __init__(self, data, where):
        self.view, self.where, self.at = memoryview(data), where, 0

    def left(self):
        return len(self.view) - self.at

    def damaged(self, what):
        return WeightsError(f"{self.where} is damaged or cut short: {what}. Fetch it again.")

    def below(self, value, limit, what):
        if not 0 <= value < limit:
            raise self.damaged(f"{what} is {value}")
        return value

    def bytes(self, count, what):
        if count > self.left():
            raise self.damaged(f"{what} needs {count} bytes and {self.left()} are left")
        self.at += count
        return self.view[self.at - count : self.at]

    def take(self, form, what):
        form = "<" + form
        return struct.unpack(form, self.bytes(struct.calcsize(form), what))[0]

    def array(self, shape, dtype, what):
        size = dtype.itemsize  # Python integers: a product of dims cannot overflow
        for dim in shape:
            if dim < 0:
                raise self.damaged(f"{what} has the shape {tuple(shape)}")
            size *= dim
        if size == 0 and max(shape) > len(self.view):  # empty, with a side that numpy may not be able to count
            raise self.damaged(f"{what} has the shape {tuple(shape)}")
        return np.frombuffer(self.bytes(size, what), dtype=dtype).reshape(shape)
