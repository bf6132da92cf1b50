"""The stack that a thread's signals run on, kept from libraries that change it and do not give it back."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Iterator


class _Stack(ctypes.Structure):
    """stack_t of sigaltstack(2), as Linux lays it out."""

    _fields_ = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """After it, this thread's signals run on the stack that they ran on before; on Linux.

    OpenVINO gives the thread that first asks a Core for its CPU, to compile a model or for what it is able to, a stack
    of the Core's own, and brings back the one before when the Core goes. Where they do not go in reverse order, that
    is one of a Core that has gone: the next signal that Python handles, Ctrl-C for one, then ends the process with a
    segmentation fault.

    >>> with kept_signal_stack():
    ...     compiled = core.compile_model(model, "CPU")
    """
    if sys.platform != "linux":
        yield
        return
    system, before = ctypes.CDLL(None), _Stack()
    system.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        system.sigaltstack(ctypes.byref(before), None)
