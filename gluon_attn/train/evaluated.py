"""The network that is evaluated and stored: a second one, holding a copy of the weights or their moving average."""

from __future__ import annotations

from gluon_attn.train.build import average_running_statistics


class Evaluated:
    """``net`` holds, after ``settle``, the weights of the trained network; with ``decay``, their moving average:

    average <- d * average + (1 - d) * weight after update t, d = min(decay, (1 + t) / (10 + t))

    (Polyak & Juditsky, 1992; the smaller d of the first updates forgets the random start). Running statistics count as
    weights.

    The trained network itself never runs in inference mode: oneDNN then changes the memory layout of its weights, in
    the background, and the next updates differ in their last bits from one run to the other.
    """

    def __init__(self, trained, net, decay=0.0):
        """``net``: a second network of the same build on the same devices."""
        self.net, self.decay = net, decay
        pairs = zip(net.collect_params().values(), trained.collect_params().values())
        self.pairs = [(a, w) for ours, theirs in pairs for a, w in zip(ours.list_data(), theirs.list_data())]
        self._copy()

    def update(self, step):
        """To be called after update number ``step``."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            for average, weight in self.pairs:
                average *= decay
                average += (1 - decay) * weight

    def settle(self):
        """Make ``net`` ready to be evaluated, with the same running statistics on every device."""
        if not self.decay:
            self._copy()
        average_running_statistics(self.net)

    def _copy(self):
        for copy, weight in self.pairs:
            copy[:] = weight
