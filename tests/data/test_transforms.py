"""Each step of the transforms against numpy or Pillow."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_image

from gluon_attn import data
from gluon_attn.data import images, jpeg, transforms
from gluon_attn.data.images import Encoded, crop_resize, interpolation_of, pixels
from gluon_attn.data.jpeg import Jpeg
from gluon_attn.data.seeding import random_state
from gluon_attn.errors import DataError, GluonAttnError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def photo(height, width, seed=0):
    rng = np.random.RandomState(seed)
    small = Image.fromarray(rng.randint(0, 256, (height // 16 + 2, width // 16 + 2, 3)).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.BICUBIC))


def encode(image, format="JPEG", mode="RGB", **options):
    content = io.BytesIO()
    Image.fromarray(image).convert(mode).save(content, format, **options)
    return Encoded(content.getvalue(), f"test.{format.lower()}")


class Fixed:
    """A random state that gives what it is told."""

    def __init__(self, **draws):
        self.draws = {name: iter(values) for name, values in draws.items()}

    def __getattr__(self, name):
        return lambda *args: next(self.draws[name])


def test_normalize_is_the_formula():
    image = photo(20, 30)
    result = transforms.Normalize(MEAN, STD)(image)
    assert result.dtype == np.float32 and result.flags["C_CONTIGUOUS"]
    expected = (image / 255 - MEAN) / STD
    np.testing.assert_allclose(result, expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("wrong", [0.5, "0.5", None, (0.5, 0.5), (0.5, 0.5, "1"), (0.5, 0.5, np.nan), [[0.5] * 3] * 3])
def test_means_and_deviations_are_three_numbers(wrong):
    """`mean="0.5"` has three characters, too."""
    for values, name in (((wrong, STD), "mean"), ((MEAN, wrong), "std")):
        with pytest.raises(DataError, match=f"{name}=.* cannot normalise RGB: give three"):
            data.eval_transform(32, *values)
    assert transforms.Normalize(list(MEAN), np.array(STD)) == transforms.Normalize(MEAN, STD)


def test_lighting_adds_krizhevskys_principal_components():
    image, alpha = photo(8, 8), np.array([0.1, -0.05, 0.2])
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    noise = vectors @ (alpha * np.array([55.46, 4.794, 1.148]))
    result = transforms.Normalize(MEAN, STD, 0.1)(image, Fixed(normal=[alpha]))
    expected = ((image + noise) / 255 - MEAN) / STD
    np.testing.assert_allclose(result, expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("y, x", [(0, 0), (4, 4), (8, 3)])
def test_pad_crop(y, x):
    image = photo(32, 32)
    expected = np.pad(image, ((4, 4), (4, 4), (0, 0)))[y : y + 32, x : x + 32]
    np.testing.assert_array_equal(transforms.PadCrop(32)(image, Fixed(randint=[y, x])), expected)


def test_pad_crop_reaches_every_place():
    image = photo(32, 32)
    seen = {transforms.PadCrop(32, 1)(image, random_state(0, 0, i)).tobytes() for i in range(100)}
    assert len(seen) == 9


def test_flip():
    image = photo(8, 9)
    np.testing.assert_array_equal(transforms.Flip()(image, Fixed(randint=[1])), np.fliplr(image))
    assert transforms.Flip()(image, Fixed(randint=[0])) is image


def test_jitter_is_pillows_enhancement_in_the_order_drawn():
    image = photo(24, 24)
    rng = Fixed(permutation=[(2, 0, 1)], uniform=[1.3, 0.7, 1.2])
    expected = ImageEnhance.Color(Image.fromarray(image)).enhance(1.3)
    expected = ImageEnhance.Brightness(expected).enhance(0.7)
    expected = ImageEnhance.Contrast(expected).enhance(1.2)
    np.testing.assert_array_equal(transforms.Jitter(0.4)(image, rng), np.asarray(expected))


def test_erase_replaces_one_rectangle_by_noise():
    image = np.full((40, 60, 3), 77, np.uint8)
    areas = []
    for index in range(200):
        result = transforms.Erase(1.0)(image, random_state(0, 0, index))
        rows, columns = np.nonzero((result != 77).any(axis=2))
        areas.append((rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1) / 2400)
        np.testing.assert_array_equal(result[: rows.min()], 77)
        np.testing.assert_array_equal(result[:, columns.max() + 1 :], 77)
    assert min(areas) > 0.01 and max(areas) < 0.36 and 0.1 < np.mean(areas) < 0.25
    assert (image == 77).all(), "the argument was written to"
    untouched = [transforms.Erase(0.25)(image, random_state(0, 0, i)) is image for i in range(1000)]
    assert abs(np.mean(untouched) - 0.75) < 0.05


def test_resized_crop_draws_the_area_and_aspect_asked_for():
    step = transforms.ResizedCrop(224)
    boxes = np.array([step.box(500, 375, random_state(0, 0, i)) for i in range(3000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 500 and boxes[:, 3].max() <= 375
    area, ratio = width * height / (500 * 375), width / height
    assert 0.07 < area.min() < 0.1 and area.max() > 0.95
    assert ratio.min() > 0.74 and ratio.max() < 1.35
    assert abs(np.log(ratio[area < 0.4]).mean()) < 0.01, "tall and wide pieces are equally likely"


@pytest.mark.parametrize("size, expected", [((1000, 10), (493, 0, 506, 10)), ((10, 1000), (0, 493, 10, 506))])
def test_resized_crop_of_a_strip_takes_its_centre(size, expected):
    hopeless = transforms.ResizedCrop(224, area=(0.9, 1.0))
    box = hopeless.box(*size, random_state(0))
    assert box == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("box", [(40, 30, 440, 330), (3, 0, 500, 100), (7, 9, 150, 375), (20, 30, 160, 240)])
@pytest.mark.parametrize("interpolation, levels", [("bilinear", 1), ("bicubic", 0)])
def test_resized_crop_equals_pillow_decoding_everything(box, interpolation, levels):
    encoded = encode(photo(375, 500), quality=90)
    whole = Image.open(io.BytesIO(encoded.content))
    expected = np.asarray(whole.crop(box).resize((224, 224), interpolation_of(interpolation))).astype(int)
    for image in (encoded, pixels(encoded)):
        result = crop_resize(image, lambda width, height: box, 224, interpolation)
        assert result.dtype == np.uint8 and np.abs(result - expected).max() <= levels


@pytest.mark.parametrize("box", [(40, 30, 440, 330), (20, 30, 160, 240)])
def test_without_opencv_the_resized_crop_is_pillows(monkeypatch, box):
    for module in (images, jpeg):
        monkeypatch.setattr(module, "cv2", None)
    encoded = encode(photo(375, 500), quality=90)
    whole = Image.open(io.BytesIO(encoded.content))
    result = crop_resize(encoded, lambda width, height: box, 224, "bilinear")
    np.testing.assert_array_equal(result, np.asarray(whole.crop(box).resize((224, 224), Image.BILINEAR)))


@pytest.mark.parametrize(
    "format, size, box, reduction",
    [
        ("JPEG", 112, (103, 57, 403, 357), 2),
        ("JPEG", 40, (0, 20, 200, 180), 4),
        ("JPEG", 112, (100, 100, 400, 323), 1),
        ("PNG", 40, (0, 20, 200, 180), None),
    ],
)
def test_large_pieces_are_decoded_at_a_fraction_and_look_the_same(monkeypatch, format, size, box, reduction):
    encoded = encode(load_sample_image("china.jpg"), format)
    whole = Image.open(io.BytesIO(encoded.content))
    expected = np.asarray(whole.crop(box).resize((size, size), Image.BILINEAR))
    reductions, decode = [], Jpeg.decode
    monkeypatch.setattr(Jpeg, "decode", lambda jpeg, rows, scale: reductions.append(scale) or decode(jpeg, rows, scale))
    result = crop_resize(encoded, lambda width, height: box, size, "bilinear")
    assert reductions == ([reduction] if reduction else [])
    difference = np.abs(result.astype(int) - expected)
    if reduction in (1, None):
        assert difference.max() <= 1
    else:
        assert difference.mean() < 4


def test_centre_is_resize_then_crop():
    image = photo(375, 500)
    result = transforms.Centre(224, 256, "bicubic")(image)
    resized = Image.fromarray(image).resize((341, 256), Image.BICUBIC)
    np.testing.assert_array_equal(result, np.asarray(resized)[16:240, 58:282])
    assert transforms.Centre(224, 256)(photo(300, 200)).shape == (224, 224, 3)
    small = photo(32, 32)
    np.testing.assert_array_equal(transforms.Centre(32, 32)(small), small)


def test_evaluation_has_the_published_steps():
    encoded = encode(photo(300, 400))
    transform = data.eval_transform(224, MEAN, STD, resize=256)
    steps = transforms.Normalize(MEAN, STD)(transforms.Centre(224, 256)(pixels(encoded)))
    np.testing.assert_array_equal(transform(encoded), steps)


@pytest.mark.parametrize(
    "mode, format", [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("1", "PNG"), ("LA", "PNG")]
)
def test_every_colour_form_becomes_rgb(mode, format):
    encoded = encode(photo(64, 48), format, mode)
    result = pixels(encoded)
    assert result.shape == (64, 48, 3) and result.dtype == np.uint8
    np.testing.assert_array_equal(result, np.asarray(Image.open(io.BytesIO(encoded.content)).convert("RGB")))


def test_sixteen_bit_greys_keep_their_brightness():
    grey = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    content = io.BytesIO()
    Image.fromarray(grey).save(content, "PNG")
    result = pixels(Encoded(content.getvalue(), "deep.png"))
    np.testing.assert_array_equal(result[..., 1], grey // 256)


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"not a picture", lambda raw: b""])
def test_a_damaged_file_is_named(damage):
    whole = encode(photo(100, 100))
    with pytest.raises(data.BadImage, match="n01440764/x.JPEG: .*on_bad_image='skip'"):
        pixels(Encoded(damage(whole.content), "n01440764/x.JPEG"))


@pytest.mark.parametrize(
    "policy, variant, order",
    [
        ("imagenet", "paper", ["ResizedCrop", "AutoAugment"]),
        ("imagenet", "increasing", ["AutoAugment", "ResizedCrop"]),
        ("rand", "paper", ["ResizedCrop", "RandAugment"]),
        ("rand", "increasing", ["ResizedCrop", "RandAugment"]),
    ],
)
def test_order_of_the_steps(policy, variant, order):
    options = dict(crop="resized", auto_aug=policy, auto_aug_variant=variant, jitter=0.4, erasing=0.2, lighting=0.1)
    transform = data.train_transform(224, MEAN, STD, **options)
    names = [type(step).__name__ for step in transform.steps]
    assert names == [*order, "Flip", "Jitter", "Erase", "Normalize"]
    result = transform(encode(photo(100, 150)), random_state(0))
    assert result.shape == (3, 224, 224) and np.isfinite(result).all()


def test_a_transform_says_what_it_does():
    text = repr(data.train_transform(32, MEAN, STD, auto_aug="cifar10"))
    steps = [step.partition("(")[0] for step in text.split(" -> ")]
    assert steps == ["Centre", "PadCrop", "AutoAugment", "Flip", "Normalize"]
    assert "PadCrop(size=32, padding=4) -> AutoAugment(policy='cifar10', form='paper')" in text


def test_mistakes():
    with pytest.raises(GluonAttnError, match="Unknown crop 'pads'"):
        data.train_transform(32, MEAN, STD, crop="pads")
    with pytest.raises(GluonAttnError, match="Unknown auto_aug 'imagnet'. Did you mean 'imagenet'"):
        data.train_transform(32, MEAN, STD, auto_aug="imagnet")
    for policy in ("rand", "imagenet", None):
        with pytest.raises(GluonAttnError, match="Unknown auto_aug_variant 'incresing'. Did you mean 'increasing'"):
            data.train_transform(32, MEAN, STD, auto_aug=policy, auto_aug_variant="incresing")
    with pytest.raises(GluonAttnError, match="Unknown interpolation 'cubic'. Did you mean 'bicubic'"):
        data.eval_transform(32, MEAN, STD, resize=40, interpolation="cubic")(photo(64, 64))
    for mean, std in ((MEAN, (0, 0.2, 0.2)), (MEAN[:2], STD), ((0.5, 0.5, math.nan), STD), (MEAN, (0.2, 0.2, -0.2))):
        with pytest.raises(GluonAttnError, match="cannot normalise RGB: give three"):
            data.eval_transform(32, mean, std)
    with pytest.raises(GluonAttnError, match="20x20 padded by 4 has no window of 32"):
        transforms.PadCrop(32)(photo(20, 20), random_state(0))
    assert math.isclose(transforms.ResizedCrop(8).aspect[0] * transforms.ResizedCrop(8).aspect[1], 1)


def test_smaller_pictures_are_resized_before_they_are_padded():
    image = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    transform = data.train_transform(32, (0, 0, 0), (1, 1, 1), crop="pad", padding=0, flip=False)
    small = np.asarray(Image.fromarray(image).resize((32, 32), Image.BILINEAR))
    np.testing.assert_allclose(transform(image, data.random_state(0)), small.transpose(2, 0, 1) / 255, atol=1e-6)


def test_each_epoch_its_own_transform():
    steps = transforms.ByEpoch(["small", "small", "large"])
    assert [steps.at(epoch) for epoch in range(3)] == ["small", "small", "large"]
    assert repr(steps) == "from epoch 0: 'small'; from epoch 2: 'large'"
