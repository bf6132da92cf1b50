"""Pictures that are small as files and large as pictures: each is read, or named as bad, at a small price."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gluon_attn import data
from gluon_attn.data import images, resize
from gluon_attn.data.dataset import BadImage
from gluon_attn.data.images import Encoded, as_seen, crop_resize, pixels, read_picture
from gluon_attn.data.limits import ANY_FILE, MOST_PIXELS, check_pixels
from gluon_attn.errors import DataError
from tests.data import nasty

SECONDS, MEGABYTES = 2, 500  # of CPU, and beyond what the process had
BAD = {
    "claims.jpg": "most that is decoded",
    "claims_65535.jpg": "most that is decoded",
    "claims.png": "most that is decoded",
    "claims_most.png": "most that is decoded",
    "claims.bmp": "most that is decoded",
    "claims.ppm": "most that is decoded",
    "frame.gif": "most that is decoded",
    "fax_claims.tiff": "most that is decoded",
    "tiles.tiff": "60000x60000 pixels",
    "scans_4000.jpg": "a JPEG of 4010 scans",
    "empty.jpg": "no readable picture of the formats BMP",
    "empty.png": "no readable picture",
    "icon.ico": "no readable picture",
    "nothing.png": "no readable picture",
    "text.jpg": "no readable picture",
    "start.jpg": "no readable picture",
    "postscript.jpg": "no readable picture",
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "text.png": "too large",
    "profile.png": "too large",
    "words.ppm": "not enough",
}
DEAR = ("truncated", "scans", "fax", "icon", "text.png", "profile")  # to make
QUICK = ["wide.png", "tall.png", "wide.jpg", "tall.jpg", "strip.png", "animated.gif", "pages.tiff",
         *(name for name in BAD if not name.startswith(DEAR))]  # fmt: skip


def measured(folder, *names):
    command = [sys.executable, "-m", "tests.data.nasty", str(folder), *names]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=600).stdout)


def judge(found):
    for name, readers in found.items():
        for reader, (outcome, seconds, megabytes) in readers.items():
            assert seconds < SECONDS and megabytes < MEGABYTES, (name, reader, outcome, seconds, megabytes)
            assert BAD[name] in outcome if name in BAD else outcome == "read", (name, reader, outcome)


def test_no_small_picture_takes_the_machine(tmp_path):
    found = measured(tmp_path, *QUICK)
    assert len(found) == len(QUICK)
    judge(found)
    sentence = "it has 30000x30000 pixels, and 24,000,000 are the most that is decoded in a file of 4,722 bytes"
    assert found["claims.jpg"]["evaluate"][0] == f"bad: {sentence}"


@pytest.mark.slow
def test_no_small_picture_of_any_kind_takes_the_machine(tmp_path):
    found = measured(tmp_path)
    assert len(found) == len(nasty.pictures()) - 1
    judge(found)


def photo(height, width):
    rng = np.random.RandomState(0)
    return rng.randint(0, 256, (height, width, 3)).astype(np.uint8)


def centre_of_the_whole(image, shorter, size, interpolation):
    height, width = image.shape[:2]
    scale = shorter / min(height, width)
    whole = tuple(max(round(side * scale), shorter) for side in (width, height))
    built = np.asarray(Image.fromarray(image).resize(whole, images.interpolation_of(interpolation)))
    y, x = (built.shape[0] - size) // 2, (built.shape[1] - size) // 2
    return built[y : y + size, x : x + size]


@pytest.mark.parametrize("interpolation", resize.INTERPOLATIONS)
@pytest.mark.parametrize("shape", [(50, 60), (60, 44), (33, 400), (200, 32), (37, 32)])
def test_the_centre_is_that_of_the_whole_to_the_bit(monkeypatch, interpolation, shape):
    """In one piece, and band by band, as large pictures are."""
    expected = centre_of_the_whole(photo(*shape), 40, 32, interpolation)
    for pixels_at_once in (resize.BAND, 700):
        monkeypatch.setattr(resize, "BAND", pixels_at_once)
        np.testing.assert_array_equal(resize.resize_centre(photo(*shape), 40, 32, interpolation), expected)


@pytest.mark.parametrize("interpolation", resize.INTERPOLATIONS)
@pytest.mark.parametrize("shape", [(1, 100), (100, 1), (3, 200), (333, 7), (90, 2001), (1501, 80)])
def test_the_centre_of_a_strip_is_cut_before_it_is_resized(interpolation, shape):
    image = np.asarray(Image.fromarray(photo(7, 9)).resize(shape[::-1], Image.BICUBIC))
    found = resize.resize_centre(image, 40, 32, interpolation)
    difference = np.abs(found.astype(int) - centre_of_the_whole(image, 40, 32, interpolation))
    assert found.shape == (32, 32, 3)
    assert difference.max() <= 1 if interpolation != "nearest" else (difference.max(axis=2) > 1).mean() < 0.05


def encoded(mode="RGB", size=(64, 48), format="PNG", **options):
    return Encoded(nasty.saved(format, mode, size, **options), "a.png")


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "1", "RGBA", "I;16"])
def test_bands_are_the_whole(monkeypatch, mode):
    image = np.random.RandomState(0).randint(0, 256, (40, 30, 4)).astype(np.uint8)
    picture = Image.fromarray(image, "RGBA")
    picture = Image.fromarray(image[..., 0].astype(np.uint16) * 256) if mode == "I;16" else picture.convert(mode)
    if mode == "P":
        picture.info["transparency"] = bytes(range(256))
    for convert in (images.to_rgb, images.on_white):
        whole = images._array(picture, convert)
        with monkeypatch.context() as patch:
            patch.setattr(images, "BAND", 100)
            np.testing.assert_array_equal(images._array(picture, convert), whole)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_upright_is_pillows_upright(tmp_path, orientation, format):
    from PIL import ImageOps

    picture, exif = Image.fromarray(photo(6, 8)), Image.Exif()
    exif[images.ORIENTATION] = orientation
    path = tmp_path / "a"
    picture.save(path, format, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_picture(path), expected)


def test_the_limit_is_one_for_every_reader(monkeypatch):
    monkeypatch.setattr("gluon_attn.data.limits.MOST_PIXELS", 3000)
    transform = data.eval_transform(32, (0.5,) * 3, (0.2,) * 3)
    readers = {
        "OpenCV": lambda: pixels(encoded(format="JPEG")),
        "a piece, by OpenCV": lambda: crop_resize(encoded(format="JPEG"), lambda *size: (0, 0, 9, 9), 8, "bilinear"),
        "Pillow": lambda: pixels(encoded()),
        "a piece, by Pillow": lambda: crop_resize(encoded(), lambda *size: (0, 0, 9, 9), 8, "bilinear"),
        "a Pillow image": lambda: as_seen(Image.new("RGB", (64, 48))),
        "an array": lambda: transform(photo(48, 64)),
        "a piece of an array": lambda: crop_resize(photo(48, 64), lambda *size: (0, 0, 9, 9), 8, "bilinear"),
    }
    for name, read in readers.items():
        with pytest.raises(BadImage, match="64x48 pixels, and 3,000 are the most"):
            read()
            pytest.fail(name)


def test_large_files_may_be_large_pictures():
    check_pixels(ANY_FILE, 1, "a", 1)
    check_pixels(9331, 6530, "a camera's", 4 << 20)
    with pytest.raises(BadImage, match="in a file of 2,097,152 bytes"):
        check_pixels(9331, 6530, "a", 2 << 20)
    with pytest.raises(BadImage, match=f"{MOST_PIXELS:,} are the most that is decoded. Repair"):
        check_pixels(9331, 9999, "a", 1 << 30)


def test_a_film_behind_a_picture_is_no_scan():
    content = nasty.saved("JPEG") + b"\xff\xda" * 1000
    assert pixels(Encoded(content, "motion.jpg")).shape == (48, 64, 3)


def test_without_memory_the_picture_is_bad(monkeypatch, tmp_path):
    def fail(*_):
        raise MemoryError

    (tmp_path / "a.png").write_bytes(encoded().content)
    with monkeypatch.context() as patch:
        patch.setattr(images, "_array", fail)
        with pytest.raises(BadImage, match="a.png: MemoryError"):
            read_picture(tmp_path / "a.png")
        with pytest.raises(BadImage, match="a.png: MemoryError"):
            pixels(encoded())
    monkeypatch.setattr("gluon_attn.data.transforms.resize_centre", fail)
    with pytest.raises(BadImage, match="a.png: there is not memory enough"):
        data.eval_transform(32, (0.5,) * 3, (0.2,) * 3)(encoded())


NO_PICTURES = [None, 7, [], np.zeros((0, 0, 3), np.uint8), np.zeros((5, 0, 3), np.uint8), np.zeros((5, 5), np.uint8),
               np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3), np.float32)]  # fmt: skip


@pytest.mark.parametrize("value", NO_PICTURES, ids=repr)
def test_what_is_no_picture(value):
    options = dict(mean=(0.5,) * 3, std=(0.2,) * 3)
    for transform in (data.eval_transform(32, **options), data.train_transform(32, **options, crop="resized"),
                      data.train_transform(32, **options)):  # fmt: skip
        with pytest.raises(DataError, match="uint8 array .* this one is|0x[05] pixels"):
            transform(value, data.random_state(0))
    for read in (read_picture, as_seen):
        with pytest.raises(DataError, match="no path of a picture file|is no picture: give a path"):
            read(value)


def test_files_that_are_none(tmp_path):
    for path, sentence in ((tmp_path / "none.png", "No such file"), (tmp_path, "directory"), ("a\0b", "null|NUL")):
        with pytest.raises(BadImage, match=sentence):
            read_picture(path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BadImage, match="no file but a device or a pipe"):
        read_picture(tmp_path / "pipe.png")
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadImage, match="1,099,511,627,776 bytes, and"):
        read_picture(tmp_path / "sparse.png")


@pytest.mark.parametrize("size", [0, -1, 10**6])
def test_results_that_cannot_be(size):
    with pytest.raises(DataError, match=f"image_size={size} cannot be the side of a picture: choose 1 to"):
        data.eval_transform(size, (0,) * 3, (1,) * 3)
    with pytest.raises(DataError, match=f"image_size={size} cannot be"):
        data.train_transform(size, (0,) * 3, (1,) * 3)
    with pytest.raises(DataError, match="resized to 30 has no centre of 32"):
        data.eval_transform(32, (0,) * 3, (1,) * 3, resize=30)
