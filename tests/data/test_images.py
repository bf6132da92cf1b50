"""Pictures whose pixels are no bytes, and which files of a folder are pictures."""

from __future__ import annotations

import io

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


def test_pictures_of_a_folder(tmp_path):
    names = ["b.PNG", "c.tif", "a/d.gif", "a/b/e.ppm"]
    others = ["._b.png", ".hidden/f.png", "notes.txt", "a/.ipynb_checkpoints/d.gif"]
    for name in (*names, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert images.pictures_in(tmp_path) == [str(tmp_path / name) for name in names]
    assert images.pictures_in(tmp_path, most=1) == [str(tmp_path / name) for name in names[:2]]
    assert images.pictures_in(tmp_path / "nowhere") == []
