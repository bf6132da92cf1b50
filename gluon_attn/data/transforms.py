"""What happens to an image between the data set and the network, as a list of small steps.

A step is called as `step(image, rng)`; images stay uint8 (H, W, 3) until `Normalize`, which is last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np

from gluon_attn.data.auto_augment import FORMS, GREY, AutoAugment, RandAugment
from gluon_attn.data.dataset import BadImage
from gluon_attn.data.images import crop_resize, pixels
from gluon_attn.data.limits import check_side
from gluon_attn.data.ops import brightness, color, contrast, flip, split
from gluon_attn.data.resize import resize_centre
from gluon_attn.errors import DataError, unknown

CROPS = ("pad", "resized", None)
PADDING = 4  # pixels round an image of CIFAR's kind
AUTO_AUG = {
    "cifar10": lambda form: AutoAugment("cifar10", form),
    "imagenet": lambda form: AutoAugment("imagenet", form),
    "rand": lambda form: RandAugment(),
}

# Principal components of the RGB values of ImageNet, 0..255 (Krizhevsky et al. 2012, section 4.1; MXNet's numbers).
PCA = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]) * (
    55.46,
    4.794,
    1.148,
)


def train_transform(
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    crop: Optional[str] = "pad",
    padding: int = PADDING,
    area: Tuple[float, float] = (0.08, 1.0),
    aspect: Tuple[float, float] = (3 / 4, 4 / 3),
    interpolation: str = "bilinear",
    flip: bool = True,
    auto_aug: Optional[str] = None,
    auto_aug_variant: str = "paper",
    jitter: float = 0.0,
    lighting: float = 0.0,
    erasing: float = 0.0,
) -> Transform:
    """The steps of training, called as `t(image, rng)` -> float32 (3, H, W).

    crop     : 'pad' (the shorter side to image_size, its centre, pad by `padding`, crop at random), 'resized' (a
               random piece of `area` and `aspect`, resized), or None (the shorter side to image_size, its
               centre). An image of that size is not resized: training and `eval_transform` see objects equally large
    auto_aug : None, 'cifar10', 'imagenet' (AutoAugment) or 'rand' (RandAugment). It follows the crop; AutoAugment
               whose `auto_aug_variant` is 'increasing' comes before it, as in the code that this form copies
    jitter   : brightness, contrast and colour by factors of 1 +- jitter each
    lighting : standard deviation of AlexNet's PCA noise
    erasing  : probability that a random rectangle is replaced by noise

    >>> transform = train_transform(32, (0.5,) * 3, (0.25,) * 3, auto_aug="cifar10")
    >>> transform(pictures[0], random_state(0)).shape
    (3, 32, 32)
    """
    check_side(image_size, "image_size")
    _check_words(crop, auto_aug, auto_aug_variant)
    centre = Centre(image_size, image_size, interpolation)
    crops = {
        "pad": [centre, PadCrop(image_size, padding)],
        "resized": [ResizedCrop(image_size, tuple(area), tuple(aspect), interpolation)],
        None: [centre],
    }[crop]
    augment = [AUTO_AUG[auto_aug](auto_aug_variant)] if auto_aug else []
    copied = auto_aug_variant == "increasing" and auto_aug != "rand"  # RandAugment has one form
    steps = augment + crops if copied else crops + augment
    steps += [Flip()] if flip else []
    steps += [Jitter(jitter)] if jitter else []
    steps += [Erase(erasing)] if erasing else []
    return Transform([*steps, Normalize(mean, std, lighting)])


def _check_words(crop, auto_aug, auto_aug_variant):
    if crop not in CROPS:
        raise unknown("crop", crop, [str(choice) for choice in CROPS])
    if auto_aug is not None and auto_aug not in AUTO_AUG:
        raise unknown("auto_aug", auto_aug, AUTO_AUG)
    if auto_aug_variant not in FORMS:
        raise unknown("auto_aug_variant", auto_aug_variant, FORMS)


def eval_transform(
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    resize: Optional[int] = None,
    interpolation: str = "bilinear",
) -> Transform:
    """The steps of evaluation: the shorter side to `resize` (default `image_size`), centre, normalise.

    >>> eval_transform(32, (0.5,) * 3, (0.25,) * 3)(pictures[0]).shape
    (3, 32, 32)
    """
    check_side(image_size, "image_size")
    check_side(resize or image_size, "resize")
    if (resize or image_size) < image_size:
        raise DataError(f"A picture resized to {resize} has no centre of {image_size}: give resize={image_size}.")
    return Transform([Centre(image_size, resize or image_size, interpolation), Normalize(mean, std)])


class ByEpoch:
    """Another transform in each epoch, from a list; a `Loader` asks for it by `at(epoch)`."""

    def __init__(self, transforms):
        self.transforms = list(transforms)

    def at(self, epoch):
        return self.transforms[epoch]

    def __repr__(self):
        return "; ".join(f"from epoch {start}: {transform!r}" for start, transform in self._changes())

    def _changes(self):
        pairs = enumerate(self.transforms)
        return [(i, t) for i, t in pairs if i == 0 or t is not self.transforms[i - 1]]


class Transform:
    """Steps one after the other. `rng` may be None where no step draws."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, image, rng=None):
        name = getattr(image, "name", "the array")
        try:
            if not isinstance(self.steps[0], (ResizedCrop, Centre)):
                image = pixels(image)
            for step in self.steps:
                image = step(image, rng)
            return image
        except MemoryError as error:
            raise BadImage(name, "there is not memory enough for it") from error

    def __repr__(self):
        return " -> ".join(map(repr, self.steps))


