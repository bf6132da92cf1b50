"""AutoAugment (arXiv 1805.09501) and RandAugment (arXiv 1909.13719) on uint8 (H, W, 3) arrays.

A *space* says what a level means for each operation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable

from PIL import Image

from gluon_attn.data.ops import OPS
from gluon_attn.data.policies import AUTOGLUON, POLICIES
from gluon_attn.errors import unknown


@dataclass(frozen=True)
class Canvas:
    """How moved pictures are sampled, and what fills the places that they leave."""

    interpolation: Any
    fill: tuple


GREY = Canvas(Image.NEAREST, (128, 128, 128))
BLACK = Canvas(Image.BICUBIC, (0, 0, 0))


@dataclass(frozen=True)
class Scale:
    """Levels 0 to `top` as values from `low` to `high`; `relative` to the image's side, made a `number`.

    A `signed` value is added to, or by a coin taken from, `centre`.
    """

    low: float
    high: float
    top: int
    signed: bool = False
    relative: bool = False
    number: Callable = float
    centre: float = 0

    def value(self, level, side=1):
        return self.number((self.low + (self.high - self.low) * level / self.top) * (side if self.relative else 1))

    def draw(self, level, side, rng):
        """What `level` means for an image of that `side`, with its random sign where it has one."""
        return self.centre + self.value(level, side) * (2 * rng.randint(2) - 1 if self.signed else 1)


NOTHING = Scale(0, 0, 1)
TRANSLATE = 150 / 331  # "up to 150 pixels", of pictures with 331
ENHANCE = ("Contrast", "Color", "Brightness", "Sharpness")

# Table 6 of the paper: ten equally spaced values of each range. Posterize keeps more bits, Solarize inverts less, at
# higher levels.
PAPER = {
    **dict.fromkeys(("Invert", "AutoContrast", "Equalize"), NOTHING),
    **dict.fromkeys(("ShearX", "ShearY"), Scale(0, 0.3, 9, signed=True)),
    **dict.fromkeys(("TranslateX", "TranslateY"), Scale(0, TRANSLATE, 9, signed=True, relative=True)),
    **dict.fromkeys(ENHANCE, Scale(0.1, 1.9, 9)),
    "Rotate": Scale(0, 30, 9, signed=True),
    "Solarize": Scale(0, 256, 9, number=round),
    "Posterize": Scale(4, 8, 9, number=round),
}

# autogluon 0.0.7 to 0.3.1, as the authors' released code: tenths of the range, whole numbers, and severity that
# increases with the level (Posterize keeps 4 bits down to none). At most ten pixels of translation.
INCREASING = {
    **dict.fromkeys(("Invert", "AutoContrast", "Equalize"), NOTHING),
    **dict.fromkeys(("ShearX", "ShearY"), Scale(0, 0.3, 10, signed=True)),
    **dict.fromkeys(("TranslateX", "TranslateY"), Scale(0, 10, 10, signed=True, number=int)),
    **dict.fromkeys(ENHANCE, Scale(0.1, 1.9, 10)),
    "Rotate": Scale(0, 30, 10, signed=True, number=int),
    "Solarize": Scale(256, 0, 10, number=math.ceil),
    "Posterize": Scale(4, 0, 10, number=math.ceil),
}

# RandAugment counts magnitudes to 30; 0 changes nothing. Its 14 operations are this table's keys.
RANDAUGMENT = {
    **dict.fromkeys(("Identity", "AutoContrast", "Equalize"), NOTHING),
    **dict.fromkeys(("ShearX", "ShearY"), Scale(0, 0.3, 30, signed=True)),
    **dict.fromkeys(("TranslateX", "TranslateY"), Scale(0, TRANSLATE, 30, signed=True, relative=True)),
    **dict.fromkeys(ENHANCE, Scale(0, 0.9, 30, signed=True, centre=1)),
    "Rotate": Scale(0, 30, 30, signed=True),
    "Solarize": Scale(256, 0, 30, number=round),
    "Posterize": Scale(8, 4, 30, number=round),
}

FORMS = {"paper": (PAPER, GREY), "increasing": (INCREASING, BLACK)}


class AutoAugment:
    """One sub-policy of `policy` ('cifar10', 'imagenet') drawn for each image, then a coin for each operation.

    `form`: 'paper', or 'increasing', the one that open-aff's autogluon had (its two deviating rows included).
    """

    def __init__(self, policy, form="paper"):
        if policy not in POLICIES:
            raise unknown("AutoAugment policy", policy, POLICIES)
        if form not in FORMS:
            raise unknown("AutoAugment form", form, FORMS)
        self.policy, self.form = policy, form
        self.space, self.canvas = FORMS[form]
        self.rows = list(POLICIES[policy])
        if form == "increasing":
            for row, theirs in AUTOGLUON[policy].items():
                self.rows[row] = theirs

    def __call__(self, image, rng):
        for name, probability, level in self.rows[rng.randint(len(self.rows))]:
            if rng.uniform() < probability:
                value = self.space[name].draw(level, side_of(image, name), rng)
                image = OPS[name](image, value, self.canvas)
        return image

    def __repr__(self):
        return f"AutoAugment(policy={self.policy!r}, form={self.form!r})"


class RandAugment:
    """`count` operations drawn uniformly, all at the same `magnitude` (0 to 30)."""

    def __init__(self, count=2, magnitude=9):
        self.count, self.magnitude = count, magnitude
        self.names = sorted(RANDAUGMENT)

    def __call__(self, image, rng):
        for _ in range(self.count):
            name = self.names[rng.randint(len(self.names))]
            value = RANDAUGMENT[name].draw(self.magnitude, side_of(image, name), rng)
            image = OPS[name](image, value, GREY)
        return image

    def __repr__(self):
        return f"RandAugment(count={self.count}, magnitude={self.magnitude})"


def side_of(image, name):
    """The side that a translation moves along: height for TranslateY, else width."""
    return image.shape[0] if name == "TranslateY" else image.shape[1]
