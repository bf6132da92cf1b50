"""Asked to end, wherever the process is at that moment."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.data.dataset import Dataset
from gluon_attn.train.stop import Stopped, StopRequest


class Never(Dataset):
    """Its images take longer than anybody waits."""

    name, classes, mean, std, image_size = "never", ["a"], (0.5,) * 3, (0.25,) * 3, 8

    def __len__(self):
        return 4

    def image(self, index):
        time.sleep(120)

    def label(self, index):
        return 0


class Signalled:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_what_falls_into_a_del_is_heard():
    """Arrays are freed all the time; what is raised there is lost."""
    with StopRequest() as stop:
        Signalled()
        with pytest.raises(Stopped):
            stop.check()


@pytest.mark.parametrize("often", [1, 400])
def test_images_that_never_come_are_not_waited_for(often):
    """A signal that another thread takes does not end a wait; one that raises within its locks breaks them."""
    loader = data.Loader(Never(), 2, np.asarray, train=True, workers=1, timeout=100)
    main = threading.get_ident()

    def ask():
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        for _ in range(often - 1):
            signal.pthread_kill(main, signal.SIGTERM)
            time.sleep(0.001)

    asking = threading.Thread(target=ask)
    began = time.monotonic()
    with StopRequest() as stop:
        asking.start()
        with pytest.raises(Stopped):
            next(loader.epoch(meanwhile=stop.check))
        asking.join()
    assert time.monotonic() - began < 20


def test_between_two_batches_the_next_one_is_not_begun():
    taken = []
    loader = data.Loader(data.Subset(data.get_dataset("digits", "test"), range(4)), 1, taken.append, train=True)
    with StopRequest() as stop, pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
        next(loader.epoch(meanwhile=stop.check))
    assert not taken
