"""Zip archives of weights and of checkpoints, read so that a small file cannot become a large one in memory.

What an archive says of itself is looked at before anything is unpacked: a member that was deflated to a small part of
its size holds no weights (floating-point numbers shrink by a tenth), unless the network needs that many bytes.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections import Counter

import numpy as np

from gluon_attn.errors import WeightsError

RATIO = 4  # an honest archive of weights has 1.1; one of zeros, a thousand
LARGEST = 2 << 30  # bytes; no network here comes near it
_NPY = re.compile(
    rb"\{'descr': '([<>|][biuf][1248])', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \}\s*"
)


class Archive:
    """`with Archive(stream, where) as archive`: `names`, and `read(name)`; any damage is a WeightsError."""

    def __init__(self, stream, where):
        self.where = where
        try:
            self._zip = zipfile.ZipFile(stream)
        except Exception as problem:  # zipfile raises its own errors and those of struct, of text and of numbers
            raise self._damaged(problem) from None
        self._members = {member.filename: member for member in self._zip.infolist()}
        if len(self._members) < len(self._zip.infolist()):
            self._zip.close()
            count = Counter(member.filename for member in self._zip.infolist())
            raise WeightsError(f"{where} holds {count.most_common(1)[0][0]!r} twice: which is meant cannot be known.")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._zip.close()

    def _damaged(self, problem):
        return WeightsError(f"{self.where} is a damaged zip archive ({problem}): fetch it again.")

    @property
    def names(self):
        return list(self._members)

    @property
    def stored(self):
        """Whether nothing in it is compressed."""
        return all(member.compress_type == zipfile.ZIP_STORED for member in self._members.values())

    def read(self, name, needed=0):
        """The bytes of the member `name`; other members' names are never followed. `needed`: by the network."""
        if name not in self._members:
            raise WeightsError(f"{self.where} has no member {name!r}; it holds {self.names[:5]}.")
        member = self._members[name]
        most = min(LARGEST, max(needed, RATIO * member.compress_size + 4096))
        if member.file_size > most:
            raise WeightsError(
                f"{name!r} in {self.where} unpacks to {member.file_size} bytes, where at most {most} can be weights: "
                "it was not unpacked."
            )
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WeightsError(f"{name!r} in {self.where} is neither stored nor deflated: pack it anew with `zip`.")
        try:
            with self._zip.open(member) as content:
                data = content.read(member.file_size)
                content.read(1)  # the end, where the checksum is compared
        except Exception as problem:  # of zipfile, zlib, struct; a password
            raise self._damaged(problem) from None
        if len(data) != member.file_size:
            raise self._damaged(f"{name!r} is cut short")
        return data


def read_npz(path, where):
    """{name: array} of numpy's .npz archive as numpy.savez writes it: stored, not deflated, and without objects."""
    with Archive(path, where) as archive:
        if not archive.stored:
            raise WeightsError(f"{where} was packed by another program: its arrays are compressed.")
        return {
            name[:-4] if name.endswith(".npy") else name: _read_npy(archive.read(name), f"{name!r} in {where}")
            for name in archive.names
        }


def _read_npy(data, what):
    """An array from the bytes of a .npy file, by numpy's format 1.0; the header is matched, never evaluated."""
    length = int.from_bytes(data[8:10], "little")
    header = _NPY.fullmatch(data[10 : 10 + length])
    if data[:8] != b"\x93NUMPY\x01\0" or header is None:
        raise WeightsError(f"{what} is no array of real numbers as numpy writes it.")
    dtype, order = np.dtype(header.group(1).decode()), "F" if header.group(2) == b"True" else "C"
    shape = tuple(int(dim) for dim in header.group(3).split(b",") if dim.strip())
    if math.prod(shape) * dtype.itemsize != len(data) - 10 - length or len(shape) > 32:
        raise WeightsError(f"{what} is damaged: {len(data) - 10 - length} bytes are no {dtype} of shape {shape}.")
    if max(shape, default=0) > LARGEST:  # an empty array with a side that numpy cannot count
        raise WeightsError(f"{what} is damaged: it has the shape {shape}.")
    return np.frombuffer(data, dtype, offset=10 + length).reshape(shape, order=order).copy()
