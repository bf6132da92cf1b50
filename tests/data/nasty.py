"""Pictures under a megabyte that take a machine where nobody looks first, and what each costs a reader.

`python -m tests.data.nasty FOLDER [NAME ...]` writes them, reads each as `evaluate`, `predict` and training do, and
prints {name: {reader: [outcome, seconds of CPU, megabytes beyond what the process had]}}.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from gluon_attn import data
from gluon_attn.data.images import Encoded, read_picture
from gluon_attn.data.limits import ANY_FILE

LARGE = (ANY_FILE // 4000, 4000)  # as many pixels as a small file may have
TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def saved(format, mode="RGB", size=(64, 48), colour=77, **options):
    picture = Image.new(mode, size, colour if mode in ("L", "P", "1", "I;16") else (colour,) * len(mode))
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def series(format, mode, side, more, **options):
    """A file of 1 + `more` pictures."""
    first = Image.new(mode, (side, side))
    rest = [Image.fromarray(np.full((side, side), n, np.uint8)).convert(mode) for n in range(more)]
    stream = io.BytesIO()
    first.save(stream, format, save_all=True, append_images=rest, **options)
    return stream.getvalue()


def larger_frame(gif):
    """Its first frame says 65535x65535, whatever the screen's size."""
    return gif.replace(struct.pack("<cHHHH", b"\x2c", 0, 0, 64, 48), struct.pack("<cHHHH", b"\x2c", 0, 0, 65535, 65535))


