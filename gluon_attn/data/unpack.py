"""Unpacking a zip that came from outside: nothing is written beside the folder, and no more than it may hold."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from gluon_attn.errors import DataError

LARGEST, MOST = 2 << 30, 500_000  # bytes and files of all members together


def unpack(archive, folder, top, progress=None, largest=LARGEST, most=MOST):
    """Write the members of the zip `archive`, which all lie below `top`, into `folder`; returns `folder`/`top`.

    The whole folder appears in one step, or not at all. Refused before anything is written: names that lead out of
    `top`, links, more than `most` members or `largest` bytes. What unpacks to more than its head says is refused, too.
    progress : called with the bytes of each member written
    """
    target = Path(folder) / top
    with tempfile.TemporaryDirectory(prefix=f".{top}.", dir=folder) as temporary:
        try:
            with zipfile.ZipFile(archive) as opened:
                members = _checked(opened.infolist(), archive, top, largest, most)
                for member in members:
                    _write(opened, member, Path(temporary), progress)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as problem:
            raise DataError(f"{archive} is a damaged zip archive ({problem}): fetch it again.") from None
        os.replace(Path(temporary) / top, target)
    return target


def _checked(members, archive, top, largest, most):
    """The members that are files; whatever does not belong into `top` raises."""
    total = sum(member.file_size for member in members)
    if total > largest or len(members) > most:
        raise DataError(
            f"{archive} would unpack to {total} bytes in {len(members)} files; at most {largest} bytes in {most} files "
            "are allowed. It was not unpacked."
        )
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        link = stat.S_ISLNK(member.external_attr >> 16)
        if not parts or parts[0] != top or ".." in parts or ":" in member.filename or link:
            raise DataError(f"{archive} has the member {member.filename!r}, which leads out of {top}: not unpacked.")
    return [member for member in members if not member.is_dir()]


def _write(opened, member, folder, progress):
    path = folder / member.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, open(path, "wb") as file:
        # zipfile stops at the size that the member's head says, and compares the CRC there.
        shutil.copyfileobj(source, file)
    if progress:
        progress(member.file_size)