@dataclass(frozen=True)
class PadCrop:
    """Zeros all round, then a random window of `size`."""

    size: int
    padding: int = 4

    def __call__(self, image, rng):
        height, width, channels = image.shape
        pad = self.padding
        padded = np.zeros((height + 2 * pad, width + 2 * pad, channels), np.uint8)
        padded[pad : pad + height, pad : pad + width] = image
        if min(padded.shape[:2]) < self.size:
            raise DataError(
                f"An image of {width}x{height} padded by {pad} has no window of {self.size}: use crop='resized'."
            )
        y = rng.randint(padded.shape[0] - self.size + 1)
        x = rng.randint(padded.shape[1] - self.size + 1)
        return padded[y : y + self.size, x : x + self.size]


@dataclass(frozen=True)
class ResizedCrop:
    """A random piece of the image, resized (Szegedy et al., Going deeper with convolutions, section 6)."""

    size: int
    area: tuple = (0.08, 1.0)
    aspect: tuple = (3 / 4, 4 / 3)
    interpolation: str = "bilinear"

    def __call__(self, image, rng):
        return crop_resize(image, lambda width, height: self.box(width, height, rng), self.size, self.interpolation)

    def box(self, width, height, rng):
        """Ten trials of area (uniform) and aspect (log-uniform); then the largest centre piece of allowed aspect."""
        for _ in range(10):
            w, h = _draw_sides(width * height, self.area, self.aspect, rng)
            if 0 < w <= width and 0 < h <= height:
                x, y = rng.randint(width - w + 1), rng.randint(height - h + 1)
                return x, y, x + w, y + h
        w = min(width, max(1, round(height * self.aspect[1])))
        h = min(height, max(1, round(width / self.aspect[0])))
        x, y = (width - w) // 2, (height - h) // 2
        return x, y, x + w, y + h


@dataclass(frozen=True)
class Centre:
    """Shorter side to `resize`, then the centre `size` x `size`; nothing where the image has that size."""

    size: int
    resize: int
    interpolation: str = "bilinear"

    def __call__(self, image, rng=None):
        return resize_centre(pixels(image), self.resize, self.size, self.interpolation)


@dataclass(frozen=True)
class Flip:
    """Left to right, every other image on average."""

    def __call__(self, image, rng):
        return flip(image) if rng.randint(2) else image


@dataclass(frozen=True)
class Jitter:
    """Brightness, contrast and colour, in random order, each by a factor uniform in 1 +- `strength`."""

    strength: float

    def __call__(self, image, rng):
        for index in rng.permutation(3):
            factor = rng.uniform(max(0, 1 - self.strength), 1 + self.strength)
            image = (brightness, contrast, color)[index](image, factor, GREY)
        return image


@dataclass(frozen=True)
class Erase:
    """Zhong et al., Random erasing, arXiv 1708.04896: a rectangle of noise."""

    probability: float
    area: tuple = (0.02, 0.33)
    aspect: tuple = (0.3, 3.3)

    def __call__(self, image, rng):
        if rng.uniform() >= self.probability:
            return image
        height, width = image.shape[:2]
        for _ in range(10):
            w, h = _draw_sides(width * height, self.area, self.aspect, rng)
            if 0 < w < width and 0 < h < height:
                x, y = rng.randint(width - w), rng.randint(height - h)
                image = image.copy()
                image[y : y + h, x : x + w] = rng.randint(0, 256, (h, w, image.shape[2]), np.uint8)
                break
        return image


@dataclass(frozen=True)
class Normalize:
    """`(image / 255 - mean) / std` as float32 (3, H, W), with AlexNet's PCA noise where `lighting` is not 0."""

    mean: tuple
    std: tuple
    lighting: float = 0.0

    def __post_init__(self):
        for name, least in (("mean", -math.inf), ("std", 0)):
            values = getattr(self, name)
            numbers = np.asarray(values)
            right = numbers.shape == (3,) and numbers.dtype.kind in "iuf" and np.isfinite(numbers).all()
            if not right or not (numbers > least).all():
                wanted = "finite numbers" if name == "mean" else "numbers above 0"
                raise DataError(f"{name}={values!r} cannot normalise RGB: give three {wanted}, of pixels from 0 to 1.")
            object.__setattr__(self, name, tuple(numbers.tolist()))

    def __call__(self, image, rng=None):
        std = np.asarray(self.std)
        offset = -np.asarray(self.mean) / std
        if self.lighting:
            offset = offset + PCA @ rng.normal(0, self.lighting, 3) / 255 / std
        result = np.empty((3, *image.shape[:2]), np.float32)
        for channel, plane in enumerate(split(image)):
            # From bytes to its place in one pass: no float copy of the image, no transposition.
            np.multiply(plane, 1 / 255 / std[channel], out=result[channel], dtype=np.float32)
            result[channel] += np.float32(offset[channel])
        return result


def _draw_sides(whole, area, aspect, rng):
    """(width, height) of a rectangle: its share of `whole` uniform in `area`, width/height log-uniform."""
    size = whole * rng.uniform(*area)
    ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
    return round(math.sqrt(size * ratio)), round(math.sqrt(size / ratio))
