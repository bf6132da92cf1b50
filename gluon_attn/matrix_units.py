"""AMX, the matrix units of Intel's server CPUs since 2023: whether MXNet takes them to train in bfloat16.

MXNet 1.9.1 holds oneDNN 2.4.4, whose kernels for them stay off unless DNNL_MAX_CPU_ISA, read once, before the first
kernel, names them. It is a maximum: a CPU without them is not hurt. Nor does that version ask Linux for the tile
registers, without which the first such kernel is an illegal instruction. The permission is one of the whole process,
a fork has it, a program that is started has not: it asks anew. So Linux is asked first, and the variable is set after.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from typing import FrozenSet, Optional

from gluon_attn.errors import GluonAttnError

VARIABLE, ISA = "DNNL_MAX_CPU_ISA", "AVX512_CORE_AMX"
NEEDED = ("amx_tile", "amx_bf16")  # of the CPU's flags
GROUP = 32  # channels a group: 32 and 64 have AMX kernels, forward and backward, 16 have none
CPUINFO = "/proc/cpuinfo"
_REQUEST = (158, 0x1023, 18)  # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) of x86-64
_UNSET = f"Unset {VARIABLE}."


@dataclass(frozen=True)
class Answer:
    """Whether AMX is taken, half a sentence for the log, and whether the variable was set for it here."""

    taken: bool
    words: str
    set_here: bool = False


_asked: Optional[str] = None  # what `amx` was when the answer was found
_answer: Optional[Answer] = None


def take(dtype: str, amx: str = "auto") -> None:
    """Let MXNet, which must not be imported yet, train in bfloat16 on the matrix units; nothing for another dtype.

    Where that cannot be the training goes on without, and `words` says why. GluonAttnError for what can no longer be
    undone, and for a variable of the user's that would end in an illegal instruction.

    amx : 'auto', where there are any; 'off'

    >>> take("float32")
    """
    global _asked, _answer
    if dtype != "bfloat16" or (_answer is not None and _asked == amx):
        return
    if taken():
        raise GluonAttnError("--amx off comes too late: this process has trained with AMX. Start it in one of its own.")
    _asked, _answer = amx, _found(amx)


def taken() -> bool:
    """Whether this process trains on the matrix units.

    >>> taken()
    False
    """
    return _answer is not None and _answer.taken


def words() -> str:
    """'with AMX ...' or 'without AMX ...' and why; '' where bfloat16 was not asked for.

    >>> words()
    ''
    """
    return "" if _answer is None else _answer.words


def settle() -> None:
    """Take the variable back: oneDNN has read it, and programs that this process starts have no permission.

    To be called once something was trained.

    >>> settle()
    """
    if _answer is not None and _answer.set_here:
        os.environ.pop(VARIABLE, None)


def _found(amx):
    lacking, own = missing(), os.environ.get(VARIABLE)
    if amx == "off":
        if own == ISA and not lacking:
            raise GluonAttnError(f"--amx off, but {VARIABLE}={ISA} is set. {_UNSET}")
        return Answer(False, "without AMX (--amx off)")
    if lacking:
        return Answer(False, f"without AMX: {lacking}")
    if own not in (None, ISA):
        return Answer(False, f"without AMX: {VARIABLE}={own} is set")
    if own is None and _mxnet_is_imported():
        return Answer(
            False,
            "without AMX: too late, MXNet was imported before (`gluon-attn train` asks in time; in a notebook, "
            "`from gluon_attn import matrix_units; matrix_units.take('bfloat16')` before anything imports MXNet)",
        )
    refused = request()
    if refused and own == ISA:
        raise GluonAttnError(f"{VARIABLE}={ISA} is set, but Linux does not grant AMX ({refused}). {_UNSET}")
    if refused:
        return Answer(False, f"without AMX: Linux does not grant it ({refused})")
    os.environ[VARIABLE] = ISA
    here = own is None
    return Answer(True, f"with AMX: Linux grants it, and {VARIABLE}={ISA} {'is' if here else 'was'} set", here)


def _mxnet_is_imported():
    """Whether oneDNN may have read the variable: before its first kernel it has not, but nobody knows of that."""
    return "mxnet" in sys.modules


def present() -> bool:
    """Whether this CPU has them, whatever MXNet makes of it.

    >>> present() in (True, False)
    True
    """
    return (cpu_flags() or frozenset()) >= frozenset(NEEDED)


def missing() -> str:
    """What this machine lacks for AMX in MXNet, as half a sentence; '' where only Linux is left to be asked.

    >>> isinstance(missing(), str)
    True
    """
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 1 << 32:
        return "it is for Linux on x86-64"
    known = cpu_flags()
    if known is None:
        return f"{CPUINFO} cannot be read"
    if not known.issuperset(NEEDED):
        return "this CPU has none"
    if os.environ.get("MXNET_MKLDNN_ENABLED") == "0":
        return "oneDNN is switched off (MXNET_MKLDNN_ENABLED=0)"
    return ""


def cpu_flags() -> Optional[FrozenSet[str]]:
    """What Linux calls the abilities of this CPU; None where the system does not say.

    >>> isinstance(cpu_flags() or frozenset(), frozenset)
    True
    """
    try:
        with open(CPUINFO, encoding="utf-8", errors="replace") as stream:
            line = next((line for line in stream if line.startswith("flags")), "")
    except OSError:
        return None
    return frozenset(line.partition(":")[2].split())


def request() -> str:
    """Ask Linux for the tile registers, for this process and what it forks; '' if granted, else what Linux says.

    >>> missing() != "" or isinstance(request(), str)
    True
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        ctypes.set_errno(0)
        if libc.syscall(*map(ctypes.c_long, _REQUEST)) == 0:
            return ""
    except (OSError, AttributeError) as error:
        return str(error)
    return os.strerror(ctypes.get_errno())


def usable() -> str:
    """'usable', or why AMX is not, as `gluon-attn env` shows it.

    >>> usable().startswith(("usable", "not usable"))
    True
    """
    reason = missing() or request()
    return f"not usable: {reason}" if reason else "usable by --dtype bfloat16"
