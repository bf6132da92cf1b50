"""One training, killed with SIGKILL at random moments and resumed until it is done; prints how often it was killed.

This process imports everything once and forks one child an attempt: MXNet starts its threads in the child only.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time

import gluon_attn.train.loop  # noqa: F401  (imported here, once)
from tests.train.tiny import tiny


def attempt(folder, after):
    """Run in a child until it ends or `after` seconds have passed; returns whether it was killed."""
    child = os.fork()
    if not child:
        from gluon_attn.train import fit

        fit(tiny(folder, **CHANGES), progress=False)
        os._exit(0)
    timer = threading.Timer(after, os.kill, (child, signal.SIGKILL)) if after else None
    if timer:
        timer.start()
    _, status = os.waitpid(child, 0)
    if timer:
        timer.cancel()
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit("the training failed")
    return os.WIFSIGNALED(status)


CHANGES = dict(resume="auto", checkpoint_steps=1, epochs=6, eval_batch_size=10, mixup=0.5, ema=0.5, label_smoothing=0.1)


def main(folder, kills):
    draw, killed, begun = random.Random(time.time_ns()), 0, time.time()
    while killed < kills and attempt(folder, draw.uniform(0.25, 0.8)):
        killed += 1
        assert time.time() - begun < 120, "no progress between kills"
    attempt(folder, None)
    print(killed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
