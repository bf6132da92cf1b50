"""Reading picture files, and cutting a resized piece out of one without more work than the piece needs."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from gluon_attn.data._cv2 import cv2
from gluon_attn.data.dataset import BadImage, without_a_choice
from gluon_attn.data.jpeg import START, Jpeg
from gluon_attn.data.limits import MOST_PIXELS, check_pixels, check_scans, read_content
from gluon_attn.data.resize import interpolation_of
from gluon_attn.data.shrink import shrink
from gluon_attn.errors import DataError

# What suffixes of pictures promise. Of Pillow's other formats some start programs, and some hide pictures in pictures.
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
BITS, BLACK, TILE_SIDES, SIGNS = 258, 262, (322, 323), 339  # TIFF's tags
ORIENTATION = 0x0112  # EXIF's tag
# Upright by EXIF: views, of which 6 and 8 are turned by 90 degrees to the right and to the left.
UPRIGHT = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}
BAND = 1 << 20  # pixels that are converted at once: larger pictures need memory for the picture and the result only


class Encoded:
    """A picture file's content, decoded when and as far as it is needed.

    `name` is what an error calls it. Every colour form becomes RGB; the EXIF rotation is not applied, as in every
    published ImageNet pipeline.
    """

    def __init__(self, content, name):
        if not isinstance(content, (bytes, bytearray)):
            raise DataError(f"{name} is {content!r}, not the bytes of a picture file.")
        self.content, self.name = content, name

    def load(self):
        """The decoded picture, uint8 (H, W, 3)."""
        with reading(self.name):
            return _array(self.open(), to_rgb)

    def seen(self):
        """The decoded picture as people see it: upright, and transparency on white."""
        with reading(self.name):
            return as_seen(self.open(), self.name)

    def open(self):
        """The Pillow image of which nothing but the head is read, once its size has been judged."""
        if self.content[:2] == START:
            check_scans(self.content, self.name)
        return open_picture(io.BytesIO(self.content), self.name, len(self.content))

    @functools.cached_property
    def jpeg(self):
        """Our reader of the file, or None where Pillow has to judge it."""
        jpeg = Jpeg.of(self.content)
        if jpeg is not None:
            check_scans(self.content, self.name)
            check_pixels(jpeg.width, jpeg.height, self.name, len(self.content))
        return jpeg


def open_picture(stream, name, length):
    """The Pillow image in an open file of `length` bytes: its head has been read, and its size judged."""
    try:
        picture = Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError:  # at twice our limit
        raise BadImage(name, f"it has more than {MOST_PIXELS:,} pixels, the most that is decoded") from None
    except UnidentifiedImageError:
        raise BadImage(name, f"it is no readable picture of the formats {', '.join(FORMATS)}") from None
    check_pixels(*picture.size, name, length)
    _refuse_misread_greys(picture, name)
    if picture.format == "TIFF":
        sides = [int(picture.tag_v2.get(tag, 1)) for tag in TILE_SIDES]
        check_pixels(*sides, f"{name} (its tiles)", length)
    return picture


@contextlib.contextmanager
def reading(name):
    """Whatever a decoder raises within, turned into a BadImage."""
    # GluonCV switches this on for the whole process: the grey rest of a truncated file would pass for a picture.
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    except BadImage:
        raise
    except Exception as error:  # decoders raise whatever they like on damaged files, and MemoryError
        raise BadImage(name, f"{type(error).__name__}: {error}".rstrip(": ")) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _refuse_misread_greys(picture, name):
    """Floats and 32-bit greys; Pillow may open 16 bits as the latter, but not from a TIFF. And what it reads wrongly of
    a TIFF: a number of bits between, a sign, 16 bits with white as 0.
    """
    kind = "floats" if picture.mode == "F" else "32-bit numbers" if picture.mode == "I" and _is_wide(picture) else ""
    if kind:
        raise BadImage(name, f"its pixels are {kind}, of which nobody knows where white is: save it with 8 or 16 bits")
    if picture.format == "TIFF":
        kind = _odd_tiff(picture.tag_v2)
        if kind:
            raise BadImage(name, f"it is a TIFF {kind}, which is not read right: save it with 8 bits, or as PNG")


def _odd_tiff(tags):
    bits, signs = tags.get(BITS, (1,)), tags.get(SIGNS, (1,))
    if not set(bits) <= {1, 2, 4, 8, 16}:
        return f"of {max(bits)} bits a value"
    if 2 in signs:
        return "of numbers with a sign"
    return "of 16 bits whose white is 0" if max(bits) > 8 and tags.get(BLACK) == 0 else ""


def _is_wide(picture):
    if picture.format is None:  # in memory: its values say it
        low, high = picture.getextrema()
        return not 0 <= low <= high < 1 << 16
    return picture.format == "TIFF" and max(picture.tag_v2.get(BITS, (1,))) > 16


def to_rgb(picture):
    """A Pillow image as RGB; 16-bit greys keep their brightness, which Pillow would clip to white."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    picture.info.pop("transparency", None)  # Pillow would warn that it is lost
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def on_white(picture):
    """A Pillow image as RGB, white where it is transparent."""
    clear = picture.info.get("transparency")
    if picture.mode.startswith("I") and clear is not None:  # the grey that is transparent, in 16 bits
        alpha = Image.fromarray(np.uint8(255) * (np.asarray(picture) != clear))
        picture = to_rgb(picture)
        picture.putalpha(alpha)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return to_rgb(picture)


