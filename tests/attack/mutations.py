"""What hypothesis does to a file: bits, numbers, pieces, and for archives and PNGs the same within right checksums."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib

from hypothesis import strategies as st

NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    (1 << 62) - 1,
)
FLOATS = (float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 1e-45)
WORDS = (
    b"0",
    b"-1",
    b"1e999",
    b".nan",
    b"NaN",
    b"9" * 400,
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"&a [*a]",
    b"[" * 500,
    b"\xff",
    b"\0",
)
TOKEN = re.compile(rb"-?\d+(?:\.\d+)?|true|false|\w+|[\[\]{}:,]")


def mutated(data, wrap=None):
    """A strategy of mutations of the bytes `data`; `wrap` unpacks and packs again what has checksums."""
    plain = st.lists(_change(len(data)), min_size=1, max_size=4).map(lambda changes: _apply(data, changes))
    if wrap is None:
        return plain
    parts, pack = wrap(data)
    within = st.integers(0, len(parts) - 1).flatmap(
        lambda place: st.lists(_change(len(parts[place])), min_size=1, max_size=4).map(
            lambda changes: pack([_apply(part, changes) if i == place else part for i, part in enumerate(parts)])
        )
    )
    return st.one_of(plain, within, within)


def _change(length):
    """(what, where, with what); most fall where heads are."""
    last = max(length - 1, 0)
    where = st.one_of(st.integers(0, min(last, 300)), st.integers(0, last), st.integers(max(last - 300, 0), last))
    return st.one_of(
        st.tuples(st.just("bit"), where, st.integers(0, 7)),
        st.tuples(st.just("byte"), where, st.integers(0, 255)),
        st.tuples(
            st.just("number"),
            where,
            st.tuples(st.sampled_from(NUMBERS), st.sampled_from("<>"), st.sampled_from("BHIQ")),
        ),
        st.tuples(st.just("float"), where, st.tuples(st.sampled_from(FLOATS), st.sampled_from("efd"))),
        st.tuples(st.just("cut"), where, st.just(0)),
        st.tuples(st.just("drop"), where, st.integers(1, 200)),
        st.tuples(st.just("repeat"), where, st.integers(1, 200)),
        st.tuples(st.just("insert"), where, st.binary(min_size=1, max_size=20)),
        st.tuples(st.just("word"), where, st.sampled_from(WORDS)),
    )


def _apply(data, changes):
    for what, where, how in changes:
        data = _OPERATIONS[what](data, min(where, len(data)), how)
    return data


def _put(data, where, piece):
    return data[:where] + piece[: max(len(data) - where, 0)] + data[where + len(piece) :]


def _word(data, where, how):
    """A word of a text, the first behind `where`, replaced."""
    found = TOKEN.search(data, where)
    return data if found is None else data[: found.start()] + how + data[found.end() :]


def _number(data, where, how):
    number, order, form = how
    size = struct.calcsize(form)
    return _put(data, where, struct.pack(order + form, number % (1 << 8 * size)))


_OPERATIONS = {
    "bit": lambda data, where, how: _put(data, where, bytes(b ^ 1 << how for b in data[where : where + 1])),
    "byte": lambda data, where, how: _put(data, where, bytes([how])),
    "number": _number,
    "float": lambda data, where, how: _put(data, where, struct.pack("<" + how[1], _fitting(*how))),
    "cut": lambda data, where, how: data[:where],
    "drop": lambda data, where, how: data[:where] + data[where + how :],
    "repeat": lambda data, where, how: data[: where + how] + data[where:],
    "insert": lambda data, where, how: data[:where] + how + data[where:],
    "word": _word,
}


def _fitting(number, form):
    return max(min(number, 6e4), -6e4) if form == "e" and abs(number) < float("inf") else number


def zip_members(data):
    """The members of a zip archive, and a function that packs others with their right sizes and checksums."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        parts = [archive.read(info) for info in infos]

    def pack(changed):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for info, part in zip(infos, changed):
                archive.writestr(info.filename, part, info.compress_type)
        return stream.getvalue()

    return parts, pack


def png_chunks(data):
    """The chunks of a PNG, pixels unpacked, and a function that packs others with their right checksums."""
    parts, kinds, at = [], [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kinds.append(data[at + 4 : at + 8])
        content = data[at + 8 : at + 8 + length]
        parts.append(zlib.decompress(content) if kinds[-1] == b"IDAT" else content)
        at += 12 + length

    def pack(changed):
        out = [data[:8]]
        for kind, part in zip(kinds, changed):
            content = zlib.compress(part) if kind == b"IDAT" else part
            out.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))
        return b"".join(out)

    return parts, pack
