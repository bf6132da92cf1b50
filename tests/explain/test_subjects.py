"""Every kind of picture file becomes the same upright RGB pixels, or a sentence."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

import gluon_attn
from gluon_attn import data
from gluon_attn.data.images import read_picture
from gluon_attn.explain.subjects import Subject, from_dataset, from_files
from gluon_attn.weights.card import Card

PIXELS = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype("uint8")
GREY = PIXELS[..., 0]


def saved(tmp_path, picture, name="a.png", **options):
    picture.save(tmp_path / name, **options)
    return read_picture(tmp_path / name)


def test_rgb_and_grey(tmp_path):
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(PIXELS)), PIXELS)
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(GREY)), np.stack([GREY] * 3, axis=-1))


def test_palette(tmp_path):
    colours = Image.fromarray(PIXELS // 128 * 255).convert("P", palette=Image.ADAPTIVE, colors=8)
    np.testing.assert_array_equal(saved(tmp_path, colours), PIXELS // 128 * 255)


def test_transparency_is_white(tmp_path):
    alpha = np.full((5, 7, 1), 255, "uint8")
    alpha[2, 3] = 0
    expected = PIXELS.copy()
    expected[2, 3] = 255
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(np.concatenate([PIXELS, alpha], axis=-1))), expected)
    palette = Image.fromarray((GREY > 127).astype("uint8"), "P")
    palette.putpalette([10, 20, 30, 200, 210, 220])
    got = saved(tmp_path, palette, "b.png", transparency=0)
    np.testing.assert_array_equal(got, np.where(GREY[..., None] > 127, [200, 210, 220], 255))


def test_cmyk(tmp_path):
    """CMYK without a profile is 255 - (ink + black), cut at 0."""
    inks = PIXELS.astype(int)
    picture = Image.fromarray(np.concatenate([PIXELS, np.zeros((5, 7, 1), "uint8")], axis=-1), "CMYK")
    np.testing.assert_array_equal(saved(tmp_path, picture, "a.tif"), 255 - inks)


def test_sixteen_bits_keep_their_brightness(tmp_path):
    deep = GREY.astype("uint16") * 257
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(deep)), np.stack([GREY] * 3, axis=-1))


@pytest.mark.parametrize(
    ("orientation", "turned"), [(3, np.rot90(PIXELS, 2)), (6, np.rot90(PIXELS, -1)), (8, np.rot90(PIXELS))]
)
def test_exif_rotation(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(PIXELS), exif=exif), turned)


@pytest.mark.parametrize("shape", [(1, 1, 3), (4000, 6000, 3)])
def test_any_size_reaches_the_network(tmp_path, shape):
    Image.new("RGB", shape[1::-1], (255, 0, 0)).save(tmp_path / "a.jpg")
    image = read_picture(tmp_path / "a.jpg")
    assert image.shape == shape
    x = data.eval_transform(32, (0, 0, 0), (1, 1, 1))(image, None)
    np.testing.assert_allclose(x, np.array([1, 0, 0]).reshape(3, 1, 1) * np.ones((3, 32, 32)), atol=0.01)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_damaged_file_is_named(tmp_path, content, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as GluonCV leaves it
    if content is None:
        stream = io.BytesIO()
        Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype("uint8")).save(stream, "JPEG")
        content = stream.getvalue()[:-900]  # truncated
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(gluon_attn.DataError, match="broken.jpg"):
        read_picture(tmp_path / "broken.jpg")


@pytest.mark.parametrize("path", ["cat/a.png", "./a.png", "a.png", "../cat/a.png", "link.png"])
def test_a_picture_is_of_its_folder_however_it_is_named(tmp_path, monkeypatch, path):
    """Inside the folder it had no label and was called /a.png; where a link leads says nothing."""
    (tmp_path / "cat").mkdir()
    monkeypatch.chdir(tmp_path if path == "cat/a.png" else tmp_path / "cat")
    (tmp_path / "cat" / "link.png").symlink_to(tmp_path / "a.png")
    (subject,) = from_files([path], ["dog", "cat"])
    assert (subject.name, subject.label) == (f"cat/{path.split('/')[-1]}", 1)


def test_labels_from_folders_and_boxes_from_clutter(tmp_path):
    (tmp_path / "cat").mkdir()
    for path in (tmp_path / "cat" / "a.png", tmp_path / "b.png"):
        Image.fromarray(PIXELS).save(path)
    subjects = from_files([tmp_path / "cat" / "a.png", tmp_path / "b.png"], ["dog", "cat"])
    assert [subject.label for subject in subjects] == [1, None]
    assert subjects[0].name == "cat/a.png"
    np.testing.assert_array_equal(subjects[1].image, PIXELS)
    dataset = data.get_dataset("clutter", "test")
    (subject,) = from_dataset(dataset, [7])
    assert subject.box == tuple(dataset.box(7)) and subject.label == dataset[7][1]
    np.testing.assert_array_equal(subject.image, dataset[7][0])
    with pytest.raises(gluon_attn.GluonAttnError, match="no image 1000"):
        from_dataset(dataset, [1000])


@pytest.mark.parametrize("shape", [(64, 64), (40, 60), (90, 45), (32, 32), (20, 600)])
@pytest.mark.parametrize(("size", "crop_pct"), [(64, 1), (96, 1), (48, 1), (32, 0.5), (56, 0.875)])
def test_a_box_goes_where_its_object_goes(shape, size, crop_pct):
    """A white object on black: the pixels of its box, as the network sees the picture, are the white ones."""
    card = Card("x", ["a"], (0,) * 3, (1,) * 3, size, crop_pct, "nearest")
    rng = np.random.RandomState(0)
    for _ in range(5):
        (x0, x1), (y0, y1) = (sorted(rng.choice(side // 4 + 1, 2, replace=False) * 4) for side in shape[::-1])
        image = np.zeros((*shape, 3), "uint8")
        image[y0:y1, x0:x1] = 255
        seen = card.transform()(image, None)[0] > 0.5
        box = Subject("x", lambda image=image: image, 0, (x0, y0, x1, y1)).box_seen(card)
        if box is None:
            assert not seen.any()
            continue
        inside = np.zeros_like(seen)
        inside[box[1] : box[3], box[0] : box[2]] = True
        edge = box[2] - box[0] + box[3] - box[1]  # `nearest` and rounding may differ by a line of pixels
        assert (inside != seen).sum() <= edge


def test_no_box_is_none():
    assert Subject("x", None).box_seen(None) is None
