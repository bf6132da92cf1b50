"""MXNet's DataLoader, whose waits can be left and whose end has an end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from multiprocessing.util import Finalize

from mxnet.gluon.data import dataloader

HEARD = 0.2  # seconds from a question to its answer, at most
ENDING = 2  # seconds; in order it takes milliseconds
NICENESS = 5  # of a worker above this process's: an operator waits for the slowest of its threads, a batch can wait


class WorkersLoader(dataloader.DataLoader):
    """`iter(loader)` calls `loader.meanwhile()` while it waits for its workers; what that raises ends the wait.

    A signal's handler must not raise here: within the locks of a wait Python's own state breaks ("release unlocked
    lock"), and within a `__del__` nobody hears it. What the handler has noted, `meanwhile` may raise.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.meanwhile = nothing
        if self._worker_pool is not None:
            for worker in self._worker_pool._pool:
                _give_way(worker.pid)
            # Before the pool's own end, which `multiprocessing` has at the exit of Python (with priority 15).
            self._end = Finalize(self, _end, [self._worker_pool], exitpriority=16)

    def __del__(self):
        if getattr(self, "_worker_pool", None) is not None:
            self._end()

    def _prefetch_iter(self):
        batches = super()._prefetch_iter()
        return batches if self._worker_pool is None else _Heeding(batches, lambda: self.meanwhile())


class _Heeding:
    """Batches of workers, waited for in short pieces."""

    def __init__(self, batches, meanwhile):
        self.batches, self.meanwhile = batches, meanwhile

    def __iter__(self):
        return self

    def __next__(self):
        awaited = self.batches._data_buffer.get(self.batches._rcvd_idx)
        deadline = time.monotonic() + self.batches._timeout
        while awaited is not None and not awaited.ready():
            if time.monotonic() > deadline:
                raise multiprocessing.TimeoutError
            self.meanwhile()
            awaited.wait(HEARD)
        return next(self.batches)


def nothing():
    """What is to be done meanwhile, by default."""


def _give_way(pid):
    with contextlib.suppress(OSError):  # it has died: who waits for its batch says so
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


def _end(pool):
    """A pool's own end waits, for ever, for a lock that a worker takes along if it is killed idle."""
    ending = threading.Thread(target=pool.terminate, daemon=True)
    ending.start()
    ending.join(ENDING)
    if ending.is_alive():
        for worker in pool._pool:
            worker.kill()
