"""MXNet's own scripts (im2rec.py, launch.py), run as they need to be on the Pythons of today.

``python -m gluon_attn.commands._mxnet_tools NAME ARGUMENTS...`` runs one in this process; ``command`` gives that line.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from importlib import util
from pathlib import Path


def command(name, *arguments):
    """The argument list that runs MXNet's ``name``.py."""
    return [sys.executable, "-m", "gluon_attn.commands._mxnet_tools", name, *map(str, arguments)]


def path_of(name):
    """Where it is installed, found without importing MXNet."""
    return Path(util.find_spec("mxnet").origin).parent / "tools" / f"{name}.py"


def main(argv):
    name, *arguments = argv
    if name == "launch":
        _mend_tracker(local="local" in arguments)
    sys.argv = [str(path_of(name)), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()  # dmlc_tracker returns before it has seen how its processes ended


def _mend_tracker(local):
    """dmlc_tracker calls Thread.isAlive (gone in Python 3.9), asks the network for an address that a run on one machine
    does not need, and waits for ever where a worker has failed."""
    from dmlc_tracker import tracker

    threading.Thread.isAlive = threading.Thread.is_alive
    if local:
        tracker.get_host_ip = lambda hostIP=None: "127.0.0.1"
        os.environ.setdefault("DMLC_NODE_HOST", "127.0.0.1")

    def end_everything(failure):
        print(f"launch: a process failed ({failure.exc_type.__name__}); all others are ended", file=sys.stderr)
        os.killpg(os.getpgid(0), signal.SIGTERM)  # this process, too

    threading.excepthook = end_everything


if __name__ == "__main__":
    main(sys.argv[1:])
