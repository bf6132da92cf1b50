from __future__ import annotations

import gc
import signal
import sys

import pytest

import gluon_attn  # noqa: F401  (before mxnet, as Python 3.12 needs)


def pytest_configure():
    """`nohup make test &` has signals ignored, also in the processes that tests send them to; handlers end with us."""
    for name, handler in (("SIGHUP", lambda *_: None), ("SIGINT", signal.default_int_handler)):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
            signal.signal(getattr(signal, name), handler)


def pytest_collection_finish():
    """MXNet's DataLoader collects garbage four times, before it forks: what pytest has collected is none."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _curves_where_they_are_looked_at(request, monkeypatch):
    """Drawing them is half of a tiny run's time."""
    log = sys.modules.get("gluon_attn.train.log")
    if log is not None and request.node.get_closest_marker("curves") is None:
        monkeypatch.setattr(log, "draw_curves", lambda rows, title, path: None)
