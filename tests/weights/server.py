"""An HTTP server on 127.0.0.1 that can be told to misbehave."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HEADS = {
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Sign in</html>",
    "drip": b"HTTP/1.1 200 OK\r\n\r\n",
    "drip head": b"HTTP/1.1 200 OK\r\nX-A: ",
    "silence": b"",
}


def _raw(handler, answer, server):
    handler.close_connection = True
    with contextlib.suppress(ConnectionError):
        handler.wfile.write(_HEADS.get(answer, answer))
        while answer in ("drip", "drip head", "silence") and not server.ended:
            handler.wfile.write(b"" if answer == "silence" else b"x")
            time.sleep(0.02)


@contextlib.contextmanager
def serving(content, plan=(), delay=0.0):
    """A server whose n-th answer is `plan[n]`, then 'whole'; yields it with `.url` and the list `.requests`.

    'whole'     : the file, or the asked range of it
    'half'      : announces all of it, sends half of what is left, and closes the connection
    'no range'  : the whole file whatever was asked
    'wrong place': a range that was not asked
    'html'      : a page with status 200
    an integer  : that status
    'drip'      : one byte every 20 ms, 'drip head' within the header; both for ever
    'silence'   : no answer at all
    bytes       : these, as they are, and the connection is closed
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            server.requests.append((self.path, self.headers.get("Range")))
            number = len(server.requests) - 1
            answer = plan[number] if number < len(plan) else "whole"
            if isinstance(answer, int):
                self.send_error(answer)
            elif isinstance(answer, bytes) or answer in _HEADS:
                _raw(self, answer, server)
            else:
                self._send_file(answer)

        def _send_file(self, answer):
            asked = self.headers.get("Range")
            start = int(asked[len("bytes=") : -1]) if asked and answer != "no range" else 0
            if start >= len(content) and start:
                self.send_error(416)
                return
            shown = start - 1 if answer == "wrong place" else start
            extra = {"Content-Range": f"bytes {shown}-{len(content) - 1}/{len(content)}"} if start else {}
            body = content[start:]
            if answer == "half":
                self._send(206 if start else 200, body[: len(body) // 2], extra, announced=len(body))
                self.close_connection = True
            else:
                self._send(206 if start else 200, body, extra)

        def _send(self, status, body, headers, announced=None):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if announced is None else announced))
            self.end_headers()
            time.sleep(delay)
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests, server.ended = [], False
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.ended = True
        server.shutdown()
        thread.join()
        server.server_close()
