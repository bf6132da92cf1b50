"""Pictures whose pixels are no bytes, and which files of a folder are pictures."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gluon_attn.data import images
from gluon_attn.data.dataset import BadImage
from gluon_attn.deploy.run.predictor import readable

GREYS = np.array([[0, 1, 300, 40000, 65535]], np.uint16).repeat(3, 0)


def content(picture, format, **options):
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return images.Encoded(stream.getvalue(), f"a.{format}")


@pytest.mark.parametrize("clear", [None, 0, 300, 40000])
@pytest.mark.parametrize("band", [1, images.BAND])
def test_greys_of_16_bits_keep_their_brightness_and_stand_on_white(monkeypatch, clear, band):
    monkeypatch.setattr(images, "BAND", band)
    picture = content(Image.fromarray(GREYS), "PNG", **({} if clear is None else {"transparency": clear}))
    expected = GREYS[..., None].repeat(3, 2) >> 8
    np.testing.assert_array_equal(picture.load(), expected)
    expected[np.equal(GREYS, -1 if clear is None else clear)] = 255
    np.testing.assert_array_equal(picture.seen(), expected)
    with picture.open() as opened:
        np.testing.assert_array_equal(images.as_seen(opened), expected)


@pytest.mark.parametrize(
    ("greys", "kind"),
    [(GREYS.astype("float32") / 65535, "floats"), (GREYS.astype("int32") * 2, "32-bit numbers")],
)
def test_pixels_that_have_no_white_are_refused(greys, kind):
    picture = Image.fromarray(greys)
    encoded = content(picture, "TIFF")
    for read in (encoded.load, encoded.seen, lambda: images.pixels(encoded), lambda: images.as_seen(picture)):
        with pytest.raises(BadImage, match=f"its pixels are {kind}, .* save it with 8 or 16 bits"):
            read()


def test_only_who_can_leave_a_picture_out_is_told_of_it(tmp_path):
    """A Loader can; export's calibration, a Predictor and explain named `on_bad_image` too, and have none."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(BadImage, match="or choose on_bad_image='skip'"):
        images.Encoded(images.read_content(tmp_path / "a.png"), "a.png").seen()
    floats = Image.fromarray(GREYS.astype("float32"))
    for read in (images.read_picture, readable):
        with pytest.raises(BadImage, match=r"Cannot read image .*a\.png: .*\. Repair or remove it\.$"):
            read(tmp_path / "a.png")
    with pytest.raises(BadImage, match=r"Repair or remove it\.$"):
        readable(floats)


def _tiff(values, bits, white=1, signs=None):
    """An uncompressed grey TIFF, written by hand: Pillow writes none of these."""
    height, width = values.shape
    if bits == 12:
        pairs = values.reshape(-1, 2).astype(int)
        content = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a, b in pairs.tolist())
    else:
        content = values.astype(f"<u{bits // 8}").tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, white), (273, 0), (277, 1), (278, height)]
    tags += [(279, len(content))] + ([(339, signs)] if signs else [])
    head = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, head if tag == 273 else value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags)) + entries + bytes(4) + content


RAMP = np.arange(64).reshape(8, 8) * 4


@pytest.mark.parametrize(
    "content, said",
    [
        (_tiff(RAMP * 16, 12), "of 12 bits a value"),
        (_tiff(RAMP * 256, 16, white=0), "of 16 bits whose white is 0"),
        (_tiff(RAMP * 256, 16, signs=2), "of numbers with a sign"),
        (_tiff(RAMP, 8, signs=2), "of numbers with a sign"),
    ],
)
def test_greys_of_a_tiff_that_pillow_opens_as_others_are_refused(content, said, tmp_path):
    (tmp_path / "a.tiff").write_bytes(content)
    with pytest.raises(BadImage, match=said):
        images.read_picture(tmp_path / "a.tiff")


@pytest.mark.parametrize(
    "content, expected",
    [
        (_tiff(RAMP, 8), RAMP),
        (_tiff(RAMP, 8, white=0), 255 - RAMP),
        (_tiff(RAMP * 256, 16), RAMP),
        (_tiff(RAMP * 256, 16, signs=1), RAMP),
    ],
)
def test_other_greys_of_a_tiff(content, expected, tmp_path):
    (tmp_path / "a.tiff").write_bytes(content)
    np.testing.assert_array_equal(images.read_picture(tmp_path / "a.tiff")[..., 0], expected)


def _png(rows, bits, clear):
    """A grey PNG of 1, 2, 4, 8 or 16 bits, one grey of which is transparent."""
    height, width = rows.shape
    digits = ["".join(f"{value:0{bits}b}" for value in row) for row in rows]
    lines = b"".join(b"\0" + int(row, 2).to_bytes(width * bits // 8, "big") for row in digits)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)), (b"tRNS", struct.pack(">H", clear))]
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    found = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(found)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_is_white(bits, tmp_path):
    most = 2**bits - 1
    rows = np.array([[0, most, most - 1, most // 2] * 4] * 4)
    for clear in {0, most - 1, most // 2}:
        (tmp_path / "a.png").write_bytes(_png(rows, bits, clear))
        greys = (rows >> 8 if bits == 16 else rows * (255 // most)).astype("uint8")
        expected = np.where(rows == clear, 255, greys)
        np.testing.assert_array_equal(images.read_picture(tmp_path / "a.png")[..., 0], expected)
        with Image.open(tmp_path / "a.png") as picture:
            np.testing.assert_array_equal(readable(picture)[..., 0], expected)
