"""Every operation of AutoAugment against Pillow's own, and the policies against the published tables."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from gluon_attn.data import ops
from gluon_attn.data.auto_augment import BLACK, GREY, INCREASING, PAPER, RANDAUGMENT, AutoAugment, RandAugment, Scale
from gluon_attn.data.seeding import random_state
from gluon_attn.errors import GluonAttnError


def affine(matrix):
    def move(image, value, canvas):
        coefficients = [value if entry == "v" else entry for entry in matrix]
        return image.transform(
            image.size, Image.AFFINE, coefficients, resample=canvas.interpolation, fillcolor=canvas.fill
        )

    return move


# The same operations written with Pillow on whole images.
PILLOW = {
    "ShearX": affine((1, "v", 0, 0, 1, 0)),
    "ShearY": affine((1, 0, 0, "v", 1, 0)),
    "TranslateX": affine((1, 0, "v", 0, 1, 0)),
    "TranslateY": affine((1, 0, 0, 0, 1, "v")),
    "Rotate": lambda image, value, canvas: image.rotate(value, fillcolor=canvas.fill),
    "Invert": lambda image, value, canvas: ImageOps.invert(image),
    "Solarize": lambda image, value, canvas: ImageOps.solarize(image, value),
    "Posterize": lambda image, value, canvas: ImageOps.posterize(image, value),
    "Brightness": lambda image, value, canvas: ImageEnhance.Brightness(image).enhance(value),
    "Contrast": lambda image, value, canvas: ImageEnhance.Contrast(image).enhance(value),
    "Color": lambda image, value, canvas: ImageEnhance.Color(image).enhance(value),
    "Sharpness": lambda image, value, canvas: ImageEnhance.Sharpness(image).enhance(value),
    "AutoContrast": lambda image, value, canvas: ImageOps.autocontrast(image),
    "Equalize": lambda image, value, canvas: ImageOps.equalize(image),
    "Identity": lambda image, value, canvas: image,
}
WITHIN_ONE_LEVEL = {"Sharpness"}  # smoothed by OpenCV, which rounds halves to even; all others are equal


def pictures():
    rng = np.random.RandomState(0)
    noise = rng.randint(0, 256, (48, 64, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(noise[:6, :8]).resize((64, 48), Image.BICUBIC))
    narrow = (smooth // 4 + 90).astype(np.uint8)
    return {
        "noise": noise,
        "smooth": smooth,
        "narrow": narrow,
        "flat": np.full((32, 32, 3), 77, np.uint8),
        "two greys": np.where(noise[:32, :32] > 128, 255, 0).astype(np.uint8),
    }


def values(name):
    """Every value that the three spaces give for the operation, both signs."""
    found = set()
    for space, levels in ((PAPER, 10), (INCREASING, 10), (RANDAUGMENT, 31)):
        scale = space.get(name, Scale(0, 0, 1))
        for sign in (1, -1) if scale.signed else (1,):
            found |= {scale.centre + sign * scale.value(level, 32) for level in range(levels)}
    return sorted(found)


@pytest.mark.parametrize("name", sorted(ops.OPS))
def test_operation_equals_pillows(name):
    for title, picture in pictures().items():
        for canvas in (GREY, BLACK):
            for value in values(name):
                before = picture.copy()
                ours = ops.OPS[name](picture, value, canvas)
                theirs = np.asarray(PILLOW[name](Image.fromarray(picture), value, canvas))
                assert ours.dtype == np.uint8 and ours.shape == picture.shape
                np.testing.assert_array_equal(picture, before, err_msg="the argument was written to")
                difference = np.abs(ours.astype(int) - theirs).max()
                assert difference <= (name in WITHIN_ONE_LEVEL), (title, value, difference)


@pytest.mark.parametrize("name", ("Sharpness", "Contrast", "Equalize"))
def test_without_opencv_the_result_is_pillows(name, monkeypatch):
    monkeypatch.setattr(ops, "cv2", None)
    for picture in pictures().values():
        theirs = np.asarray(PILLOW[name](Image.fromarray(picture), 1.54, GREY))
        np.testing.assert_array_equal(ops.OPS[name](picture, 1.54, GREY), theirs)


# Tables 7 and 9 of arXiv 1805.09501, typed a second time.
PUBLISHED = {
    "cifar10": """
    Invert 1 7 Contrast 2 6; Rotate 7 2 TranslateX 3 9; Sharpness 8 1 Sharpness 9 3; ShearY 5 8
    TranslateY 7 9; AutoContrast 5 8 Equalize 9 2; ShearY 2 7 Posterize 3 7; Color 4 3 Brightness 6
    7; Sharpness 3 9 Brightness 7 9; Equalize 6 5 Equalize 5 1; Contrast 6 7 Sharpness 6 5; Color 7
    7 TranslateX 5 8; Equalize 3 7 AutoContrast 4 8; TranslateY 4 3 Sharpness 2 6; Brightness 9 6
    Color 2 8; Solarize 5 2 Invert 0 3; Equalize 2 0 AutoContrast 6 0; Equalize 2 8 Equalize 6 4;
    Color 9 9 Equalize 6 6; AutoContrast 8 4 Solarize 2 8; Brightness 1 3 Color 7 0; Solarize 4 5
    AutoContrast 9 3; TranslateY 9 9 TranslateY 7 9; AutoContrast 9 2 Solarize 8 3; Equalize 8 8
    Invert 1 3; TranslateY 7 9 AutoContrast 9 1""",
    "imagenet": """
    Posterize 4 8 Rotate 6 9; Solarize 6 5 AutoContrast 6 5; Equalize 8 8 Equalize 6 3; Posterize 6
    7 Posterize 6 6; Equalize 4 7 Solarize 2 4; Equalize 4 4 Rotate 8 8; Solarize 6 3 Equalize 6 7;
    Posterize 8 5 Equalize 10 2; Rotate 2 3 Solarize 6 8; Equalize 6 8 Posterize 4 6; Rotate 8 8
    Color 4 0; Rotate 4 9 Equalize 6 2; Equalize 0 7 Equalize 8 8; Invert 6 4 Equalize 10 8; Color 6
    4 Contrast 10 8; Rotate 8 8 Color 10 2; Color 8 8 Solarize 8 7; Sharpness 4 7 Invert 6 8; ShearX
    6 5 Equalize 10 9; Color 4 0 Equalize 6 3; Equalize 4 7 Solarize 2 4; Solarize 6 5 AutoContrast
    6 5; Invert 6 4 Equalize 10 8; Color 6 4 Contrast 10 8; Equalize 8 8 Equalize 6 3""",
}


def parse(table):
    rows = []
    for row in table.split(";"):
        words = row.split()
        rows.append(tuple((words[i], int(words[i + 1]) / 10, int(words[i + 2])) for i in (0, 3)))
    return rows


@pytest.mark.parametrize("policy", sorted(PUBLISHED))
def test_policies_are_the_published_ones(policy):
    assert AutoAugment(policy).rows == parse(PUBLISHED[policy])
    assert len(AutoAugment(policy).rows) == 25


@pytest.mark.parametrize("policy, row, level", [("cifar10", 13, 6), ("imagenet", 15, 0)])
def test_the_increasing_form_deviates_where_autogluon_did(policy, row, level):
    paper, increasing = AutoAugment(policy).rows, AutoAugment(policy, "increasing").rows
    assert [i for i in range(25) if paper[i] != increasing[i]] == [row]
    assert increasing[row][1][0] == "Color" and increasing[row][1][2] == level


@pytest.mark.parametrize(
    "space, name, expected",
    [
        (PAPER, "Posterize", [4, 4, 5, 5, 6, 6, 7, 7, 8, 8]),
        (PAPER, "Solarize", [0, 28, 57, 85, 114, 142, 171, 199, 228, 256]),
        (PAPER, "Contrast", np.linspace(0.1, 1.9, 10)),
        (PAPER, "Rotate", np.linspace(0, 30, 10)),
        (PAPER, "TranslateX", np.linspace(0, 150, 10)),
        (INCREASING, "Posterize", [4, 4, 4, 3, 3, 2, 2, 2, 1, 1]),
        (INCREASING, "Solarize", [256, 231, 205, 180, 154, 128, 103, 77, 52, 26]),
        (INCREASING, "TranslateY", range(10)),
        (INCREASING, "Color", 0.1 + 0.18 * np.arange(10)),
    ],
)
def test_what_a_level_means(space, name, expected):
    np.testing.assert_allclose([space[name].value(level, 331) for level in range(10)], list(expected), atol=1e-9)


@pytest.mark.parametrize("augment", [AutoAugment("cifar10"), AutoAugment("imagenet", "increasing"), RandAugment()])
def test_augmenting_is_a_function_of_the_random_state(augment):
    picture = pictures()["smooth"]
    first, again = ([augment(picture, random_state(0, 0, i)) for i in range(60)] for _ in range(2))
    for a, b in zip(first, again):
        np.testing.assert_array_equal(a, b)
    assert len({image.tobytes() for image in first}) > 15


def test_operations_come_as_often_as_the_table_says():
    """On sub-policy 'Solarize 0.5, Invert 0.0': half of the images change, none is inverted."""
    augment = AutoAugment("cifar10")
    augment.rows = [augment.rows[14]]
    picture = pictures()["noise"]
    changed = np.mean([not np.array_equal(augment(picture, random_state(0, 0, i)), picture) for i in range(2000)])
    assert abs(changed - 0.5) < 0.04


def test_rand_augment_at_magnitude_zero_moves_and_colours_nothing():
    names = [name for name in RANDAUGMENT if name not in ("AutoContrast", "Equalize")]
    augment = RandAugment(count=3, magnitude=0)
    augment.names = names
    picture = pictures()["noise"]
    for i in range(50):
        np.testing.assert_array_equal(augment(picture, random_state(0, 0, i)), picture)


def test_mistakes():
    with pytest.raises(GluonAttnError, match="Unknown AutoAugment policy 'cifar'. Did you mean 'cifar10'"):
        AutoAugment("cifar")
    with pytest.raises(GluonAttnError, match="Unknown AutoAugment form 'papers'. Did you mean 'paper'"):
        AutoAugment("cifar10", "papers")
