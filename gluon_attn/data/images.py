"""Reading picture files, and cutting a resized piece out of one without more work than the piece needs."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from gluon_attn.data._cv2 import cv2
from gluon_attn.data.dataset import BadImage
from gluon_attn.data.jpeg import Jpeg
from gluon_attn.data.shrink import shrink
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

    def load(self):
        """The decoded Pillow image, RGB."""
        return self.guarded(lambda: to_rgb(Image.open(io.BytesIO(self.content))))

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
    return encoded.guarded(lambda: as_seen(Image.open(io.BytesIO(encoded.content))))


def as_seen(picture):
    """A Pillow image as `read_picture` reads its file."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(to_rgb(picture))


def pixels(image):
    """uint8 (H, W, 3), decoding it where it is not."""
    if not isinstance(image, Encoded):
        return image
    jpeg = Jpeg.of(image.content)
    decoded = jpeg and jpeg.decode()
    return np.asarray(image.load()) if decoded is None else decoded


def crop_resize(image, choose_box, size, interpolation):
    """The piece ``choose_box(width, height)`` = (x0, y0, x1, y1) of ``image``, resized to ``size`` x ``size``.

    Within one grey level of decode, crop and resize with Pillow (equal where the filter is not bilinear), with one
    exception: where the piece is at least twice as large as ``size`` both ways, a JPEG is decoded at 1/2, 1/4 or 1/8
    of its size, which the JPEG decoder does by averaging: the piece comes out a little sharper, by a few grey levels
    where there is fine detail.
    """
    if isinstance(image, Encoded):
        image, box = _decode(image, choose_box, size)
    else:
        box = choose_box(image.shape[1], image.shape[0])
    x0, y0 = (math.floor(start) for start in box[:2])
    # Cut before resizing: the filters would look at pixels outside of the box.
    piece = image[y0 : math.ceil(box[3]), x0 : math.ceil(box[2])]
    window = (box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0)
    if cv2 is None or interpolation != "bilinear":
        resized = Image.fromarray(piece).resize((size, size), interpolation_of(interpolation), box=window)
        return np.asarray(resized)
    if max(piece.shape) <= size:
        # Enlarging, where Pillow's filter is plain bilinear too: OpenCV is six times as fast.
        return cv2.resize(piece, (size, size), interpolation=cv2.INTER_LINEAR)
    return shrink(piece, size, window)


def _decode(image, choose_box, size):
    """(the decoded picture as far as the box needs it, the box in it)."""
    jpeg = Jpeg.of(image.content)
    if jpeg is None:
        picture = np.asarray(image.load())
        return picture, choose_box(picture.shape[1], picture.shape[0])
    box = choose_box(jpeg.width, jpeg.height)
    factor = min(box[2] - box[0], box[3] - box[1]) / size
    # The smallest picture in which the box still has ``size`` pixels.
    reduction = max(scale for scale in (1, 2, 4, 8) if scale <= max(factor, 1))
    picture = jpeg.decode(box[3], reduction)
    if picture is None:
        return np.asarray(image.load()), box
    return picture, tuple(side / reduction for side in box)


def interpolation_of(name):
    """Pillow's filter of that name."""
    if name not in INTERPOLATIONS:
        raise unknown("interpolation", name, INTERPOLATIONS)
    return INTERPOLATIONS[name]
