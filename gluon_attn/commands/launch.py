"""`gluon-attn launch`: one training on several machines, or several processes of this one, by MXNet's parameter server.

    gluon-attn launch -n 2 -s 1 -- python train_cifar.py --kvstore dist_sync ...
    gluon-attn launch -n 4 -s 4 -H hosts.txt -- python train_imagenet.py --kvstore dist_sync ...

Every process runs the same command; MXNet makes servers of some of them, and a scheduler of one, on this machine. Each
worker reads its own part of every batch, and the first one writes. A run is resumed from a folder that all machines can
read. SIGTERM, SIGHUP or Ctrl-C ends all processes where they stand, on all machines, and so does the end of this one or
of a process that fails: a worker that went on to write a checkpoint would wait for the others' gradients.
`--resume auto` then goes on from the last checkpoint, one an epoch or as `--checkpoint-steps` says.

The other machines get the command by ssh as it is written here, word for word, in the same folder (or that of
`--sync-to`). MXNet's own launch.py is not used: it hands the words to two shells without quotes, and leaves processes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys

from gluon_attn import plugins
from gluon_attn.commands._job import Host, Member, run_together
from gluon_attn.errors import GluonAttnError
from gluon_attn.parser import Parser
from gluon_attn.recipe import arguments

# Unasked, as MXNet's launch.py does; and the mechanisms from outside that the names may be of.
_PASSED = ("OMP_NUM_THREADS", "KMP_AFFINITY", "LD_LIBRARY_PATH", "DMLC_INTERFACE", plugins.VARIABLE)
_PORTS = range(9091, 10000)  # those of MXNet's launch.py, which a firewall may have been opened for


def add_arguments(parser):
    parser.add_argument("-n", "--workers", type=int, required=True, metavar="N", help="processes that train")
    parser.add_argument("-s", "--servers", type=int, metavar="N", help="processes that add up (default: as workers)")
    parser.add_argument(
        "-H", "--hostfile", metavar="FILE", help="machines, one a line, reached by ssh (default: this machine alone)"
    )
    parser.add_argument("--sync-to", metavar="DIR", help="copy this folder to DIR on each machine first (rsync)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME", help="pass this variable on by ssh")
    parser.add_argument("--dry-run", action="store_true", help="print what would be started where, and start nothing")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the training command")


def run(args):
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise GluonAttnError("Nothing to launch: put -- and the training command at the end.")
    _check(args, command)
    hosts = _read_hosts(args.hostfile) if args.hostfile else []
    with _reserved_port() as port:
        members = _members(args, command, hosts, port)
        if args.dry_run:
            for member in members:
                variables = [f"{name}={value}" for name, value in member.environment.items()]
                print(f"{member.role} on {_place(member)}: {shlex.join([*variables, *member.command])}")
            return 0
        if args.sync_to:
            _sync(hosts, args.sync_to)
        return run_together(members)


def _check(args, command):
    if args.workers < 1 or (args.servers is not None and args.servers < 1):
        raise GluonAttnError("-n and -s are numbers of processes: give 1 or more of each.")
    if args.hostfile and not os.path.isfile(args.hostfile):
        raise GluonAttnError(f"There is no host file {args.hostfile!r}: write one machine a line, as ssh knows it.")
    if args.sync_to and not args.hostfile:
        raise GluonAttnError("--sync-to copies to other machines: name them in a file, -H FILE.")
    if not any("dist_" in word for word in command) and "dist_" not in _kept_kvstore(command):
        raise GluonAttnError("The command trains each process by itself: add --kvstore dist_sync to it.")
    for name in args.env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise GluonAttnError(
                f"--env {name!r} is no name of a variable: set it before the command, and give its name."
            )
        if name not in os.environ:
            raise GluonAttnError(f"--env {name}: there is no such variable here to pass on. Set it before the command.")


def _kept_kvstore(command):
    """What the recipe of the command says of --kvstore; '' where it cannot be read here."""
    parser = Parser(add_help=False, allow_abbrev=False, imports=False)
    arguments.add_arguments(parser)
    with contextlib.suppress(GluonAttnError):
        args, _ = parser.parse_known_args(command)
        return str(arguments.underlying(args).get("kvstore", ""))
    return ""


def _read_hosts(path):
    """The machines of a host file: `name`, `user@name`, `name:port`; `slots=`, as MPI writes, and # comments pass."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [re.sub(r"#.*|\sslots=.*", "", line).strip() for line in file]
    hosts = [_host(line, path) for line in lines if line]
    if not hosts:
        raise GluonAttnError(f"{path} names no machine: write one a line, as ssh knows it.")
    return hosts


