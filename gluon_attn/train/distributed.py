"""What the workers of a distributed run tell each other besides gradients."""

from __future__ import annotations

import mxnet as mx


class SumOverWorkers:
    """``total = over_workers(mine)``: called by all workers at the same point of the run; waits for them."""

    def __init__(self, store, key):
        """``store``: a dist_sync parameter server, or None where there is one worker; ``key``: a number of its own."""
        self.store, self.key = store, key
        if store:
            store.init(key, mx.nd.zeros(1))

    def __call__(self, mine):
        if not self.store:
            return mine
        total = mx.nd.array([mine])
        self.store.push(self.key, total)
        self.store.pull(self.key, out=total)
        return float(total.asscalar())
