"""Asked to end (SIGTERM, Ctrl-C, a closed terminal): finish the update at hand, write what there is, exit 0."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading

ASKING = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
TICK = 0.5  # seconds


class Stopped(BaseException):
    """Someone asked this process to end; everything is saved. Like KeyboardInterrupt, not to be caught in passing."""


class StopRequest:
    """`with StopRequest() as stop`: SIGTERM sets `stop.asked`, and breaks off `with stop.interruptible()`.

    So do SIGINT (Ctrl-C) and SIGHUP, unless whoever started this process had it ignore them, as nohup does. A second
    Ctrl-C does not wait for the update, nor for the files: it is a KeyboardInterrupt.
    Waiting for images is interruptible: the workers may have got the same signal and never answer. A timer wakes those
    who wait (unless the alarm is somebody else's): a signal that comes just before a lock is waited for, or to another
    thread, is not heard until then, and what a handler raises within a `__del__` (each NDArray has one) Python
    swallows.
    """

    def __init__(self, enabled=True):
        # Signals reach the main thread only; elsewhere (a tuner's thread) the process's own handler stays.
        self._handles = enabled and threading.current_thread() is threading.main_thread()
        self._process = os.getpid()
        self.asked = False
        self._interruptible = False

    def __enter__(self):
        asking = [number for number in ASKING if signal.getsignal(number) != signal.SIG_IGN] if self._handles else []
        self._previous = {number: signal.signal(number, self._on_signal) for number in asking}
        if asking and _alarm_is_free():
            self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._raise_if_asked)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def interruptible(self):
        self._interruptible = True
        self._tick(TICK)
        try:
            self._raise_if_asked()
            yield
        finally:
            self._interruptible = False
            self._tick(0)

    def _tick(self, seconds):
        if signal.SIGALRM in self._previous:
            signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    def _on_signal(self, number, frame):
        if os.getpid() != self._process:  # a loader's worker, forked with this handler: it simply ends
            os._exit(0)
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        self._raise_if_asked()

    def _raise_if_asked(self, *_):
        if self.asked and self._interruptible:
            raise Stopped


def _alarm_is_free():
    """Whether nobody has a time limit of their own, which there is but one of in a process."""
    return signal.getsignal(signal.SIGALRM) == signal.SIG_DFL and signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def leave():
    """End this process with status 0, at once: loaders' workers that got the signal too can keep it from ending."""
    sys.stdout.flush()
    sys.stderr.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(0)
