"""The one function from which every random number of the input pipeline derives."""

from __future__ import annotations

import numpy as np

# Separate streams, so that the augmentation of image 3 and the mixing of batch 3 do not draw the same numbers.
STREAMS = {"image": 0, "order": 1, "mix": 2, "split": 3, "source": 4}


def random_state(seed: int, epoch: int = 0, index: int = 0, stream: str = "image") -> np.random.RandomState:
    """`numpy.random.RandomState` for one image (or batch, or epoch), a pure function of its arguments.

    No worker, thread or process keeps a state of its own, so the number of workers and the point of a restart
    cannot change what is drawn. `RandomState`, as its methods' results are frozen for ever (NEP 19); on PCG64, which
    is ready six times sooner than the usual Mersenne Twister (a state is made for each image).

    >>> random_state(0, epoch=3, index=7).randint(100) == random_state(0, 3, 7).randint(100)
    True
    """
    key = [int(seed), int(epoch), int(index), STREAMS[stream]]
    return np.random.RandomState(np.random.PCG64(key))
