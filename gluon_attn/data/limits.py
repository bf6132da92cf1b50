"""How large a picture may be, judged by its head and before anything is decoded: for every reader, and for results.

Decoding takes up to about 11 bytes a pixel here. So a file of less than a megabyte can make a process take 200 MB, not
all of its memory, whatever its head claims.
"""

from __future__ import annotations

import os
import re
import stat

from gluon_attn.data.dataset import BadImage
from gluon_attn.errors import DataError

MOST_PIXELS = 89_478_485  # from here on Pillow, too, warns of a decompression bomb
# Coded pictures have 2 to 10 pixels a byte, the emptiest photographs 30; flat drawings, small as they are, thousands.
ANY_FILE, PIXELS_A_BYTE = 24_000_000, 16
MOST_BYTES = 8 * MOST_PIXELS  # such a picture with four channels of 16 bits, not compressed
SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\x01-\x04]")
MOST_SCANS = 24  # of a progressive JPEG, each of which goes over all pixels; encoders write about ten


def check_pixels(width, height, name, length=None):
    """A BadImage for a picture of no pixel, or of more than there may be in a file of `length` bytes."""
    if width < 1 or height < 1:
        raise BadImage(name, f"it has {width}x{height} pixels")
    most = MOST_PIXELS if length is None else min(MOST_PIXELS, max(ANY_FILE, PIXELS_A_BYTE * length))
    if width * height > most:
        file = "" if most == MOST_PIXELS else f" in a file of {length:,} bytes"
        raise BadImage(name, f"it has {width}x{height} pixels, and {most:,} are the most that is decoded{file}")


def check_scans(content, name):
    """A BadImage for a JPEG that goes over its pixels more often than any encoder asks for."""
    # Two bytes alone occur by chance in what phones append to a picture, a film for example.
    scans = len(SCAN.findall(content)) if content.count(b"\xff\xda") > MOST_SCANS else 0
    if scans > MOST_SCANS:
        raise BadImage(name, f"it is a JPEG of {scans} scans, and {MOST_SCANS} are the most that is decoded")


def check_side(size, what):
    """A DataError for a square result of a resize that nothing can be."""
    if size < 1 or size * size > MOST_PIXELS:
        raise DataError(f"{what}={size} cannot be the side of a picture: choose 1 to {int(MOST_PIXELS**0.5)}.")


def read_content(path):
    """The bytes of a picture file, where there are not more than a picture can have."""
    try:
        found = os.stat(path)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise BadImage(str(path), "it is no file but a device or a pipe")
        with open(path, "rb") as file:
            length = found.st_size
            if length > MOST_BYTES:
                raise BadImage(str(path), f"it has {length:,} bytes, and {MOST_BYTES:,} are the most that is read")
            return file.read(length or MOST_BYTES)  # Python takes as much memory first; some files do not say theirs
    except BadImage:
        raise
    except OSError as error:
        raise BadImage(str(path), error.strerror or str(error)) from error
    except ValueError as error:  # a name with a zero in it
        raise BadImage(repr(path), str(error)) from error
