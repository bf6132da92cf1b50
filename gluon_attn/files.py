"""Files that are whole or absent, whenever the process dies and however full the disk is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gluon_attn.weights.files import read_arrays


@contextlib.contextmanager
def replacing(path):
    """A temporary path that takes the place of ``path`` when the block ends, and vanishes where it fails."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync_folder(path.parent)


def write_text(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_parameters(path, net):
    """``net.save_parameters``, read back before it replaces ``path``: MXNet may not notice that the disk was full."""
    with replacing(path) as temporary:
        try:
            net.save_parameters(str(temporary))
            read_arrays(temporary.read_bytes(), where=str(temporary))
        except OSError:
            raise
        except Exception as error:  # MXNetError and WeightsError, neither of which says why
            raise OSError(f"{path} could not be written whole: is the disk full?") from error


def _sync_folder(folder):
    """Make the renaming itself durable, where the system allows a folder to be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
