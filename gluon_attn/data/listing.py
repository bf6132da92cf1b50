"""Which files below a folder are pictures."""

from __future__ import annotations

import logging
import os
from collections import Counter

from gluon_attn.errors import DataError

log = logging.getLogger(__name__)

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Photographs, too, of kinds that Pillow does not read by itself, or that are no finished pictures.
UNREAD = {
    *(".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jfif", ".jp2", ".jxl"),
    *(".nef", ".orf", ".psd", ".raw", ".rw2", ".tga"),
}


def pictures_in(where, most=None):
    """Paths of the pictures below a folder, by their names, sorted folder by folder; hidden ones are passed over.

    most : stop after the folder in which as many are found
    """
    found, others = [], []
    for parent, files in _walk(where):
        for name in files:
            if name.lower().endswith(SUFFIXES):
                found.append(os.path.join(parent, name))
            else:
                others.append(name)
        if most and len(found) >= most:
            return found
    unread = None if most else _unread(others)
    if unread:
        log.warning("%s: passed over %s", where, in_words(unread))
    return found


def unread_in(where):
    """{suffix: how many} of the photographs below a folder that `pictures_in` passes over."""
    return sum((_unread(files) for _, files in _walk(where)), Counter())


def in_words(unread):
    """What `unread_in` found, for sentences."""
    kinds = ", ".join(f"{count} of {suffix}" for suffix, count in sorted(unread.items()))
    return f"photographs of kinds that are not read ({kinds}): convert them to JPEG or PNG"


def _unread(files):
    return Counter(suffix for suffix in (os.path.splitext(name)[1].lower() for name in files) if suffix in UNREAD)


def is_hidden(name):
    """Whether a file or a folder is nobody's picture or class: hidden, or what a file system keeps for itself."""
    return name[0] == "." or name == "lost+found"


def _walk(where):
    """(folder, sorted names of its files), hidden ones passed over; what cannot be listed is no empty folder.

    Links to folders are followed, to each once, but not to one that `where` itself lies in.
    """
    top = os.path.realpath(where)
    been = {top}

    def refuse(problem):
        if not isinstance(problem, (FileNotFoundError, NotADirectoryError)):
            raise unlisted(problem.filename, problem)

    def is_new(folder):
        place = os.path.realpath(folder)
        is_above = os.path.commonpath([place, top]) == place
        known = len(been)
        been.add(place)
        return len(been) > known and not is_above

    for parent, folders, files in os.walk(where, onerror=refuse, followlinks=True):
        folders[:] = (name for name in sorted(folders) if not is_hidden(name) and is_new(os.path.join(parent, name)))
        yield parent, sorted(name for name in files if not is_hidden(name))


def unlisted(folder, problem):
    """The error for an OSError that a folder gives."""
    return DataError(f"{folder} cannot be read ({problem.strerror}): what is in it would be missing.")
