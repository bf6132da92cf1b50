"""The folder in which OpenVINO keeps what it compiled (`cache=`), made trustworthy.

OpenVINO checks that what it kept is whole and of its version, not that it is as it was written: one flipped bit can be
a wrong answer. So each graph has a folder of its own, and what lies there is read only where it has the checksum that
was noted beside it; anything else is compiled anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path
from typing import Any, Iterator

from gluon_attn.errors import GluonAttnError
from gluon_attn.files import AnyPath, locked, not_written, sha256, write_text

log = logging.getLogger(__name__)
PATIENCE = 120.0  # seconds; a process that is stopped while it compiles must not stop all others
_NOTE = ".sha256"  # as sha256sum writes it, and checks it


class CompiledCache:
    """What is compiled, kept in folders below `folder` for the next process; processes may share it.

    A folder that can be read and not written gives what it has.

    >>> cache = CompiledCache("cache")
    >>> with cache.of("a network", "its options") as options:
    ...     compiled = core.compile_model(model, "CPU", options)
    """

    def __init__(self, folder: AnyPath):
        try:
            self.folder = Path(folder).absolute()  # graphs are compiled when needed: in what folder, by then?
            str(self.folder).encode("utf-8")  # OpenVINO knows no other names
            self.folder.mkdir(parents=True, exist_ok=True)
        except (TypeError, ValueError):  # a number, a path with a null in it
            raise GluonAttnError(f"cache={folder!r:.80} can be no folder: give the path of one.") from None
        except OSError as error:
            raise not_written(folder, error) from error

    @contextlib.contextmanager
    def of(self, *key: Any) -> Iterator[dict]:
        """The options by which OpenVINO reads the graph that `key` stands for, or compiles and keeps it."""
        place = self.folder / hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        with contextlib.ExitStack() as stack:
            try:
                place.mkdir(exist_ok=True)
                lock = stack.enter_context(open(place / ".lock", "a"))
                stack.enter_context(locked(lock, PATIENCE, "another process is compiling there"))
                _remove_unsound(place)
                before = {blob: blob.stat() for blob in _blobs(place)}
            except OSError as problem:
                yield self._as_it_is(place, problem)
                return
            yield {"CACHE_DIR": str(place)}
            _note_new(place, before)

    def _as_it_is(self, place, problem):
        """The options where nothing can be written: what is there is read, where it is sound."""
        blobs = _blobs(place)
        if blobs and all(map(_is_sound, blobs)):
            return {"CACHE_DIR": str(place)}
        log.warning("what is compiled cannot be kept in %s (%s)", self.folder, problem.strerror)
        return {}


def _blobs(place):
    return sorted(path for path in place.glob("*.blob") if path.is_file())


def _is_sound(blob):
    try:
        noted = blob.with_name(blob.name + _NOTE).read_text("utf-8", "replace").split()
        return noted[:1] == [sha256(blob)]
    except OSError:  # no note: its writer was stopped in between
        return False


def _remove_unsound(place):
    for blob in _blobs(place):
        if not _is_sound(blob):
            log.warning("%s is not as it was written: the network is compiled anew", blob)
            blob.unlink()


def _note_new(place, before):
    """A blob without a checksum is compiled anew next time: where none can be written, that is no reason to stop."""
    for blob in _blobs(place):
        if before.get(blob) != blob.stat():
            with contextlib.suppress(OSError):
                write_text(blob.with_name(blob.name + _NOTE), f"{sha256(blob)}  {blob.name}\n")
    if not _blobs(place):
        log.warning("OpenVINO kept nothing of what it compiled in %s: is there space?", place)
