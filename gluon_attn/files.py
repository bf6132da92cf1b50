"""Files that are whole or absent, whenever the process dies and however full the disk is."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Iterator, Mapping, Optional, Sequence, Union

from gluon_attn.errors import DataError, WriteError

AnyPath = Union[str, os.PathLike]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing(path: AnyPath) -> Iterator[str]:
    """A temporary path that takes the place of `path` when the block ends, and vanishes where it fails.

    The folder is made where there is none. What cannot be written is a WriteError, and the old file stays. A link's
    target is replaced, not the link; a device is written to as it is, and /dev/stdout behind what was printed.

    >>> with replacing("notes.txt") as temporary:
    ...     Path(temporary).write_text("whole, or not at all")
    20
    """
    number = open_already(path)
    try:
        if number is not None:
            with _behind(number) as temporary:
                yield temporary
            return
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


def open_already(path: AnyPath) -> Optional[int]:
    """The number of the open file that a path of /dev or /proc stands for, or None.

    >>> open_already("/dev/stdout"), open_already("/dev/null")
    (1, None)
    """
    words = re.fullmatch(r"/dev/(?:std(in|out|err)|fd/(\d+))|/proc/self/fd/(\d+)", os.fspath(path))
    if not words:
        return None
    name, *numbers = words.groups()
    return ("in", "out", "err").index(name) if name else int(numbers[0] or numbers[1])


@contextlib.contextmanager
def _behind(number):
    """A temporary path whose content goes into an open file, behind what was written there before.

    Opened by its path it would be written over from the beginning, or replaced under who prints into it.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "content"
        sys.stdout.flush()
        with open(Path(folder) / "content", "rb") as content, os.fdopen(os.dup(number), "wb") as stream:
            shutil.copyfileobj(content, stream)


def not_written(path: AnyPath, error: OSError) -> WriteError:
    """The WriteError that an OSError means for the file `path`.

    >>> raise not_written("notes.txt", OSError(errno.ENOSPC, "No space left on device"))
    """
    remedy = "Free some space" if error.errno in FULL or error.errno is None else "Give another place"
    kept = "; the file that was there is as it was" if os.path.isfile(path) else ""
    return WriteError(f"{path} was not written ({error.strerror or error}){kept}. {remedy} and try again.")


@contextlib.contextmanager
def filling(folder: AnyPath) -> Iterator[Path]:
    """A temporary folder whose files move into `folder`, one by one, when the block ends.

    None does where the block fails, or where one of them would have to replace a folder, which is a WriteError.

    >>> with filling("results") as temporary:
    ...     write_text(temporary / "a.txt", "one")
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder)
    except OSError as error:
        raise not_written(folder, error) from error
    with temporary:
        yield Path(temporary.name)
        made = sorted(Path(temporary.name).iterdir())
        for path in made:
            if (folder / path.name).is_dir():
                raise not_written(folder / path.name, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
        for path in made:
            os.replace(path, folder / path.name)
    _sync_folder(folder)


def write_text(path: AnyPath, text: str, errors: str = "strict") -> None:
    """A file of text in UTF-8, whole or not at all.

    >>> write_text("results/table.csv", "epoch,loss\\n")
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=errors)


def read_text(path: AnyPath, wanted: str) -> str:
    """The text that somebody wrote by hand, without the mark that some editors put first.

    wanted : what the file should be, for the error

    >>> write_text("classes.txt", "cat")
    >>> read_text("classes.txt", "a text file, a class name a line")
    'cat'
    """
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not in UTF-8"
        raise DataError(f"{path} cannot be read ({reason}): give {wanted}.") from None


def write_bytes(path: AnyPath, content: bytes) -> None:
    """A file of bytes, whole or not at all.

    >>> write_bytes("net.onnx", model.SerializeToString())
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_csv(path: AnyPath, rows: Sequence[Mapping], columns: Optional[Sequence[str]] = None) -> None:
    """A table of dictionaries; its columns are those of the first row where they are not given.

    >>> write_csv("rows.csv", [{"epoch": 1, "loss": 0.5}])
    >>> Path("rows.csv").read_text()
    'epoch,loss\\n1,0.5\\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue(), errors="backslashreplace")  # a file's name need not be text


def append_text(path: AnyPath, text: str) -> None:
    """Add whole lines to a file, or nothing.

    >>> append_text("lines.txt", "one more\\n")
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        new = not os.path.exists(path)
        with open(path, "ab", buffering=0) as file:
            before, content = file.tell(), text.encode("utf-8", "backslashreplace")
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


@contextlib.contextmanager
def locked(file: IO, patience: float = 0.0, busy: str = "another process holds it") -> Iterator[None]:
    """No other process, nor another opening of the file in this one, is in the block meanwhile; a TimeoutError where
    one has not left it within `patience` seconds, for which `busy` is the reason.

    The lock is the system's: a killed process leaves none. On file systems without locks there is none.

    >>> with open("notes.txt", "a") as file, locked(file):
    ...     written = file.write("one at a time")
    """
    import portalocker

    deadline = time.monotonic() + patience
    while True:
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.exceptions.AlreadyLocked:
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, busy) from None
            time.sleep(0.05)
            continue
        except portalocker.exceptions.LockException:
            pass
        break
    try:
        yield
    finally:
        with contextlib.suppress(portalocker.exceptions.LockException, OSError):
            portalocker.unlock(file)


def md5(path: AnyPath) -> str:
    """The md5 of a file, in hexadecimal: what published archives are verified by.

    >>> write_text("a.txt", "a")
    >>> md5("a.txt")
    '0cc175b9c0f1b6a831c399e269772661'
    """
    return _digest(hashlib.md5(), path)


def sha256(path: AnyPath) -> str:
    """The sha256 of a file, in hexadecimal.

    >>> write_text("a.txt", "a")
    >>> sha256("a.txt")[:16]
    'ca978112ca1bbdca'
    """
    return _digest(hashlib.sha256(), path)


def _digest(state, path):
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()
