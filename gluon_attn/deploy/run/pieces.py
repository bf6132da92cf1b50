"""Images for a file whose batch is fixed, as torch.onnx.export writes it by default."""

from __future__ import annotations

from typing import Iterator

import numpy as np


def pieces(images: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """`images` as a file takes them whose batch is fixed to `count`: the last piece is filled up with its own again.

    >>> [len(piece) for piece in pieces(np.zeros((5, 3, 32, 32)), 4)]
    [4, 4]
    """
    for start in range(0, len(images), count):
        piece = images[start : start + count]
        yield piece if len(piece) == count else np.resize(piece, (count, *piece.shape[1:]))
