"""Hashes of files, whole, before anything in them is interpreted."""

from __future__ import annotations

import hashlib

from gluon_attn.errors import WeightsError, unknown


def _git_blob(data):
    """What git names a file by: the sha1 of a header with its size and of its content."""
    state = hashlib.sha1(b"blob %d\0" % len(data))
    state.update(data)
    return state


_KINDS = {"md5": hashlib.md5, "sha1": hashlib.sha1, "sha256": hashlib.sha256, "git-blob-sha1": _git_blob}


def digest(kind, data):
    """The hash of the bytes `data` in hexadecimal; kind is 'md5', 'sha1', 'sha256' or 'git-blob-sha1'."""
    if kind not in _KINDS:
        raise unknown("kind of hash", kind, _KINDS, WeightsError)
    return _KINDS[kind](data).hexdigest()


def verify(data, entry, where):
    """Raise WeightsError unless `data`, which came from `where`, has the hash recorded in `entry` (None: no record)."""
    if entry.hash is None:
        return
    actual = digest(entry.hash_kind, data)
    if actual != entry.hash:
        hint = " It looks like a web page." if data[:256].lstrip()[:1] == b"<" else ""
        raise WeightsError(
            f"{where} is not the published file: its {entry.hash_kind} is {actual}, expected {entry.hash} "
            f"({len(data)} bytes).{hint} It was not opened: delete it and fetch it again."
        )
