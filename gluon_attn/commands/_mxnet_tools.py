"""MXNet's own script im2rec.py, run as it needs to be on the Pythons of today.

`python -m gluon_attn.commands._mxnet_tools NAME ARGUMENTS...` runs one in this process, MXNet importable on Python
3.12 too; `command` gives that line.
"""

from __future__ import annotations

import runpy
import sys
from importlib import util
from pathlib import Path


def command(name, *arguments):
    """The argument list that runs MXNet's `name`.py."""
    path_of(name)  # or an error here, not in that process
    return [sys.executable, "-m", "gluon_attn.commands._mxnet_tools", name, *map(str, arguments)]


def path_of(name):
    """Where it is installed, found without importing MXNet."""
    found = util.find_spec("mxnet")
    if found is None:
        raise ModuleNotFoundError("No module named 'mxnet'", name="mxnet")
    return Path(found.origin).parent / "tools" / f"{name}.py"


def main(argv):
    sys.argv = [str(path_of(argv[0])), *argv[1:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
