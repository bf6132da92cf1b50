"""AutoAugment (arXiv 1805.09501) and RandAugment (arXiv 1909.13719) on uint8 (H, W, 3) arrays.

A *space* says what a level means. Each entry: a function of (level, image side in pixels) -> value, and whether a
coin turns the value's sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


def _linear(low, high, top):
    return (lambda level, side: low + (high - low) * level / top), False


def _signed(high, top, relative=False):
    return (lambda level, side: high * (side if relative else 1) * level / top), True


def _whole(entry):
    value, sign = entry
    return (lambda level, side: int(value(level, side))), sign


def _rounded(entry):
    value, sign = entry
    return (lambda level, side: round(value(level, side))), sign


PLAIN = {name: ((lambda level, side: 0), False) for name in ("Invert", "AutoContrast", "Equalize", "Identity")}

# Table 6 of the paper: ten equally spaced values of each range. Translations are of 331-pixel pictures there, so
# they are taken relative to the side. Posterize keeps more bits, Solarize inverts less, at higher levels.
PAPER = {
    **PLAIN,
    "ShearX": _signed(0.3, 9),
    "ShearY": _signed(0.3, 9),
    "TranslateX": _signed(150 / 331, 9, relative=True),
    "TranslateY": _signed(150 / 331, 9, relative=True),
    "Rotate": _signed(30, 9),
    "Solarize": _rounded(_linear(0, 256, 9)),
    "Posterize": _rounded(_linear(4, 8, 9)),
    **dict.fromkeys(("Contrast", "Color", "Brightness", "Sharpness"), _linear(0.1, 1.9, 9)),
}

# autogluon 0.0.7 to 0.3.1, as the authors' released code: tenths of the range, whole numbers, and severity that
# increases with the level (Posterize keeps 4 bits down to none). At most ten pixels of translation.
INCREASING = {
    **PLAIN,
    "ShearX": _signed(0.3, 10),
    "ShearY": _signed(0.3, 10),
    "TranslateX": _whole(_signed(10, 10)),
    "TranslateY": _whole(_signed(10, 10)),
    "Rotate": _whole(_signed(30, 10)),
    "Solarize": ((lambda level, side: 256 - int(25.6 * level)), False),
    "Posterize": ((lambda level, side: 4 - int(0.4 * level)), False),
    **dict.fromkeys(("Contrast", "Color", "Brightness", "Sharpness"), _linear(0.1, 1.9, 10)),
}

# RandAugment counts magnitudes to 30; 0 changes nothing. Its 14 operations are this table's keys.
RANDAUGMENT = {
    **{name: PLAIN[name] for name in ("Identity", "AutoContrast", "Equalize")},
    "ShearX": _signed(0.3, 30),
    "ShearY": _signed(0.3, 30),
    "TranslateX": _signed(150 / 331, 30, relative=True),
    "TranslateY": _signed(150 / 331, 30, relative=True),
    "Rotate": _signed(30, 30),
    "Solarize": _rounded(_linear(256, 0, 30)),
    "Posterize": _rounded(_linear(8, 4, 30)),
    **dict.fromkeys(("Contrast", "Color", "Brightness", "Sharpness"), _signed(0.9, 30)),
}
_AROUND_ONE = ("Contrast", "Color", "Brightness", "Sharpness")

VARIANTS = {"paper": (PAPER, GREY), "increasing": (INCREASING, BLACK)}


class AutoAugment:
    """One sub-policy of ``policy`` ('cifar10', 'imagenet') drawn for each image, then a coin for each operation.

    ``variant``: 'paper', or 'increasing', the form that open-aff's autogluon had (its two deviating rows included).
    """

    def __init__(self, policy, variant="paper"):
        if policy not in POLICIES:
            raise unknown("AutoAugment policy", policy, POLICIES)
        if variant not in VARIANTS:
            raise unknown("AutoAugment variant", variant, VARIANTS)
        self.policy, self.variant = policy, variant
        self.space, self.canvas = VARIANTS[variant]
        self.rows = list(POLICIES[policy])
        if variant == "increasing":
            for row, form in AUTOGLUON[policy].items():
                self.rows[row] = form

    def __call__(self, image, rng):
        for name, probability, level in self.rows[rng.randint(len(self.rows))]:
            if rng.uniform() < probability:
                image = OPS[name](image, draw_value(self.space, name, level, image, rng), self.canvas)
        return image

    def __repr__(self):
        return f"AutoAugment(policy={self.policy!r}, variant={self.variant!r})"


class RandAugment:
    """``count`` operations drawn uniformly, all at the same ``magnitude`` (0 to 30)."""

    def __init__(self, count=2, magnitude=9):
        self.count, self.magnitude = count, magnitude
        self.names = sorted(RANDAUGMENT)

    def __call__(self, image, rng):
        for _ in range(self.count):
            name = self.names[rng.randint(len(self.names))]
            value = draw_value(RANDAUGMENT, name, self.magnitude, image, rng)
            image = OPS[name](image, value + (name in _AROUND_ONE), GREY)
        return image

    def __repr__(self):
        return f"RandAugment(count={self.count}, magnitude={self.magnitude})"


def draw_value(space, name, level, image, rng):
    """What ``level`` means for the operation ``name`` in ``space``, with its random sign where it has one."""
    value, signed = space[name]
    side = image.shape[0] if name == "TranslateY" else image.shape[1]
    return value(level, side) * (rng.choice((-1, 1)) if signed else 1)
