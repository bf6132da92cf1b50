"""OpenCV's decoding against Pillow's: the same pixels, and nothing accepted that Pillow refuses."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from gluon_attn.data.dataset import BadImage
from gluon_attn.data.images import Encoded, crop_resize, pixels
from gluon_attn.data.jpeg import Jpeg


def file(mode="RGB", size=(333, 257), **options):
    stream = io.BytesIO()
    picture = Image.fromarray(load_sample_image("flower.jpg")).crop((100, 50, 100 + size[0], 50 + size[1]))
    picture.convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def pillow(content, reduction=1):
    picture = Image.open(io.BytesIO(content))
    if reduction > 1:
        picture.draft("RGB", (picture.width // reduction, picture.height // reduction))
    return np.asarray(picture.convert("RGB"))


FILES = {
    **{f"{name}, quality {q}": file(subsampling=s, quality=q)
       for s, name in enumerate(("4:4:4", "4:2:2", "4:2:0")) for q in (40, 95)},
    "progressive": file(progressive=True),
    "grey": file("L"),
    "restarts": file(restart_marker_rows=1),
    "exif": file(exif=Image.Exif()),
    "rotated by exif": file(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("rows", [None, 1, 100, 101, 240, 257])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_the_pixels_are_pillows(capfd, kind, rows, reduction):
    jpeg, expected = Jpeg.of(FILES[kind]), pillow(FILES[kind], reduction)
    assert (jpeg.width, jpeg.height) == (333, 257)
    found = jpeg.decode(rows, reduction)
    wanted = -(-(rows or 257) // reduction)
    assert found.dtype == np.uint8 and len(found) >= wanted and found.shape[1] == expected.shape[1]
    np.testing.assert_array_equal(found[:wanted], expected[:wanted])
    assert capfd.readouterr().err == "", "libjpeg complains about the rows that were left out"


def test_no_row_below_is_decoded():
    assert len(Jpeg.of(FILES["4:2:0, quality 95"]).decode(100)) < 130


def test_a_truncated_or_unusual_file_is_left_to_pillow():
    content = FILES["4:2:0, quality 95"]
    frame = content.index(b"\xff\xc0")
    for other in (content[:-1], content[: len(content) // 2], b"", content[:20] + content[-2:], file("CMYK"), b"GIF89a",
                  content + b"\0", content[:frame] + b"\xff\xc9" + content[frame + 2 :],
                  content[: frame + 5] + b"\0\0" + content[frame + 7 :]):  # fmt: skip
        assert Jpeg.of(other) is None
    for length in range(0, len(content), 97):
        with pytest.raises(BadImage, match="cut short"):
            crop_resize(Encoded(content[:length], "cut short"), lambda width, height: (0, 0, 50, 50), 32, "bilinear")


def test_what_opencv_cannot_decode_pillow_names():
    content = FILES["4:2:0, quality 95"]
    scan = content.index(b"\xff\xda")
    broken = content[: scan + 4] + b"\x09" * 12 + content[scan + 16 :]  # a scan of nine channels
    assert Jpeg.of(broken) is not None
    with pytest.raises(BadImage, match="broken.jpg"):
        pixels(Encoded(broken, "broken.jpg"))
    with pytest.raises(BadImage, match="broken.jpg"):
        crop_resize(Encoded(broken, "broken.jpg"), lambda width, height: (0, 0, 50, 50), 32, "bilinear")
