"""Reading picture files, and cutting a resized piece out of one without more work than the piece needs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from gluon_attn.data.dataset import BadImage
from gluon_attn.errors import unknown

INTERPOLATIONS = {
    "nearest": Image.NEAREST,
    "bilinear": Image.BILINEAR,
    "bicubic": Image.BICUBIC,
    "lanczos": Image.LANCZOS,
}


class Encoded:
    """A picture file's content, decoded when and as far as it is needed.

    ``name`` is what an error calls it. Every colour form becomes RGB; the EXIF rotation is not applied, as in every
    published ImageNet pipeline.
    """

    def __init__(self, content, name):
        self.content, self.name = content, name

    def header(self):
        """The Pillow image before its pixels are decoded; knows ``size`` = (width, height)."""
        return self._guarded(lambda: Image.open(io.BytesIO(self.content)))

    def load(self, header=None):
        """The decoded Pillow image, RGB."""
        header = self.header() if header is None else header
        return self._guarded(lambda: header.convert("RGB"))

    def _guarded(self, read):
        try:
            return read()
        except Exception as error:  # decoders raise whatever they like on damaged files
            raise BadImage(self.name, f"{type(error).__name__}: {error}") from error


def pixels(image):
    """uint8 (H, W, 3), decoding it where it is not."""
    return np.asarray(image.load()) if isinstance(image, Encoded) else image


def crop_resize(image, choose_box, size, interpolation):
    """The piece ``choose_box(width, height)`` = (x0, y0, x1, y1) of ``image``, resized to ``size`` x ``size``.

    Equal to decode, crop and resize with Pillow, with one exception: where the piece is at least twice as large as
    ``size`` both ways, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which the JPEG decoder does by averaging.
    """
    if isinstance(image, Encoded):
        header = image.header()
        box = choose_box(*header.size)
        reduced, box = _reduce(header, box, size)
        picture = image.load(reduced)
    else:
        box = choose_box(image.shape[1], image.shape[0])
        picture = Image.fromarray(image)
    return np.asarray(picture.crop(box).resize((size, size), interpolation_of(interpolation)))


def interpolation_of(name):
    """Pillow's filter of that name."""
    if name not in INTERPOLATIONS:
        raise unknown("interpolation", name, INTERPOLATIONS)
    return INTERPOLATIONS[name]


def _reduce(header, box, size):
    """Ask the JPEG decoder for the smallest picture in which ``box`` still has ``size`` pixels; scale the box."""
    x0, y0, x1, y1 = box
    factor = min(x1 - x0, y1 - y0) // size
    width, height = header.size
    if factor >= 2 and header.format == "JPEG":
        header.draft("RGB", (width // factor, height // factor))
    scale_x, scale_y = header.size[0] / width, header.size[1] / height
    return header, (round(x0 * scale_x), round(y0 * scale_y), round(x1 * scale_x), round(y1 * scale_y))