def _host(line, path):
    found = re.fullmatch(r"((?:[\w.-]+@)?\w[\w.-]*)(?::(\d{1,5}))?", line, re.ASCII)
    if not found or line.startswith("-"):  # to ssh, what begins with - is an option, and some of those run programs
        raise GluonAttnError(f"{path}: {line!r} is no machine: write name, user@name or name:port, one a line.")
    return Host(found.group(1), found.group(2) and int(found.group(2)))


def _members(args, command, hosts, port):
    """The job's processes: the scheduler here, then servers and workers on the machines in turn."""
    servers = args.servers or args.workers
    address = _own_address(hosts, args.dry_run)
    shared = {
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": str(args.workers),
        "DMLC_NUM_SERVER": str(servers),
    }
    members = [Member("scheduler", command, {**shared, "DMLC_ROLE": "scheduler", "DMLC_NODE_HOST": address})]
    for number in range(servers + args.workers):
        own = {**shared, "DMLC_ROLE": "server" if number < servers else "worker", "DMLC_NODE_HOST": address}
        members.append(
            _remote(args, command, own, hosts[number % len(hosts)]) if hosts else Member(own["DMLC_ROLE"], command, own)
        )
    return members


def _remote(args, command, environment, host):
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ and name not in args.env}
    return Member(
        environment["DMLC_ROLE"],
        command,
        {**passed, **environment, "DMLC_NODE_HOST": host.address},
        host,
        folder=_from_home(args.sync_to or os.getcwd()),
        secrets={name: os.environ[name] for name in args.env},
    )


def _place(member):
    return f"{member.host.name} in {member.folder}" if member.host else "this machine"


def _own_address(hosts, dry_run=False):
    """This machine's address as the first of the others sees it; a dry run goes on without."""
    given = os.environ.get("DMLC_PS_ROOT_URI")
    if given or not hosts:
        return given or "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((hosts[0].address, 9))  # of UDP: chooses the route, sends nothing
        return probe.getsockname()[0]
    with contextlib.suppress(OSError):
        found = socket.gethostbyname(socket.getfqdn())
        if not found.startswith("127."):  # which is every machine's own
            return found
    unknown = (
        "This machine's address is not known to it: set DMLC_PS_ROOT_URI to one that the other machines can reach."
    )
    if not dry_run:
        raise GluonAttnError(unknown)
    print(unknown, file=sys.stderr)
    return "UNKNOWN"


@contextlib.contextmanager
def _reserved_port():
    """A free port for the scheduler, kept from other jobs until this one ends.

    The scheduler binds it seconds later. A port that was only looked at is by then another job's, whose workers this
    one's would join.
    """
    for port in _PORTS:
        with socket.socket() as held:
            try:
                held.bind(("", port))
            except OSError:
                continue
            if sys.platform.startswith("linux"):
                # From here on only sockets with the same option can have the port: ZeroMQ's has it, the one above not.
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:  # other systems have other rules, and might keep it from the scheduler, too
                held.close()
            yield port
            return
    raise GluonAttnError(f"No port from {_PORTS[0]} to {_PORTS[-1]} is free for the scheduler: end some other job.")


def _from_home(folder):
    """ssh and rsync begin in the home folder, and `~` within quotes is a name."""
    return os.path.join(".", folder[2:]) if folder.startswith("~/") else folder


def _sync(hosts, folder):
    for host in hosts:
        remote = f"{host.name}:{_from_home(folder)}/"
        line = ["rsync", "-az", "--protect-args", "--rsh", shlex.join(host.ssh()), f"{os.getcwd()}/", remote]
        try:
            status = subprocess.run(line, stdin=subprocess.DEVNULL).returncode
        except FileNotFoundError:
            raise GluonAttnError("--sync-to needs rsync, on all machines: install it.") from None
        if status:
            raise GluonAttnError(f"rsync to {remote} ended with status {status}: see above.")
