"""Keeping freed memory."""

from __future__ import annotations

import platform

import pytest

from gluon_attn.data import _memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_accepts_both_settings():
    assert _memory.keep_freed_memory()


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(_memory.ctypes, "CDLL", lambda name: object())
    assert not _memory.keep_freed_memory()
