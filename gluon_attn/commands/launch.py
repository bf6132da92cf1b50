"""`gluon-attn launch`: one training on several machines, or several processes of this one, by MXNet's launch.py.

    gluon-attn launch -n 2 -s 1 -- python train_cifar.py --kvstore dist_sync ...
    gluon-attn launch -n 4 -s 4 -H hosts.txt -- python train_imagenet.py --kvstore dist_sync ...

Every process runs the same command; MXNet makes some of them servers. Each worker reads its own part of every batch,
and the first one writes. A run is resumed from a folder that all machines can read. SIGTERM ends all processes where
they stand: a worker that went on to write a checkpoint would wait for the others' gradients. `--resume auto` then goes
on from the last checkpoint, one an epoch or as `--checkpoint-steps` says.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess

from gluon_attn.commands import _mxnet_tools as tools
from gluon_attn.errors import GluonAttnError


def add_arguments(parser):
    parser.add_argument("-n", "--workers", type=int, required=True, metavar="N", help="processes that train")
    parser.add_argument("-s", "--servers", type=int, metavar="N", help="processes that add up (default: as workers)")
    parser.add_argument(
        "-H", "--hostfile", metavar="FILE", help="machines, one a line, reached by ssh (default: this machine alone)"
    )
    parser.add_argument("--sync-to", metavar="DIR", help="copy this folder to DIR on each machine first (rsync)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME", help="pass this variable on by ssh")
    parser.add_argument("--dry-run", action="store_true", help="print MXNet's command instead of running it")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the training command")


def run(args):
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise GluonAttnError("Nothing to launch: put -- and the training command at the end.")
    _check(args, command)
    line = tools.command("launch", *_options(args), *map(shlex.quote, command))
    if args.dry_run:
        print(shlex.join(line))
        return 0
    # A session of its own, so that the end of one process can end all of them and nobody else.
    process = subprocess.Popen(line, start_new_session=True)
    try:
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        raise
    return 0 if code == 0 else 1


def _check(args, command):
    if args.workers < 1 or (args.servers is not None and args.servers < 1):
        raise GluonAttnError("-n and -s are numbers of processes: give 1 or more of each.")
    if args.hostfile and not os.path.isfile(args.hostfile):
        raise GluonAttnError(f"There is no host file {args.hostfile!r}: write one machine a line, as ssh knows it.")
    if not any("dist_" in word for word in command):
        raise GluonAttnError("The command trains each process by itself: add --kvstore dist_sync to it.")


def _options(args):
    options = ["-n", args.workers, "-s", args.servers or args.workers]
    options += ["--launcher", "ssh", "-H", args.hostfile] if args.hostfile else ["--launcher", "local"]
    options += ["--sync-dst-dir", args.sync_to] if args.sync_to else []
    for name in args.env:
        options += ["--env", name]
    return options
