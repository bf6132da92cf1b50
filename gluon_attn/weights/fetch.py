"""Fetching a published file: resumed where the connection broke, verified, then moved into place in one step."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gluon_attn.errors import WeightsError
from gluon_attn.weights.download import Failure, download, open_part, without_password
from gluon_attn.weights.files import read_file
from gluon_attn.weights.verify import verify

MIRROR = "GLUON_ATTN_REPO"
ATTEMPTS = 5
BACK_OFF = 1.0  # seconds before the second attempt; doubled before each further one
LOCK_TIMEOUT = 3600  # another process may be fetching the same file on a slow line
ELSEWHERE = "give root=, or set MXNET_HOME, to a folder that can be written"
_SILENCE = 1.0  # seconds after which it is said that another process is waited for
log = logging.getLogger("gluon_attn.weights")


def mirror_folder():
    """The folder that $GLUON_ATTN_REPO names, by its path or as file://, or None: then it is an address, or not set."""
    mirror = os.environ.get(MIRROR, "")
    if re.match(r"https?://", mirror, re.IGNORECASE) or not mirror:
        return None
    if mirror.lower().startswith("file:"):
        parts = urlsplit(mirror)
        if parts.netloc not in ("", "localhost"):
            raise WeightsError(
                f"{MIRROR}={mirror!r} is a file on {parts.netloc!r}: write file:///folder, of this machine."
            )
        mirror = unquote(parts.path)
    elif "://" in mirror:
        raise WeightsError(f"{MIRROR}={without_password(mirror)!r} is neither http://, https://, file:// nor a folder.")
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"{MIRROR} names the folder {without_password(str(folder))!r}, and there is none. "
            "An address begins with http://."
        )
    return folder


def download_url(entry):
    """The entry's URL: where it is published, or under the same name on the mirror $GLUON_ATTN_REPO."""
    name, mirror = entry.published_name, os.environ.get(MIRROR)
    if name is None or not mirror:
        return None if name is None else entry.url
    return f"{mirror.rstrip('/')}/{name}"


def by_hand(entry, folder):
    """How to get the file where this machine cannot."""
    inside = " of the file inside" if entry.member else ""
    return (
        f"Without a network, download {entry.url} ({entry.hash_kind} {entry.hash}{inside}) elsewhere and put it into "
        f"{folder}, or set {MIRROR} to the URL of a mirror, or to a folder, that has it under its name."
    )


def fetch(entry, folder, find, elsewhere=ELSEWHERE):
    """Download the entry into `folder` under its file name and return the path; one process at a time does it.

    `find(entry, folder)` looks again once the lock is ours: another process may have fetched the file meanwhile.
    `elsewhere` says how the caller is given another folder.
    A failure leaves nothing behind; a download that was interrupted or killed is resumed by the next call.
    """
    target = folder / entry.file_name
    with _locked(folder, entry, elsewhere):
        here = find(entry, folder)
        if here is not None:
            return here
        part = folder / f".{target.name}.part"
        try:
            data = _fetched(entry, part)
            if entry.member:
                with open_part(part, append=False) as file:
                    file.write(data)
            os.replace(part, target)
        except Failure as failure:
            _discard(part)
            raise WeightsError(f"Cannot fetch {entry.file_name}: {failure} {by_hand(entry, folder)}") from None
        except OSError as failure:
            _discard(part)
            raise WeightsError(f"Cannot write {part}: {failure}. Free some space, or {elsewhere}.") from None
    return target


def _fetched(entry, part):
    """The downloaded and verified bytes; a beginning from another day that proves wrong is fetched anew, once."""
    url, resumed = download_url(entry), part.exists()
    while True:
        _download(url, part)
        try:
            data = read_file(part, entry.member)
            verify(data, entry, without_password(url))
            return data
        except WeightsError:
            _discard(part)
            if not resumed:
                raise
            resumed = False


def _discard(part):
    with contextlib.suppress(OSError):
        part.unlink()


@contextlib.contextmanager
def _locked(folder, entry, elsewhere):
    """One fetching process a folder; the operating system frees the lock of a process that dies."""
    import portalocker

    def opened(path, flags):  # never another file, by a link that somebody has put there
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)

    def lock(seconds):
        return portalocker.Lock(path, mode="a", timeout=seconds, check_interval=0.2, opener=opened)

    path = str(folder / ".gluon_attn.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(_SILENCE)
        try:
            held.acquire()
        except portalocker.exceptions.LockException:
            log.warning("waiting for another process that fetches into %s", folder)
            held = lock(LOCK_TIMEOUT)
            held.acquire()
    except portalocker.exceptions.LockException:
        raise WeightsError(
            f"Another process has been fetching into {folder} for {LOCK_TIMEOUT} s: try later."
        ) from None
    except OSError as problem:
        raise WeightsError(
            f"Cannot write into {folder} ({problem.strerror}) to keep {entry.file_name}: "
            f"{elsewhere}. {by_hand(entry, folder)}"
        ) from None
    try:
        yield
    finally:
        held.release()


def _download(url, part):
    """The whole of `url` into the file `part`; a server that was never reached is not asked again."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(BACK_OFF * 2 ** (attempt - 1))
        try:
            return download(url, part)
        except Failure as failure:
            if not failure.again or attempt == ATTEMPTS - 1 or (failure.offline and not attempt):
                raise
            log.warning("%s Trying again.", failure)
