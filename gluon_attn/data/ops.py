"""The operations of AutoAugment and RandAugment on uint8 (H, W, 3) arrays, each equal to Pillow's own.

Operations on single grey values are Pillow's, applied to the 256 values there are and then looked up. Sharpness and
Equalize are computed faster than Pillow does; tests/data/test_ops.py holds every one against Pillow.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

from gluon_attn.data._cv2 import cv2

LEVELS = np.arange(256, dtype=np.uint8)
RAMP = Image.fromarray(LEVELS[None])  # every grey value once
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13  # PIL.ImageFilter.SMOOTH


def shear_x(image, value, canvas):
    return _affine(image, (1, value, 0, 0, 1, 0), canvas)


def shear_y(image, value, canvas):
    return _affine(image, (1, 0, 0, value, 1, 0), canvas)


def translate_x(image, value, canvas):
    """By `value` pixels."""
    return _affine(image, (1, 0, value, 0, 1, 0), canvas)


def translate_y(image, value, canvas):
    """By `value` pixels."""
    return _affine(image, (1, 0, 0, 0, 1, value), canvas)


def rotate(image, value, canvas):
    """By `value` degrees, counter-clockwise."""
    return np.asarray(Image.fromarray(image).rotate(value, fillcolor=canvas.fill))


def invert(image, value, canvas):
    return ~image


def solarize(image, value, canvas):
    """Invert what is at `value` or above."""
    return image ^ -(image >= value).view(np.uint8)  # -1 is 255: all bits flipped


def posterize(image, value, canvas):
    """Keep `value` bits a channel."""
    return image & np.uint8(256 - 2 ** (8 - int(value)))


def brightness(image, value, canvas):
    return _look_up(image, ImageEnhance.Brightness(RAMP).enhance(value))


def contrast(image, value, canvas):
    """Away from (or towards, below 1) the mean grey value."""
    grey = np.asarray(Image.fromarray(image).convert("L"))
    mean = Image.new("L", RAMP.size, int(grey.mean() + 0.5))
    return _look_up(image, Image.blend(mean, RAMP, value))


def color(image, value, canvas):
    """Away from (or towards, below 1) the grey picture."""
    return np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(value))


def sharpness(image, value, canvas):
    """Away from (or towards, below 1) the smoothed picture; the outermost pixels stay."""
    if cv2 is None:
        return np.asarray(ImageEnhance.Sharpness(Image.fromarray(image)).enhance(value))
    smooth = image.copy()
    smooth[1:-1, 1:-1] = cv2.filter2D(image, -1, SMOOTH)[1:-1, 1:-1]
    return np.asarray(Image.blend(Image.fromarray(smooth), Image.fromarray(image), value))


def autocontrast(image, value, canvas):
    """Stretch each channel to 0..255."""
    return _look_up(image, _stretch(_histograms(image)))


def equalize(image, value, canvas):
    """Flatten the histogram of each channel."""
    return _look_up(image, _flatten(_histograms(image)))


def identity(image, value, canvas):
    return image


def flip(image):
    """Left to right."""
    return cv2.flip(image, 1) if cv2 is not None else np.ascontiguousarray(image[:, ::-1])


def split(image):
    """Its three channels, each (H, W)."""
    return cv2.split(image) if cv2 is not None else np.moveaxis(image, 2, 0)


def _stretch(histograms):
    """AutoContrast's tables, (3, 256)."""
    present = histograms > 0
    low, high = present.argmax(axis=1), 255 - present[:, ::-1].argmax(axis=1)
    scale = (255.0 / np.maximum(high - low, 1))[:, None]
    tables = np.clip(LEVELS * scale - low[:, None] * scale, 0, 255).astype(np.uint8)
    return np.where((high > low)[:, None], tables, LEVELS)


def _flatten(histograms):
    """Equalize's tables, (3, 256)."""
    brightest = 255 - (histograms[:, ::-1] > 0).argmax(axis=1)
    step = ((histograms.sum(axis=1) - histograms[range(3), brightest]) // 255)[:, None]
    below = np.cumsum(histograms, axis=1) - histograms
    tables = np.minimum((step // 2 + below) // np.maximum(step, 1), 255)
    return np.where(step > 0, tables, LEVELS)


def _histograms(image):
    """(3, 256) counts."""
    if cv2 is not None:
        counts = [cv2.calcHist([image], [channel], None, [256], [0, 256]) for channel in range(3)]
        return np.array(counts).reshape(3, 256).astype(int)  # exact to 2^24 pixels of one grey
    return np.array(Image.fromarray(image).histogram()).reshape(3, 256)


def _look_up(image, tables):
    """Each grey value through one table of 256, or one table a channel."""
    tables = np.asarray(tables, np.uint8).reshape(-1, 256)
    if cv2 is not None:
        return cv2.LUT(image, np.ascontiguousarray(tables.T)[None])
    return np.stack([tables[c % len(tables)][image[..., c]] for c in range(image.shape[2])], axis=2)


def _affine(image, matrix, canvas):
    picture = Image.fromarray(image)
    moved = picture.transform(picture.size, Image.AFFINE, matrix, canvas.interpolation, fillcolor=canvas.fill)
    return np.asarray(moved)


OPS = {
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "Rotate": rotate,
    "Invert": invert,
    "Solarize": solarize,
    "Posterize": posterize,
    "Brightness": brightness,
    "Contrast": contrast,
    "Color": color,
    "Sharpness": sharpness,
    "AutoContrast": autocontrast,
    "Equalize": equalize,
    "Identity": identity,
}
