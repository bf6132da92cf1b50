"""Files that are whole or absent, whenever the process dies and however full the disk is."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import os
import shutil
import stat
import tempfile
from pathlib import Path

from gluon_attn.errors import WriteError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing(path):
    """A temporary path that takes the place of `path` when the block ends, and vanishes where it fails.

    The folder is made where there is none. What cannot be written is a WriteError, and the old file stays. A link's
    target is replaced, not the link; a device (/dev/stdout) is written to as it is.
    """
    try:
        path = Path(os.path.realpath(path))
        if path.exists() and not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            with contextlib.suppress(FileNotFoundError):
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except WriteError:
        raise
    except OSError as error:
        raise not_written(path, error) from error
    _sync_folder(path.parent)


def not_written(path, error):
    """The WriteError that an OSError means for the file `path`."""
    remedy = "Free some space" if error.errno in FULL or error.errno is None else "Give another place"
    kept = "; the file that was there is as it was" if os.path.isfile(path) else ""
    return WriteError(f"{path} was not written ({error.strerror or error}){kept}. {remedy} and try again.")


@contextlib.contextmanager
def filling(folder):
    """A temporary folder whose files move into `folder`, one by one, when the block ends; none where it fails."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder)
    except OSError as error:
        raise not_written(folder, error) from error
    with temporary:
        yield Path(temporary.name)
        for path in sorted(Path(temporary.name).iterdir()):
            os.replace(path, folder / path.name)
    _sync_folder(folder)


def write_text(path, text, errors="strict"):
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=errors)


def write_bytes(path, content):
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_csv(path, rows, columns=None):
    """A table of dictionaries; its columns are those of the first row where they are not given."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def append_text(path, text):
    """Add whole lines to a file, or nothing."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        new = not os.path.exists(path)
        with open(path, "ab", buffering=0) as file:
            before, content = file.tell(), text.encode("utf-8")
            try:
                if file.write(content) < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                os.unlink(path) if new else file.truncate(before)
                raise
    except OSError as error:
        raise not_written(path, error) from error


def _sync_folder(folder):
    """Make the renaming itself durable, where the system allows a folder to be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def md5(path):
    """The md5 of a file, in hexadecimal: what published archives are verified by."""
    digest = hashlib.md5()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
