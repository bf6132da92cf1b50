"""How many cores MXNet's operators take on a CPU: OMP_NUM_THREADS, which is read once, when MXNet is imported.

Left alone, MXNet takes half of the logical CPUs, as if each core were two of them. On a machine without hyper-threading
(most cloud machines) that is half of the cores. All of them train an ImageNet network up to twice as fast; a CIFAR
network gains little; beside other programs they lose much, since every operator waits for its last thread. Sums are
split over the threads, so another number of them gives other rounding, and in time another (equally good) network.
"""

from __future__ import annotations

import os
import sys

from gluon_attn.errors import GluonAttnError

VARIABLE = "OMP_NUM_THREADS"
# Of libgomp and MXNet, wherever the number is not left to MXNet. None of them changes a number.
COMPANIONS = {
    # How long an idle thread of libgomp spins. By default that is 0.2 s, in which it keeps the core from the others.
    "GOMP_SPINCOUNT": "2000",
    # Numbers from which a copy takes all threads. The first large one in Python's thread makes a second team of them;
    # with more threads than cores libgomp hardly spins any more, and every operator waits to be woken.
    "MXNET_CPU_PARALLEL_SIZE": str((1 << 31) - 1),
}


def take(count: int) -> None:
    """Let MXNet, which must not be imported yet, use `count` cores; 0: whatever it takes by itself.

    >>> take(0)
    """
    imported = "mxnet" in sys.modules
    if count and os.environ.get(VARIABLE) != str(count):
        if imported:
            raise GluonAttnError(
                f"threads={count} comes too late: MXNet is imported, with {taken()}. Set {VARIABLE}={count} in the "
                "environment before Python starts."
            )
        os.environ[VARIABLE] = str(count)
    if VARIABLE in os.environ and not imported:
        for name, value in COMPANIONS.items():
            os.environ.setdefault(name, value)


def taken() -> int:
    """The number of cores that MXNet's operators take; all, where the variable says 0 or less.

    >>> taken() >= 1
    True
    """
    cores = os.cpu_count() or 1
    try:
        given = int(os.environ.get(VARIABLE, ""))
    except ValueError:
        return max(1, cores // 2)
    return given if given > 0 else cores
