"""`gluon-attn launch` without MXNet: which words arrive on the other machines, and that no process is left behind."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gluon_attn import cli
from gluon_attn.commands._job import Host
from gluon_attn.commands.launch import _own_address
from gluon_attn.errors import GluonAttnError

# Like sshd: one string, run by the other machine's shell in the home folder, with none of our variables.
FAKE_SSH = """#!/usr/bin/env python3
import os, sys
host, line = sys.argv[-2:]
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
os.chdir(os.environ["FAKE_HOME"])
os.execve("/bin/sh", ["sh", "-c", line], {"PATH": os.environ["PATH"]})
"""
# What each process of the job was given, as one file a process.
REPORT = """
import json, os, sys
given = dict(words=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
open(os.path.join(sys.argv[1], os.environ["DMLC_ROLE"] + str(os.getpid())), "w").write(json.dumps(given))
"""
SLEEP = (
    "import os, sys, time; open(os.path.join(sys.argv[1], str(os.getpid())), 'w').close(); os.fork(); time.sleep(99)"
)
HOSTILE = [
    "a b",
    "'; touch PWN; '",
    "$(touch PWN)",
    "`touch PWN`",
    '"; touch PWN; "',
    "",
    "*",
    "a\nb",
    "\\",
    "-n",
    "#x",
    "ü",
]


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """A fake ssh on the PATH; the folder where its processes begin."""
    home = tmp_path / "home"
    home.mkdir()
    path = tmp_path / "bin" / "ssh"
    path.parent.mkdir()
    path.write_text(FAKE_SSH)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_HOME", str(home))
    (tmp_path / "hosts").write_text("127.0.0.1\n\n# a comment\nsomebody@127.0.0.1:2222 slots=4\n")
    return home


def launch(*words, **options):
    line = [sys.executable, "-m", "gluon_attn.cli", "launch", *map(str, words)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
    return subprocess.Popen(line, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, **options)


def reports(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]


def check_words(tmp_path, *options):
    """Every word arrives, in a folder with every kind of character, and nothing is run by the way."""
    told, work = tmp_path / "told", tmp_path / 'it\'s a $(touch PWN) "folder"'
    told.mkdir()
    work.mkdir()
    command = [sys.executable, "-c", REPORT, told, *HOSTILE, "dist_sync"]
    job = launch("-n", 2, "-s", 1, *options, "--", *command, cwd=work)
    output = job.communicate(timeout=60)[0]
    assert job.returncode == 0, output
    given = reports(told)
    assert [Path(name).name.rstrip("0123456789") for name in sorted(os.listdir(told))] == [
        "scheduler",
        "server",
        "worker",
        "worker",
    ]
    for report in given:
        assert report["words"][1:] == [*HOSTILE, "dist_sync"]
        assert report["folder"] == str(work)
        assert report["environment"]["DMLC_NUM_WORKER"] == "2" and report["environment"]["DMLC_NUM_SERVER"] == "1"
        assert report["environment"]["DMLC_PS_ROOT_URI"] == "127.0.0.1"
    assert not list(tmp_path.rglob("PWN"))
    return given


def test_words_arrive_on_this_machine(tmp_path):
    check_words(tmp_path)


def test_words_and_variables_arrive_by_ssh_and_values_are_shown_to_nobody(ssh, tmp_path, monkeypatch):
    value = 'it\'s; touch PWN $(touch PWN)\n"second line" ü'
    monkeypatch.setenv("SECRET_WORD", value)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("OTHER", "x")
    given = check_words(tmp_path, "-H", tmp_path / "hosts", "--env", "SECRET_WORD")
    remote = [report["environment"] for report in given if report["environment"]["DMLC_ROLE"] != "scheduler"]
    assert [environment["SECRET_WORD"] for environment in remote] == [value] * 3
    assert {environment["OMP_NUM_THREADS"] for environment in remote} == {"3"}
    assert not any("OTHER" in environment for environment in remote)
    log = (tmp_path / "log").read_text()
    assert "second line" not in log
    assert log.count("-p 2222 somebody@127.0.0.1") == 1 and "DMLC_ROLE=worker" in log
    assert not list(ssh.iterdir())


def processes_with(word):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if word.encode() in line:
            found.append(int(path.parent.name))
    return found


def wait_until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def sleeping(tmp_path):
    """Starts a job whose four processes and their children sleep, and waits until they do."""
    started = []

    def start(*options):
        told = tmp_path / "sleepers"
        told.mkdir()
        job = launch("-n", 2, "-s", 1, *options, "--", sys.executable, "-c", SLEEP, told, "dist_sync")
        started.append(job)
        wait_until(lambda: len(os.listdir(told)) == 4)
        return job, str(told)

    yield start
    for job in started:
        job.kill()


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGKILL"])
def test_a_signal_to_the_launcher_leaves_no_process(name, remote, sleeping, ssh, tmp_path):
    job, word = sleeping(*(["-H", tmp_path / "hosts"] if remote else []))
    assert len(processes_with(word)) >= 8
    number = getattr(signal, name)
    job.send_signal(number)
    output = job.communicate(timeout=20)[0] if name != "SIGKILL" else ""
    assert job.wait(20) == (-number if name == "SIGKILL" else 128 + number)
    if name != "SIGKILL":
        assert output == f"launch: {name}: all processes are ended\n"
        assert processes_with(word) == []
    wait_until(lambda: not processes_with(word))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_the_end_of_one_process_is_that_of_all(role, name, sleeping):
    job, word = sleeping()
    environments = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in processes_with(word)}
    pid = min(pid for pid, lines in environments.items() if f"DMLC_ROLE={role}".encode() in lines)
    os.kill(pid, getattr(signal, name))
    output = job.communicate(timeout=20)[0]
    status = 128 + getattr(signal, name)
    assert output == f"launch: a process failed (a {role}: status {status}); all others are ended\n"
    assert job.returncode == 1 and processes_with(word) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps a port that a scheduler can bind")
def test_jobs_started_at_once_have_ports_of_their_own(tmp_path):
    """None of the schedulers has bound its port yet, and then each binds it as ZeroMQ does; a job's end frees it."""
    wait = "import json, os, sys, time, socket; port = int(os.environ['DMLC_PS_ROOT_PORT']); " + (
        "os.environ['DMLC_ROLE'] == 'scheduler' or time.sleep(99); time.sleep(1); own = socket.socket(); "
        "own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); own.bind(('127.0.0.1', port)); own.listen(1); "
        "open(os.path.join(sys.argv[1], str(port)), 'w').close(); time.sleep(99)"
    )
    command = ["-n", 1, "--", sys.executable, "-c", wait, tmp_path, "dist_sync"]
    jobs = [launch(*command) for _ in range(3)]
    wait_until(lambda: len(os.listdir(tmp_path)) == 3)
    for job in jobs:
        job.terminate()
        job.communicate(timeout=20)
    with socket.socket() as free:
        free.bind(("", min(int(name) for name in os.listdir(tmp_path))))


@pytest.mark.slow
def test_who_ignores_sigterm_is_killed(tmp_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP.replace("os.fork(); ", "")
    job = launch("-n", 1, "--", sys.executable, "-c", stubborn, tmp_path, "dist_sync")
    wait_until(lambda: len(os.listdir(tmp_path)) == 3)
    job.terminate()
    assert job.wait(20) == 128 + signal.SIGTERM and processes_with(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("hosts", "options", "sentence"),
    [
        ("", [], "names no machine"),
        ("-oProxyCommand=touch${IFS}PWN", [], "is no machine"),
        ("a;touch PWN", [], "is no machine"),
        ("a:b", [], "is no machine"),
        ("127.0.0.1", ["--env", "NOT_SET_AT_ALL"], "no such variable"),
        ("127.0.0.1", ["--env", "A=b"], "no name of a variable"),
        ("127.0.0.1", ["--env", "A;touch PWN"], "no name of a variable"),
    ],
)
def test_mistakes(hosts, options, sentence, tmp_path, capsys):
    (tmp_path / "hosts").write_text(hosts)
    assert cli.main(["launch", "-n", "1", "-H", str(tmp_path / "hosts"), *options, "--", "x", "dist_sync"]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--recipe", "{}/recipe.yaml"], ["--output={}", "--resume"]])
def test_the_recipe_may_say_that_they_train_together(words, tmp_path, capsys):
    command = ["launch", "-n", "1", "--dry-run", "--", "python", "train_cifar.py", *(w.format(tmp_path) for w in words)]
    (tmp_path / "recipe.yaml").write_text("base: digits\nkvstore: dist_sync\n")
    assert cli.main(command) == 0 and "worker on this machine" in capsys.readouterr().out
    (tmp_path / "recipe.yaml").write_text("base: digits\n")
    assert cli.main(command) == 2 and "trains each process by itself" in capsys.readouterr().err


def test_a_command_that_is_not_there(tmp_path):
    job = launch("-n", 1, "--", "/no/such/program", "dist_sync")
    output = job.communicate(timeout=20)[0]
    assert job.returncode == 1 and "/no/such/program" in output and "status 127" in output


def test_a_dry_run_says_what_would_start_where(tmp_path, capsys):
    (tmp_path / "hosts").write_text("one\nme@two:22\n")
    words = [
        "launch",
        "--dry-run",
        "-n",
        "1",
        "-H",
        str(tmp_path / "hosts"),
        "--sync-to",
        "~/a b",
        "--",
        "python",
        "a b.py",
    ]
    assert cli.main([*words, "--kvstore", "dist_sync"]) == 0
    scheduler, server, worker = capsys.readouterr().out.splitlines()
    assert scheduler.startswith("scheduler on this machine: ") and scheduler.endswith(
        "python 'a b.py' --kvstore dist_sync"
    )
    assert server.startswith("server on one in ./a b: ") and "DMLC_ROLE=server DMLC_NODE_HOST=one" in server
    assert worker.startswith("worker on me@two in ./a b: ") and "DMLC_NODE_HOST=two" in worker


@pytest.fixture
def sshd(tmp_path, monkeypatch):
    """A real sshd on 127.0.0.1 with keys of its own, and an `ssh` on the PATH that knows them."""
    program = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if not (program and shutil.which("ssh")):
        pytest.skip("needs OpenSSH's server and client: apt install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "own"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "own.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
    }
    (tmp_path / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    log = tmp_path / "sshd.log"
    server = subprocess.Popen([program, "-D", "-E", log, "-f", tmp_path / "sshd_config"])
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    known = tmp_path / "known"
    wrapper.write_text(
        f"#!/bin/sh\nexec {shutil.which('ssh')} -F none -i {shlex.quote(str(tmp_path / 'own'))} "
        f'-o UserKnownHostsFile={shlex.quote(str(known))} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    (tmp_path / "hosts").write_text(f"{getpass.getuser()}@127.0.0.1:{port}\n")
    wait_until(lambda: log.exists() and "listening" in log.read_text())
    yield tmp_path / "hosts"
    server.terminate()
    server.wait()


@pytest.mark.slow
def test_words_arrive_through_a_real_sshd(sshd, tmp_path, monkeypatch):
    value = 'it\'s; touch PWN $(touch PWN)\n"second line"'
    monkeypatch.setenv("SECRET_WORD", value)
    given = check_words(tmp_path, "-H", sshd, "--env", "SECRET_WORD")
    assert [report["environment"].get("SECRET_WORD") for report in given] == [value] * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_no_process_is_left_behind_a_real_sshd(name, sshd, sleeping):
    job, word = sleeping("-H", sshd)
    job.send_signal(getattr(signal, name))
    job.wait(20)
    wait_until(lambda: not processes_with(word))


@pytest.mark.slow
def test_a_folder_is_copied_by_a_real_sshd(sshd, tmp_path):
    if not shutil.which("rsync"):
        pytest.skip("needs rsync: apt install rsync")
    work, there, told = tmp_path / "a b", tmp_path / "it's there", tmp_path / "told"
    work.mkdir()
    told.mkdir()
    (work / "program.py").write_text(REPORT)
    job = launch(
        *["-n", 1, "-H", sshd, "--sync-to", there, "--", sys.executable, "program.py", told, "dist_sync"], cwd=work
    )
    output = job.communicate(timeout=60)[0]
    assert job.returncode == 0, output
    assert sorted(report["folder"] for report in reports(told)) == sorted([str(work), str(there), str(there)])


def test_no_machine_is_told_that_this_one_is_itself(monkeypatch, capsys):
    monkeypatch.delenv("DMLC_PS_ROOT_URI", raising=False)
    monkeypatch.setattr(socket, "gethostbyname", lambda _: "127.0.1.1")
    host = Host("no-such-machine.invalid", None)
    with pytest.raises(GluonAttnError, match="set DMLC_PS_ROOT_URI"):
        _own_address([host])
    assert _own_address([host], dry_run=True) == "UNKNOWN"
    assert "set DMLC_PS_ROOT_URI" in capsys.readouterr().err
