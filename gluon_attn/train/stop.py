"""Asked to end (SIGTERM, Ctrl-C, a closed terminal): finish the update at hand, write what there is, exit 0."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading

ASKING = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]


class Stopped(BaseException):
    """Someone asked this process to end; everything is saved. Like KeyboardInterrupt, not to be caught in passing."""


class StopRequest:
    """`with StopRequest() as stop`: SIGTERM sets `stop.asked`, and the next `stop.check()` raises `Stopped`.

    So do SIGINT (Ctrl-C) and SIGHUP, unless whoever started this process had it ignore them, as nohup does. A second
    Ctrl-C does not wait for the update, nor for the files: it is a KeyboardInterrupt.
    The handler itself does not raise: wherever the process is (a lock, a `__del__`), it goes on to the next check.
    """

    def __init__(self, enabled=True):
        # Signals reach the main thread only; elsewhere (a tuner's thread) the process's own handler stays.
        self._handles = enabled and threading.current_thread() is threading.main_thread()
        self._process = os.getpid()
        self.asked = False

    def __enter__(self):
        asking = [number for number in ASKING if signal.getsignal(number) != signal.SIG_IGN] if self._handles else []
        self._previous = {number: signal.signal(number, self._on_signal) for number in asking}
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self):
        if self.asked:
            raise Stopped

    def _on_signal(self, number, frame):
        if os.getpid() != self._process:  # a loader's worker, forked with this handler: it simply ends
            os._exit(0)
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


@contextlib.contextmanager
def leaving():
    """`with leaving():` a process that was asked to end, and has saved all, ends there with status 0."""
    try:
        yield
    except Stopped:
        _leave()


def _leave():
    """At once: loaders' workers that got the signal too can keep a process from ending."""
    sys.stdout.flush()
    sys.stderr.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(0)
