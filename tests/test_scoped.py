"""What holds within a `with`, in one thread."""

from __future__ import annotations

import logging
import threading

import pytest

from gluon_attn.scoped import Scoped, quiet


def test_it_holds_within_one_with_of_one_thread():
    scoped, seen = Scoped("default"), []
    with scoped.to("outer"):
        with pytest.raises(KeyError), scoped.to("inner"):
            thread = threading.Thread(target=lambda: seen.append(scoped.value))
            thread.start()
            thread.join()
            seen.append(scoped.value)
            raise KeyError
        seen.append(scoped.value)
    assert seen == ["default", "inner", "outer"] and scoped.value == "default"


def test_a_logger_is_quiet_in_one_thread(caplog):
    log = logging.getLogger("gluon_attn.test")
    log.setLevel(logging.INFO)
    with pytest.raises(KeyError), quiet(log):
        log.warning("not heard")
        log.error("an error")
        thread = threading.Thread(target=lambda: log.info("another's"))
        thread.start()
        thread.join()
        raise KeyError
    log.info("afterwards")
    assert caplog.messages == ["an error", "another's", "afterwards"]
    assert log.level == logging.INFO and not log.filters
