"""A value that holds within a `with`, in one thread."""

from __future__ import annotations

import threading

import pytest

from gluon_attn.scoped import Scoped


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