def noise(width, height):
    stream = io.BytesIO()
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (height, width, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def jpeg_head(content, width, height):
    """Another size in the frame header of a JPEG."""
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def many_scans(count):
    """A progressive JPEG whose last scan is said `count` times."""
    content = saved("JPEG", size=LARGE, progressive=True)
    at = content.rindex(b"\xff\xda")
    at = max(content.rindex(marker, 0, at) for marker in (b"\xff\xc4", b"\xff\xda"))
    return content[:-2] + content[at:-2] * count + b"\xff\xd9"


def png(width, height, colour=2, bits=8, interlace=0, content=b"", extra=b""):
    """A PNG of zeros by hand; `content` instead of the compressed rows."""
    if not content:
        sample = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * bits
        passes = [(8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)] if interlace else [(1, 1)]
        pack = zlib.compressobj(9)
        parts = []
        for x, y in passes:
            rows, row = -(-height // y), bytes(1 + (-(-width // x) * sample + 7) // 8)
            parts += [pack.compress(row * min(1000, rows - done)) for done in range(0, rows, 1000)]
        content = b"".join([*parts, pack.flush()])
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    chunks = [chunk(b"IHDR", head), extra, chunk(b"IDAT", content), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tiled_tiff(side):
    """A TIFF of 16x16 that says its tiles are `side` wide and high."""
    packed = zlib.compress(bytes(10**6))
    tags = [(256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
            (322, 4, side), (323, 4, side), (324, 4, 8), (325, 4, len(packed))]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory + bytes(4)


def ico(content):
    """An icon that is a PNG, which may be larger than the icon says."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(content), 22) + content


def bmp_of_jumps(side):
    """A run-length coded BMP that jumps 255 rows down for every four bytes."""
    rows = b"\0\2\0\xff" * 100_000 + b"\0\1"
    palette = bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(rows), 0, 0, 256, 256)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(rows), 0, 0, 54 + 1024) + head + palette + rows


def pictures():
    """{file name: what makes its content}."""
    small = saved("JPEG")
    palette = chunk(b"PLTE", bytes(range(256)) * 3) + chunk(b"tRNS", bytes(range(256)))
    return {
        "first.png": lambda: noise(300, 400),
        "wide.png": lambda: noise(60000, 1),
        "tall.png": lambda: noise(1, 60000),
        "wide.jpg": lambda: saved("JPEG", size=(60000, 1)),
        "tall.jpg": lambda: saved("JPEG", size=(1, 60000), exif=TURNED),
        "strip.png": lambda: noise(60000, 5),
        "line.png": lambda: png(24_000_000, 1),
        "claims.jpg": lambda: jpeg_head(saved("JPEG", size=(500, 500)), 30000, 30000),
        "claims_65535.jpg": lambda: jpeg_head(small, 65535, 65535),
        "empty.jpg": lambda: jpeg_head(small, 0, 48),
        "empty.png": lambda: png(0, 48, content=b"x"),
        "claims.png": lambda: png(30000, 30000, content=zlib.compress(bytes(10**6))),
        "claims_most.png": lambda: png(2**31 - 1, 2**31 - 1, content=zlib.compress(bytes(10**6))),
        "large.jpg": lambda: saved("JPEG", size=LARGE),
        "large_turned.jpg": lambda: saved("JPEG", size=LARGE, exif=TURNED),
        "large_cmyk.jpg": lambda: saved("JPEG", "CMYK", LARGE, quality=10, optimize=True),
        "large_progressive.jpg": lambda: saved("JPEG", size=LARGE, progressive=True, subsampling=0),
        "scans_12.jpg": lambda: many_scans(12),
        "scans_4000.jpg": lambda: many_scans(4000),
        "truncated.jpg": lambda: saved("JPEG", size=LARGE)[:20000],
        "large.png": lambda: png(*LARGE),
        "large_16_bits.png": lambda: png(*LARGE, bits=16),
        "large_alpha.png": lambda: png(*LARGE, colour=6),
        "large_alpha_16_bits.png": lambda: png(*LARGE, colour=6, bits=16),
        "large_grey_16_bits.png": lambda: png(*LARGE, colour=0, bits=16),
        "large_palette.png": lambda: png(*LARGE, colour=3, extra=palette),
        "large_interlaced.png": lambda: png(*LARGE, colour=6, interlace=1),
        "truncated.png": lambda: png(*LARGE)[:10000],
        "text.png": lambda: png(64, 48, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8), 9))),
        "profile.png": lambda: png(64, 48, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8), 9))),
        "large.gif": lambda: saved("GIF", "P", LARGE),
        "animated.gif": lambda: series("GIF", "P", 400, 99),
        "frame.gif": lambda: larger_frame(saved("GIF", "P")),
        "large.webp": lambda: saved("WEBP", size=LARGE),
        "large_lossless.webp": lambda: saved("WEBP", "RGBA", LARGE, lossless=True, method=0),
        "animated.webp": lambda: series("WEBP", "RGB", 2000, 9),
        "large.tiff": lambda: saved("TIFF", size=LARGE, compression="tiff_lzw"),
        "large_turned.tiff": lambda: saved("TIFF", "RGBA", LARGE, compression="tiff_deflate", tiffinfo={274: 6}),
        "fax.tiff": lambda: saved("TIFF", "1", LARGE, 1, compression="group4"),
        "fax_claims.tiff": lambda: saved("TIFF", "1", (30000, 30000), 1, compression="group4"),
        "tiles.tiff": lambda: tiled_tiff(60000),
        "pages.tiff": lambda: series("TIFF", "RGB", 400, 50, compression="tiff_deflate"),
        "icon.ico": lambda: ico(png(12000, 12000)),
        "two.mpo": lambda: saved("MPO", size=LARGE, save_all=True, append_images=[Image.new("RGB", (64, 48))]),
        "jumps.bmp": lambda: bmp_of_jumps(4800),
        "claims.bmp": lambda: bmp_of_jumps(30000),
        "claims.ppm": lambda: b"P6 30000 30000 255\n" + bytes(1000),
        "words.ppm": lambda: b"P3 4000 4000 255\n" + b"1 " * 450_000,
        "nothing.png": lambda: b"",
        "text.jpg": lambda: b"not a picture",
        "start.jpg": lambda: b"\xff\xd8\xff\xd9",
        "postscript.jpg": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9000 9000\n",
    }  # fmt: skip


EVALUATED = data.eval_transform(224, (0.5,) * 3, (0.2,) * 3, resize=256)
TRAINED = data.train_transform(224, (0.5,) * 3, (0.2,) * 3, crop="resized")
READERS = {
    "evaluate": lambda path: EVALUATED(Encoded(path.read_bytes(), str(path))),
    "predict": lambda path: EVALUATED(read_picture(path)),
    "train": lambda path: TRAINED(Encoded(path.read_bytes(), str(path)), data.random_state(0)),
}


def measured(read, path):
    """[outcome, seconds of CPU, megabytes at most beyond those before]."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    before, begun = megabytes("VmRSS"), time.process_time()
    try:
        outcome = "read" if np.isfinite(read(path)).all() else "not finite"
    except data.BadImage as bad:
        outcome = f"bad: {bad.reason}"
    return [outcome, time.process_time() - begun, megabytes("VmHWM") - before]


def megabytes(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1000


def main(folder, *names):
    """Of all pictures, or of those named."""
    makers = pictures()
    read_once(folder, makers.pop("first.png")())
    for name in names or makers:
        content = makers[name]()
        assert len(content) < 10**6, (name, len(content))
        (Path(folder) / name).write_bytes(content)
    files = sorted(Path(folder).iterdir())
    print(json.dumps({path.name: {name: measured(read, path) for name, read in READERS.items()} for path in files}))


def read_once(folder, content):
    """What is imported at first use is no cost of a picture."""
    path = Path(folder) / "first.png"
    path.write_bytes(content)
    for read in READERS.values():
        read(path)
    path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
