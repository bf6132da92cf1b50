"""Asked to end, wherever the process is at that moment."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from gluon_attn.train.stop import Stopped, StopRequest


class Signalled:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_del_swallows_is_raised_again():
    """Arrays are freed all the time, and a dead worker's images never come: the training hung until its timeout."""
    before, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    with StopRequest() as stop, pytest.raises(Stopped), stop.interruptible():
        Signalled()
        time.sleep(30)
    assert stop.asked and time.monotonic() - began < 15
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_lock_that_is_waited_for_is_left():
    """A signal that another thread takes, or that comes just before the wait, does not end it."""
    began = time.monotonic()

    def taken_elsewhere():
        time.sleep(0.1)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with StopRequest() as stop, pytest.raises(Stopped), stop.interruptible():
        threading.Thread(target=taken_elsewhere).start()
        threading.Event().wait(30)
    assert stop.asked and time.monotonic() - began < 15


def test_an_alarm_of_ones_own_still_rings():
    """A time limit round a training: its handler, and when it is due, are somebody else's."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with StopRequest() as stop:
            with stop.interruptible():
                time.sleep(0.1)
            time.sleep(0.5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung == [1]


def test_between_two_waits_the_next_one_is_not_begun():
    with StopRequest() as stop:
        with stop.interruptible():
            pass
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped), stop.interruptible():
            raise AssertionError("begun")
