"""One case in a process of its own, under limits of memory and time: what becomes of it is one of a few words."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import time

MEMORY = 500 << 20  # bytes above what the file takes as it was made
MACHINE = 8 << 30  # bytes of addresses: beyond it MemoryError, so that no case takes the machine
SECONDS = 10  # of computing
WAITING = 60  # seconds in all, on a machine that others use
PROMISED = LOADED, REFUSED = "loaded and finite", "one sentence"


def run(action, allowed=None):
    """(outcome, detail, peak of memory in bytes) of `action()` in a forked process; `allowed`: bytes at most."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        _be_child(action, read, write)
    os.close(write)
    status, usage = _wait(child)
    with os.fdopen(read, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    peak = usage.ru_maxrss << 10
    return (*_outcome(status, said, peak, allowed), peak)


def _outcome(status, said, peak, allowed):
    if status is None:
        return "time", f"no end after {WAITING} s"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "time", f"{SECONDS} s of computing"
        return "crash", signal.Signals(number).name
    if allowed is not None and peak > allowed:
        return "memory", f"{peak >> 20} MB"
    outcome, _, detail = said.partition("\n")
    return (outcome or "crash", detail or f"status {os.WEXITSTATUS(status)}" if not outcome else detail)


def _be_child(action, read, write):
    """Never returns."""
    os.close(read)
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MACHINE, MACHINE))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 2))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    said = _said(action)
    os.write(write, said.encode("utf-8", "replace")[:2000])
    os._exit(0)


def _said(action):
    from gluon_attn.errors import GluonAttnError

    try:
        action()
    except GluonAttnError as error:
        text = str(error)
        if "\n" in text or len(text) > 2000:
            return f"not one sentence\n{text}"
        return f"{REFUSED}\n{text}"
    except BaseException as error:
        return f"{type(error).__name__}\n{error} ({_place(sys.exc_info()[2])})"
    return LOADED


def _place(traceback):
    """The last of our own lines that it came from."""
    place = ""
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if "gluon_attn/" in name:
            place = f"{name.rpartition('gluon_attn/')[2]}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _wait(child):
    """(status or None, usage) of a child that has WAITING seconds."""
    end, pause = time.monotonic() + WAITING, 0.001
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            return None, os.wait4(child, 0)[2]
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
