"""JPEG files through OpenCV: the same pixels as Pillow's, straight into an array, and no row below those wanted.

Both libraries decode with libjpeg-turbo. What they would treat differently is left to Pillow: files without an end (a
truncated picture must not pass for one with a grey rest), four colour channels, anything unusual.
"""

from __future__ import annotations

import struct

import numpy as np

from gluon_attn.data._cv2 import cv2

START = b"\xff\xd8"
END = b"\xff\xd9"  # never occurs within coded pixels: a file that has a frame and ends so is not truncated
BASELINE, EXTENDED, PROGRESSIVE = FRAMES = (0xC0, 0xC1, 0xC2)
SCAN, RESTARTS = 0xDA, 0xDD
APP1 = 0xE1  # EXIF and XMP, the two that may say how the picture is turned
# Rows below the last wanted one that its colours depend on: at most 4 for each row of an upsampled colour channel.
MARGIN = 16
SCALES = cv2 and {
    1: 0,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class Jpeg:
    """The size of a JPEG, and its pixels. `Jpeg.of(content)` is None for files that are Pillow's to judge.

    may_be_turned : something is said of it that only Pillow reads, maybe its orientation
    """

    def __init__(self, content, frame, can_be_cut, may_be_turned):
        self.content, self._frame, self._can_be_cut = content, frame, can_be_cut
        self.may_be_turned = may_be_turned
        self.height, self.width = struct.unpack(">HH", content[frame + 5 : frame + 9])

    @classmethod
    def of(cls, content):
        if cv2 is None or content[:2] != START or content[-2:] != END:
            return None
        found = dict(_segments(content))
        frames = [marker for marker in found if marker in FRAMES]
        if len(frames) != 1:
            return None
        at = found[frames[0]]
        bits, channels = content[at + 4], content[at + 9]
        jpeg = cls(content, at, frames[0] != PROGRESSIVE and RESTARTS not in found, APP1 in found)
        return jpeg if bits == 8 and channels in (1, 3) and jpeg.width and jpeg.height else None

    def decode(self, rows=None, reduction=1):
        """uint8 (H, W, 3), RGB, or None where OpenCV cannot; `rows`: of the whole picture, more may come.

        `reduction`: 1, 2, 4 or 8, the scale that the decoder reads at.
        """
        content = np.frombuffer(self._upper(rows or self.height), np.uint8)
        try:
            return cv2.imdecode(content, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | SCALES[reduction])
        except cv2.error:
            return None

    def _upper(self, rows):
        """The file with a smaller height in its frame header: the decoder stops when it has that many rows.

        Without the end mark, it also stays silent about the bytes that it leaves.
        """
        height = rows + MARGIN
        if height >= self.height or not self._can_be_cut:
            return self.content
        at = self._frame + 5
        return b"".join((self.content[:at], struct.pack(">H", height), self.content[at + 2 : -2]))


def _segments(content):
    """(marker, where it stands) of the segments before the first scan; none where the file is not well formed."""
    at, found = 2, []
    while at + 10 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == SCAN:
            return found
        if marker == 0xFF:  # filling
            at += 1
            continue
        found.append((marker, at))
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return []