def _scale_transparent_grey(picture):
    """PNG names the transparent grey in the file's 2 or 4 bits; Pillow opens the pixels with 8."""
    clear = picture.info.get("transparency")
    raw = picture.tile[0][3] if picture.format == "PNG" and getattr(picture, "tile", None) else None
    if isinstance(clear, int) and raw in ("L;2", "L;4"):
        picture.info["transparency"] = clear * (255 // (2 ** int(raw[-1]) - 1))


def _array(picture, convert):
    """uint8 (H, W, 3) of what `convert`, which works pixel by pixel, makes of a Pillow image: band by band."""
    picture.load()
    width, height = picture.size
    rows = max(BAND // width, 1)
    if height <= rows:
        return np.asarray(convert(picture))
    result = np.empty((height, width, 3), np.uint8)
    for y in range(0, height, rows):
        below = min(y + rows, height)
        result[y:below] = np.asarray(convert(picture.crop((0, y, width, below))))
    return result


def read_picture(path):
    """A picture file as people see it: uint8 (H, W, 3), turned upright, transparency on white.

    What a network is evaluated on is not: `Encoded` ignores the EXIF rotation and the alpha channel.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(f"{path!r} is no path of a picture file: give a str or a Path.")
    with without_a_choice():
        return Encoded(read_content(path), str(path)).seen()


def as_seen(picture, name="the Pillow image"):
    """A Pillow image as `read_picture` reads its file."""
    if not isinstance(picture, Image.Image):
        raise DataError(f"{picture!r} is no picture: give a path, a Pillow image or a uint8 (H, W, 3) array.")
    with reading(name):
        check_pixels(*picture.size, name)
        _refuse_misread_greys(picture, name)
        _scale_transparent_grey(picture)
        result = _array(picture, on_white)
        # After loading, as some formats turn themselves and then say so.
        turned = UPRIGHT.get(picture.getexif().get(ORIENTATION))
        return result if turned is None else np.ascontiguousarray(turned(result))


def pixels(image):
    """uint8 (H, W, 3), decoding it where it is not."""
    if not isinstance(image, Encoded):
        return _checked(image)
    jpeg = image.jpeg
    decoded = jpeg and jpeg.decode()
    return image.load() if decoded is None else decoded


def _checked(image):
    """`image`, if it is an array that can be a picture."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else repr(image)
        raise DataError(f"A picture is a uint8 array (H, W, 3), RGB; this one is {what}.")
    check_pixels(image.shape[1], image.shape[0], "the array")
    return image


def crop_resize(image, choose_box, size, interpolation):
    """The piece `choose_box(width, height)` = (x0, y0, x1, y1) of `image`, resized to `size` x `size`.

    Within one grey level of decode, crop and resize with Pillow (equal where the filter is not bilinear), with one
    exception: where the piece is at least twice as large as `size` both ways, a JPEG is decoded at 1/2, 1/4 or 1/8
    of its size, which the JPEG decoder does by averaging: the piece comes out a little sharper, by a few grey levels
    where there is fine detail.
    """
    if isinstance(image, Encoded):
        image, box = _decode(image, choose_box, size)
    else:
        image = _checked(image)
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
    jpeg = image.jpeg
    if jpeg is None:
        picture = image.load()
        return picture, choose_box(picture.shape[1], picture.shape[0])
    box = choose_box(jpeg.width, jpeg.height)
    factor = min(box[2] - box[0], box[3] - box[1]) / size
    # The smallest picture in which the box still has `size` pixels.
    reduction = max(scale for scale in (1, 2, 4, 8) if scale <= max(factor, 1))
    picture = jpeg.decode(box[3], reduction)
    if picture is None:
        return image.load(), box
    return picture, tuple(side / reduction for side in box)
