"""Fetching a published file: resumed where the connection broke, verified, then moved into place in one step."""

from __future__ import annotations

import contextlib
import os
import time
from urllib.parse import urlsplit

from gluon_attn.errors import WeightsError
from gluon_attn.weights.files import LARGEST, read_file
from gluon_attn.weights.verify import verify

MIRROR = "GLUON_ATTN_REPO"
ATTEMPTS = 5
BACK_OFF = 1.0  # seconds before the second attempt; doubled before each further one
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
LOCK_TIMEOUT = 3600  # another process may be fetching the same file on a slow line
_CHUNK = 1 << 14  # a piece that breaks off is lost whole
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


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
        f"{folder}, or set {MIRROR} to the URL of a mirror that has it under its name."
    )


def fetch(entry, folder, find):
    """Download the entry into `folder` under its file name and return the path; one process at a time does it.

    `find(entry, folder)` looks again once the lock is ours: another process may have fetched the file meanwhile.
    A failure leaves nothing behind; a download that was interrupted or killed is resumed by the next call.
    """
    target = folder / entry.file_name
    with _locked(folder, entry):
        here = find(entry, folder)
        if here is not None:
            return here
        part = folder / f".{target.name}.part"
        try:
            data = _fetched(entry, part)
            if entry.member:
                part.write_bytes(data)
            os.replace(part, target)
        except _Failure as failure:
            _discard(part)
            raise WeightsError(f"Cannot fetch {entry.file_name}: {failure} {by_hand(entry, folder)}") from None
        except OSError as failure:
            _discard(part)
            raise WeightsError(f"Cannot write {part}: {failure}. Free some space or choose another root=.") from None
    return target


def _fetched(entry, part):
    """The downloaded and verified bytes; a beginning from another day that proves wrong is fetched anew, once."""
    url, resumed = download_url(entry), part.exists()
    while True:
        _download(url, part)
        try:
            data = read_file(part, entry.member)
            verify(data, entry, url)
            return data
        except WeightsError:
            _discard(part)
            if not resumed:
                raise
            resumed = False


def _discard(part):
    with contextlib.suppress(OSError):
        part.unlink()


class _Failure(Exception):
    """Why a download ended; `again` says whether another attempt can help."""

    def __init__(self, reason, again=False):
        super().__init__(reason)
        self.again = again


@contextlib.contextmanager
def _locked(folder, entry):
    """One fetching process a folder; the operating system frees the lock of a process that dies."""
    import portalocker

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = portalocker.Lock(str(folder / ".gluon_attn.lock"), mode="a", timeout=LOCK_TIMEOUT, check_interval=0.2)
        lock.acquire()
    except portalocker.exceptions.LockException:
        raise WeightsError(
            f"Another process has been fetching into {folder} for {LOCK_TIMEOUT} s: try later."
        ) from None
    except OSError as problem:
        raise WeightsError(
            f"Cannot write into {folder} ({problem.strerror}) to keep {entry.file_name}: "
            f"give root=, or set MXNET_HOME, to a folder that can be written. {by_hand(entry, folder)}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _download(url, part):
    """The whole of `url` into the file `part`, appending to what an interrupted download left there."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(BACK_OFF * 2 ** (attempt - 1))
        try:
            return _stream(url, part)
        except _Failure as failure:
            if not failure.again or attempt == ATTEMPTS - 1:
                raise


def _stream(url, part):
    import requests
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    # An encoding would make lengths and ranges those of the compressed stream.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            resumed = _check_response(response, url, part, have)
            start = have if resumed else 0
            length = response.headers.get("Content-Length")
            total = start + int(length) if length and length.isdigit() else None
            bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.name[1:-5], disable=None)
            with part.open("ab" if resumed else "wb") as file, bar:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                    if file.tell() > LARGEST:
                        raise _Failure(f"{_host(url)} sends more than {LARGEST} bytes.")
    except requests.RequestException as problem:
        raise _Failure(f"{_host(url)} cannot be read ({_root(problem)}).", again=True) from None
    if total is not None and part.stat().st_size < total:
        raise _Failure(f"{_host(url)} broke off after {part.stat().st_size} of {total} bytes.", again=True)


def _host(url):
    return urlsplit(url).netloc or url


def _root(problem):
    """What went wrong at the bottom of requests' and urllib3's wrapped exceptions, without the URL again."""
    while True:
        inner = getattr(problem, "reason", None) or next((a for a in problem.args if isinstance(a, Exception)), None)
        if not isinstance(inner, Exception):
            return f"{type(problem).__name__}: {str(problem).rpartition('): ')[2]}"
        problem = inner


def _check_response(response, url, part, have):
    """Whether the response continues what we have; raises _Failure for one that is not the file."""
    if response.status_code == 416:  # what we have is not a beginning of this file
        part.unlink()
        raise _Failure(f"{_host(url)} refused to resume at byte {have}.", again=True)
    if response.status_code not in (200, 206):
        reason = f"{_host(url)} answered {response.status_code} {response.reason}."
        raise _Failure(reason, again=response.status_code in _TRY_AGAIN)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _Failure(f"{_host(url)} sent a web page instead of a file.")
    continues = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    if response.status_code == 206 and not continues:
        part.unlink()
        raise _Failure(f"{_host(url)} resumed at another place than asked.", again=True)
    return response.status_code == 206
