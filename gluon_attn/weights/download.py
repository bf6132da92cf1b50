"""One download by HTTP into a file: resumed, given up in time, and with neither a password nor a control character of
the server's in what is said about it.

A server can keep a reader waiting within every line and every piece, so a thread of its own reads, and the one that
waits for it looks at the clock: an answer within ANSWER seconds, then a megabyte (or the end) within each PATIENCE.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import queue
import re
import stat
import threading
import time

from gluon_attn.weights.archive import LARGEST

ANSWER = 30.0  # seconds
PATIENCE = 60.0  # seconds for each megabyte
_MEGABYTE = 1 << 20
_SILENCE = 1.0  # seconds after which it is said what is waited for
_CHUNK = 1 << 14  # a piece that breaks off is lost whole
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
log = logging.getLogger("gluon_attn.weights")


class Failure(Exception):
    """Why a download ended; `again`: another attempt can help; `offline`: the server was not reached."""

    def __init__(self, reason, again=False, offline=False):
        super().__init__(reason)
        self.again, self.offline = again, offline


def without_password(url):
    """The address as it can be shown: without user, password and control characters."""
    url = re.sub(r"^[^/]*:[^/]*@", "", url) if "//" not in url else url  # the scheme was forgotten
    return shown(re.sub(r"//.*@", "//", url, flags=re.DOTALL), 500)


def host_of(url):
    """The server of an address as it can be shown."""
    return without_password(url).partition("//")[2].partition("/")[0] or without_password(url)


def shown(text, most=100):
    """What a server says, as it can be shown: one line of at most `most` printable characters."""
    return "".join(c if c.isprintable() else "?" for c in text)[:most]


def open_part(part, append):
    """The file `part`, open for writing, and never another one by a link that somebody has put there."""
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(part)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or not append:
            os.unlink(part)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.fdopen(os.open(part, flags, 0o644), "ab")


def download(url, part):
    """The whole of `url` into the file `part`, appending to what an interrupted download left there; or Failure."""
    from tqdm import tqdm

    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(part).st_mode):
            os.unlink(part)
    have = os.lstat(part).st_size if part.exists() else 0
    arrivals = _Arrivals(url, have)
    try:
        response = arrivals.next(ANSWER, "its answer")
        if have and response.status_code in (206, 416) and not _continues(response, have):
            os.unlink(part)  # not a beginning of this file
        resumed, total = _check(response, url, have)
        start = have if resumed else 0
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.name[1:-5], disable=None)
        with open_part(part, append=resumed) as file, bar:
            size = _receive(arrivals, file, bar, url)
    finally:
        arrivals.stop()
    if total is not None and size < total:
        raise Failure(f"{host_of(url)} broke off after {size} of {total} bytes.", again=True)


def _receive(arrivals, file, bar, url):
    """Write what arrives; the size of the file in the end."""
    mark, since = file.tell(), time.monotonic()
    while True:
        left = since + PATIENCE - time.monotonic()
        chunk = arrivals.next(left, "more of the file", f"sent less than a megabyte in {PATIENCE:g} s")
        if chunk is None:
            return file.tell()
        file.write(chunk)
        bar.update(len(chunk))
        if file.tell() > LARGEST:
            raise Failure(f"{host_of(url)} sends more than {LARGEST} bytes.")
        if file.tell() - mark >= _MEGABYTE:
            mark, since = file.tell(), time.monotonic()


class _Arrivals:
    """What a thread reads from `url`: the response, pieces of its body, None."""

    def __init__(self, url, have):
        import requests  # in this thread: two that import at once can wait for each other

        self._get, self._url, self._told = requests.get, url, False
        # An encoding would make lengths and ranges those of the compressed stream.
        self._headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        self._queue, self._stopped = queue.Queue(64), threading.Event()
        threading.Thread(target=self._read, daemon=True, name="gluon_attn download").start()

    def stop(self):
        self._stopped.set()

    def next(self, seconds, what, else_=None):
        """The next arrival, waited for `seconds`; Failure where there is none, or where reading failed."""
        end = time.monotonic() + seconds
        arrival = self._wait(min(seconds, _SILENCE))
        if arrival is _NOTHING and seconds > _SILENCE:
            if not self._told:
                log.warning("waiting for %s: %s (given up after %.1f s)", host_of(self._url), what, seconds)
            self._told = True
            arrival = self._wait(end - time.monotonic())
        if arrival is _NOTHING:
            raise Failure(f"{host_of(self._url)} {else_ or f'did not answer within {seconds:g} s'}.")
        if isinstance(arrival, Exception):
            raise _failure(arrival, self._url) from None
        return arrival

    def _wait(self, seconds):
        try:
            return self._queue.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            return _NOTHING

    def _read(self):
        try:
            # A server that is not there is found first; of one that is, the clock of `next` decides, not a race of two.
            with self._get(
                self._url, headers=self._headers, stream=True, timeout=(0.9 * ANSWER, 2 * PATIENCE)
            ) as response:
                self._put(response)
                for chunk in response.raw.stream(_CHUNK, decode_content=False):
                    self._put(chunk)
            self._put(None)
        except Exception as problem:  # of requests, urllib3, http.client, ssl, idna and sockets
            with contextlib.suppress(ConnectionAbortedError):
                self._put(problem)

    def _put(self, arrival):
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                return self._queue.put(arrival, timeout=0.2)
        raise ConnectionAbortedError


_NOTHING = object()


def _continues(response, have):
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _check(response, url, have):
    """(whether the response continues what we have, the size of the whole file or None), or Failure."""
    host, status = host_of(url), response.status_code
    if status == 416 and have:
        raise Failure(f"{host} refused to resume at byte {have}.", again=True)
    if status not in (200, 206):
        raise Failure(f"{host} answered {status} {shown(response.reason or '')}.", again=status in _TRY_AGAIN)
    if status == 206 and not have:
        raise Failure(f"{host} sent a part of the file (206), though all of it was asked for.")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise Failure(f"{host} sent a web page instead of a file.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Failure(f"{host} sent the file compressed, which was not asked for.")
    if status == 206 and not _continues(response, have):
        raise Failure(f"{host} resumed at another place than asked.", again=True)
    length = response.headers.get("Content-Length")
    if length is not None and not re.fullmatch(r"\d{1,15}", length.strip(), re.ASCII):
        raise Failure(f"{host} states a length that is no number: {shown(length)!r}.")
    total = None if length is None else int(length) + (have if status == 206 else 0)
    if total is not None and total > LARGEST:
        raise Failure(f"{host} sends more than {LARGEST} bytes.")
    return status == 206, total


# Words in the names of the exceptions at hand, what they mean, and whether another attempt can help; the first counts.
_MEANINGS = (
    (("gaierror", "NameResolution"), "its name is not known: is there a network?", dict(again=True, offline=True)),
    (("ConnectionRefused",), "it refused the connection", dict(again=True, offline=True)),
    (("ConnectTimeout",), "it does not answer", dict(again=True, offline=True)),
    (("SSL", "Certificate"), "its certificate is not accepted", {}),
    (("TimeoutError", "ReadTimeout"), "nothing comes from it any more", dict(again=True)),
    (("TooManyRedirects",), "it redirects in a circle", {}),
    (
        ("InvalidURL", "InvalidSchema", "MissingSchema", "LocationParse", "LocationValue", "Unicode"),
        "its address, or one that it redirects to, is broken",
        {},
    ),
)


def _failure(problem, url):
    """The Failure that an exception of requests, or of what it is made of, means."""
    chain = [problem]
    for each in chain:
        inner = [getattr(each, "reason", None), each.__cause__, each.__context__, *getattr(each, "args", ())]
        chain.extend(e for e in inner if isinstance(e, BaseException) and e not in chain and len(chain) < 50)
    kinds = " ".join(type(each).__name__ for each in chain)
    if type(problem) is ValueError:  # urllib's, of an address that it cannot take apart
        kinds += " InvalidURL"
    for words, meaning, what in _MEANINGS:
        if any(word in kinds for word in words):
            return Failure(f"{host_of(url)} cannot be read ({meaning}).", **what)
    unreachable = any(getattr(each, "errno", None) in (errno.ENETUNREACH, errno.EHOSTUNREACH) for each in chain)
    reason = re.sub(r"\S*@", "", str(chain[-1]).rpartition("): ")[2])
    reason = f"{type(chain[-1]).__name__}: {shown(reason, 150)}"
    return Failure(f"{host_of(url)} cannot be read ({reason}).", again=True, offline=unreachable)
