"""Processes on this machine and, by ssh, on others that end together, however the one that started them ends.

Each runs in a process group of its own under a few lines of shell, which hold a pipe (over ssh: the connection) to this
process. When the pipe closes, be it by SIGKILL or a cut cable, they end the group: SIGTERM, ten seconds, SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional

# $1...: the command. The first line of standard input says that there is a pipe to watch; only then is it watched.
_GUARD = """
exec 3<&0 </dev/null
setsid "$@" 3<&- & job=$!
exec 2>/dev/null
{
  read -r told && {
    while read -r told; do :; done
    kill -TERM -$job
    for second in 1 2 3 4 5 6 7 8 9 10; do kill -0 -$job || break; sleep 1; done
    kill -KILL -$job
  }
} <&3 >/dev/null & watch=$!
exec 3<&-
wait $job; status=$?
kill $watch; kill -KILL -$job
exit $status
"""
# What standard input begins with, of $length bytes, are `export` lines: nobody else on either machine sees the values.
_SECRETS = """
given=$(dd bs=1 count=$length 2>/dev/null)
[ ${#given} -gt 0 ] || { echo "launch: ssh passes no standard input on, which --env needs" >&2; exit 1; }
eval "$given"
"""
_SSH = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "ServerAliveInterval=30"]
_LONGEST_END = 15  # seconds that a guard may take, ten of them for what it guards
_LONGEST_FAREWELL = 60  # seconds for servers and scheduler once all workers are done
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name))


@dataclass(frozen=True)
class Host:
    """A machine as ssh knows it: `name` or `user@name`."""

    name: str
    port: Optional[int] = None

    def ssh(self):
        return [*_SSH, *(["-p", str(self.port)] if self.port else [])]

    @property
    def address(self):
        return self.name.rpartition("@")[2]


@dataclass
class Member:
    """One process of a job. `environment` is shown to whoever lists processes, `secrets` are not."""

    role: str
    command: List[str]
    environment: Dict[str, str]
    host: Optional[Host] = None
    folder: str = ""
    secrets: Dict[str, str] = field(default_factory=dict)

    def line(self):
        """The argument list that starts it: no shell of this machine reads it, and one of the other machine once."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        if self.host is None:
            return ["sh", "-c", _GUARD, "launch", "env", *variables, *self.command]
        script = f"cd {shlex.quote(self.folder)} || exit 1\n"
        if self.secrets:
            script += f"length={len(self._exports())}" + _SECRETS
        script += shlex.join(["set", "--", "env", *variables, *self.command]) + _GUARD
        return [*self.host.ssh(), self.host.name, shlex.join(["sh", "-c", script])]

    def start(self):
        process = subprocess.Popen(self.line(), stdin=subprocess.PIPE, start_new_session=True)
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its status says so
            process.stdin.write((self._exports() if self.host else b"") + b"\n")
            process.stdin.flush()
        return process

    def _exports(self):
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in self.secrets.items()]
        return os.fsencode("".join(lines))


def run_together(members):
    """Start all members and wait for them; the exit status: 0, 1 where one failed, 128 + the signal that ended us."""
    running, failed = [], None
    with _signals_noted() as told:
        try:
            for member in members:
                if not told:
                    running.append((member, member.start()))
            failed = _wait(running, told)
        finally:
            _end(process for _, process in running)
    if told:
        print(f"launch: {signal.Signals(told[0]).name}: all processes are ended", file=sys.stderr)
        return 128 + told[0]
    if failed:
        member, process = failed
        where = f" on {member.host.name}" if member.host else ""
        print(
            f"launch: a process failed (a {member.role}{where}: status {process.returncode}); all others are ended",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _wait(running, told):
    """The first member to fail with its process; None once all have ended well, or a signal was noted."""
    last_call = None
    while not told and any(process.poll() is None for _, process in running):
        failed = next((pair for pair in running if pair[1].poll()), None)
        if failed:
            return failed
        if all(process.poll() == 0 for member, process in running if member.role == "worker"):
            last_call = last_call or time.monotonic() + _LONGEST_FAREWELL
            if time.monotonic() > last_call:
                return None
        time.sleep(0.1)
    return next((pair for pair in running if pair[1].returncode), None)


def _end(processes):
    """Close the pipes, upon which the guards end what they guard, and wait for them."""
    processes = list(processes)
    for process in processes:
        with contextlib.suppress(OSError):
            process.stdin.close()
    deadline = time.monotonic() + _LONGEST_END
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _signals_noted():
    """The numbers of the SIGTERM, SIGHUP and SIGINT that came within it, in a list. nohup stays nohup.

    A handler that raises can leave a process between its start and our knowing of it, or a lock of `subprocess` taken.
    """
    told = []
    before = {each: signal.getsignal(each) for each in _ENDING if signal.getsignal(each) != signal.SIG_IGN}
    for each in before:
        signal.signal(each, lambda number, frame: told.append(number))
    try:
        yield told
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
