"""Reading picture files, and cutting a resized piece out of one without more work than the piece needs."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from gluon_attn.data._cv2 import cv2
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
        return self.guarded(lambda: Image.open(io.BytesIO(self.content)))

    def load(self, header=None):
        """The decoded Pillow image, RGB."""
        header = self.header() if header is None else header
        return self.guarded(lambda: to_rgb(header))

    def guarded(self, read):
        """read(), whatever a decoder raises turned into a BadImage."""
        # GluonCV switches this on for the whole process: the grey rest of a truncated file would pass for a picture.
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            return read()
        except Exception as error:  # decoders raise whatever they like on damaged files
            raise BadImage(self.name, f"{type(error).__name__}: {error}") from error
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def to_rgb(picture):
    """A Pillow image as RGB; 16-bit greys keep their brightness, which Pillow would clip to white."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    picture.load()  # decodes, where `convert` would also copy
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def read_picture(path):
    """A picture file as people see it: uint8 (H, W, 3), turned upright, transparency on white.

    What a network is evaluated on is not: `Encoded` ignores the EXIF rotation and the alpha channel.
    """
    encoded = Encoded(Path(path).read_bytes(), str(path))

    def read():
        picture = ImageOps.exif_transpose(encoded.header())
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return np.asarray(to_rgb(picture))

    return encoded.guarded(read)


def pixels(image):
    """uint8 (H, W, 3), decoding it where it is not."""
    return np.asarray(image.load()) if isinstance(image, Encoded) else image


def crop_resize(image, choose_box, size, interpolation):
    """The piece ``choose_box(width, height)`` = (x0, y0, x1, y1) of ``image``, resized to ``size`` x ``size``.

    Equal to decode, crop and resize with Pillow (within one grey level where the piece is enlarged), with one
    exception: where the piece is at least twice as large as ``size`` both ways, a JPEG is decoded at 1/2, 1/4 or 1/8
    of its size, which the JPEG decoder does by averaging: the piece comes out a little sharper, by a few grey levels
    where there is fine detail.
    """
    if isinstance(image, Encoded):
        header = image.header()
        box = choose_box(*header.size)
        box = _reduce(header, box, size)
        picture = image.load(header)
    else:
        box = choose_box(image.shape[1], image.shape[0])
        picture = Image.fromarray(image)
    x0, y0 = (math.floor(start) for start in box[:2])
    # Cut before resizing: Pillow's filters would look at pixels outside of the box.
    piece = picture.crop((x0, y0, math.ceil(box[2]), math.ceil(box[3])))
    if cv2 is not None and interpolation == "bilinear" and max(piece.size) <= size:
        # Enlarging, where Pillow's filter is plain bilinear too: OpenCV is six times as fast, within one grey level.
        return cv2.resize(np.asarray(piece), (size, size), interpolation=cv2.INTER_LINEAR)
    inner = (box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0)
    return np.asarray(piece.resize((size, size), interpolation_of(interpolation), box=inner))


def interpolation_of(name):
    """Pillow's filter of that name."""
    if name not in INTERPOLATIONS:
        raise unknown("interpolation", name, INTERPOLATIONS)
    return INTERPOLATIONS[name]


def _reduce(header, box, size):
    """Ask the JPEG decoder for the smallest picture in which ``box`` still has ``size`` pixels; the box in it."""
    factor = min(box[2] - box[0], box[3] - box[1]) // size
    if factor < 2 or header.format != "JPEG":
        return box
    width, height = header.size
    header.draft("RGB", (width // factor, height // factor))
    scale_x, scale_y = header.size[0] / width, header.size[1] / height
    return box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y
