"""The operations of AutoAugment and RandAugment on uint8 (H, W, 3) arrays, each equal to Pillow's own.

Operations on single grey values are Pillow's, applied to the 256 values there are and then looked up. Sharpness and
Equalize are computed faster than Pillow does; tests/data/test_ops.py holds every one against Pillow.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

try:  # GluonCV brings OpenCV, which does not load where the system package libgl1 is missing
    import cv2
except ImportError:
    cv2 = None

RAMP = Image.fromarray(np.arange(256, dtype=np.uint8)[None])  # every grey value once
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13  # PIL.ImageFilter.SMOOTH


def shear_x(image, value, canvas):
    return _affine(image, (1, value, 0, 0, 1, 0), canvas)


def shear_y(image, value, canvas):
    return _affine(image, (1, 0, 0, value, 1, 0), canvas)


def translate_x(image, value, canvas):
    """By ``value`` pixels."""
    return _affine(image, (1, 0, value, 0, 1, 0), canvas)


def translate_y(image, value, canvas):
    """By ``value`` pixels."""
    return _affine(image, (1, 0, 0, 0, 1, value), canvas)


def rotate(image, value, canvas):
    """By ``value`` degrees, counter-clockwise."""
    return np.asarray(Image.fromarray(image).rotate(value, fillcolor=canvas.fill))


def invert(image, value, canvas):
    return _look_up(image, ImageOps.invert(RAMP))


def solarize(image, value, canvas):
    """Invert what is at ``value`` or above."""
    return _look_up(image, ImageOps.solarize(RAMP, value))


def posterize(image, value, canvas):
    """Keep ``value`` bits a channel."""
    return _look_up(image, ImageOps.posterize(RAMP, int(value)))


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
    return _by_channel(image, _stretch_table)


def equalize(image, value, canvas):
    """Flatten the histogram of each channel."""
    return _by_channel(image, _equalize_table)


def identity(image, value, canvas):
    return image


def _stretch_table(channel):
    low, high = int(channel.min()), int(channel.max())
    if high <= low:
        return np.arange(256, dtype=np.uint8)
    scale = 255.0 / (high - low)
    return np.clip((np.arange(256) * scale - low * scale).astype(int), 0, 255).astype(np.uint8)


def _equalize_table(channel):
    histogram = np.bincount(channel.ravel(), minlength=256)
    present = histogram[histogram > 0]
    step = (present.sum() - present[-1]) // 255
    if len(present) <= 1 or step == 0:
        return np.arange(256, dtype=np.uint8)
    below = np.cumsum(histogram) - histogram
    return np.clip((step // 2 + below) // step, 0, 255).astype(np.uint8)


def _by_channel(image, table):
    result = np.empty_like(image)
    for c in range(image.shape[2]):
        channel = np.ascontiguousarray(image[..., c])
        result[..., c] = _look_up(channel, table(channel))
    return result


def _look_up(image, table):
    table = np.asarray(table, np.uint8).ravel()
    return cv2.LUT(image, table) if cv2 is not None else table[image]


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
