"""RecordIO files of pictures, as MXNet's im2rec writes them, read by number: what is wrong names the record.

A record is two words of 32 bits (a magic number; three bits that say which part of a split record this is, and the
length), then the content, filled to a multiple of four. The content is a head (a flag, a label, two numbers), `flag`
more labels, and a picture file. The index has a line `key TAB offset` for each record.
"""

from __future__ import annotations

import math
import os
import struct
from bisect import bisect_right

from gluon_attn.data.dataset import BadImage
from gluon_attn.errors import DataError

MAGIC = 0xCED7230A
PART, HEAD = struct.Struct("<II"), struct.Struct("<IfQQ")
WHOLE, LAST = 0, 3  # part numbers; 1 and 2 are the first and the middle ones
MOST_CLASSES = 1 << 20  # of a file that does not say how many it has


class Records:
    """`len(records)`, `records.label(i)`, `records[i]` -> (label, content); a record that is none: BadImage.

    classes : how many there are; a label that is none of them is bad
    """

    def __init__(self, record, index, classes=None):
        self.record, self.classes, self._file = record, classes or MOST_CLASSES, None
        self.keys, self.offsets = _read_index(index)
        self._begins = sorted([*self.offsets, record.stat().st_size])

    def __len__(self):
        return len(self.keys)

    def __getstate__(self):
        return {**vars(self), "_file": None}

    def name(self, number):
        return f"{self.record}, record {self.keys[number]}"

    def label(self, number):
        """The (first) label alone: no picture is read."""
        content = self._content(number, most=HEAD.size + 4)
        return self._label(number, content)[0]

    def __getitem__(self, number):
        content = self._content(number)
        label, start = self._label(number, content)
        return label, content[start:]

    def _label(self, number, content):
        """(the label, where the picture begins)."""
        if len(content) < HEAD.size:
            raise BadImage(self.name(number), f"it has {len(content)} bytes, and its head alone would have {HEAD.size}")
        flag, label, _, _ = HEAD.unpack_from(content)
        if flag:
            if len(content) < HEAD.size + 4:
                raise BadImage(self.name(number), f"it says that it has {flag} labels, and has none")
            (label,) = struct.unpack_from("<f", content, HEAD.size)
        if not (math.isfinite(label) and label == int(label) and 0 <= label < self.classes):
            raise BadImage(
                self.name(number), f"its label is {label:g}, not a whole number from 0 to {self.classes - 1}"
            )
        return int(label), HEAD.size + 4 * flag

    def _content(self, number, most=None):
        """The content, or the first `most` bytes of it (or of its first part)."""
        offset, parts = self.offsets[number], []
        place = bisect_right(self._begins, offset)
        if place == len(self._begins):
            reason = f"the index says that it begins at byte {offset:,}, behind the file's end"
            raise BadImage(self.name(number), reason)
        while True:
            part, length = self._part(number, offset, self._begins[place])
            parts.append(self._read(offset + PART.size, length if most is None else min(length, most)))
            if part in (WHOLE, LAST) or most is not None:
                # Where a record is split, the content had the magic number.
                return struct.pack("<I", MAGIC).join(parts)
            offset += PART.size + length + -length % 4

    def _part(self, number, offset, end):
        """(which part of its record, length) of what begins at `offset`; the next record begins at `end`."""
        head = self._read(offset, PART.size)
        if len(head) < PART.size:
            raise BadImage(self.name(number), f"the file ends at byte {end:,}, within the record")
        magic, word = PART.unpack(head)
        if magic != MAGIC:
            reason = f"no record begins at byte {offset:,}: the index is another file's, or one is damaged"
            raise BadImage(self.name(number), reason)
        length, room = word & (1 << 29) - 1, end - offset - PART.size
        if length > room:
            raise BadImage(self.name(number), f"it says that it has {length:,} bytes, and the file has {room:,}")
        return word >> 29, length

    def _read(self, offset, length):
        """Without moving the file's position, which forked workers share."""
        if self._file is None:
            self._file = open(self.record, "rb")  # noqa: SIM115
        return os.pread(self._file.fileno(), length, offset)


def _read_index(path):
    """([key, ...], [offset, ...]) in the order of the file."""
    keys, offsets = [], []
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words:
                continue
            if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) < 20 for word in words):
                raise DataError(
                    f"Line {number} of {path} is {line.strip()[:60]!r}, not a record's number and its offset: "
                    "make the index anew (`gluon-attn pack`)."
                )
            keys.append(int(words[0]))
            offsets.append(int(words[1]))
    if not keys:
        raise DataError(f"{path} names no record: make the index anew (`gluon-attn pack`).")
    return keys, offsets
