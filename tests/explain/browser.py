"""A headless Chromium by the WebDriver protocol, without a library: chromedriver answers JSON over HTTP."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

AVAILABLE = shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome"))


class Browser:
    def __init__(self, root):
        self.root = root
        chrome = {"args": ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"]}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": logs}
        self.session = ""
        self.session = "/session/" + self.call("/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + self.session + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.call("/url", {"url": url})

    def script(self, text, *arguments):
        return self.call("/execute/sync", {"script": text, "args": list(arguments)})

    def log(self, kind):
        return self.call("/se/log", {"type": kind})

    def requests(self):
        """Addresses that pages asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@contextlib.contextmanager
def browser():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(["chromedriver", f"--port={port}"], **quiet)
    try:
        opened = _connect(f"http://127.0.0.1:{port}")
        try:
            yield opened
        finally:
            opened.call("", method="DELETE")
    finally:
        process.terminate()
        process.wait(timeout=20)


def _connect(root):
    for _ in range(100):
        try:
            return Browser(root)
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(0.1)
    raise TimeoutError(f"chromedriver does not answer at {root}")
