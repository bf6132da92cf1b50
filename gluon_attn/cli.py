"""The command line, `gluon-attn` or `python -m gluon_attn`: a table of commands, each loaded when asked for."""

from __future__ import annotations

import importlib
import sys

from gluon_attn._compat import mxnet_explained
from gluon_attn._version import __version__
from gluon_attn.errors import unknown
from gluon_attn.parser import Parser, exit_status

COMMANDS = {
    "list": "names of the zoo, by pattern, with or without published weights",
    "info": "parameters, MACs, input and weights of one network",
    "train": "train on digits, CIFAR or ImageNet",
    "repeat": "one training with several seeds: mean and standard deviation of its errors",
    "evaluate": "top-1 and top-5 of stored or published weights",
    "predict": "classes of image files",
    "explain": "pictures of what a network attends to, and a score for them",
    "export": "ONNX, PyTorch or symbol files",
    "convert": "weights under the names of another library",
    "benchmark": "images per second and memory, as ratios",
    "data": "fetch a data set, verify and unpack it",
    "pack": "image folders into RecordIO",
    "launch": "training on several machines",
    "tune": "search for hyper-parameters",
    "env": "versions and devices, for a bug report",
}


def _help():
    rows = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    return (
        "usage: gluon-attn COMMAND [options]\n\nAttention CNNs for MXNet/Gluon.\n\n"
        f"commands:\n{rows}\n\n`gluon-attn help COMMAND` or `gluon-attn COMMAND --help` shows the options of one."
    )


def main(argv=None):
    """Run one command; returns the exit status (2 for a user's mistake, said in one sentence)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    return exit_status("gluon-attn", lambda: _run(argv[0], argv[1:]))


@mxnet_explained()
def _run(name, argv):
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    command = importlib.import_module(f"gluon_attn.commands.{name}")
    text = COMMANDS[name]
    parser = Parser(prog=f"gluon-attn {name}", description=f"{text[0].upper()}{text[1:]}.")  # ONNX stays ONNX
    command.add_arguments(parser)
    return command.run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
