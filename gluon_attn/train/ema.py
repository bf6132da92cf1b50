"""A moving average of the weights (Polyak & Juditsky, 1992), kept on the devices and evaluated in their place."""

from __future__ import annotations


class MovingAverage:
    """average <- d * average + (1 - d) * weight after update t, d = min(decay, (1 + t) / (10 + t)).

    The smaller d of the first updates forgets the random start. Running statistics are averaged like weights.
    """

    def __init__(self, net, twin, decay):
        """``twin``: a second network of the same build on the same devices; it becomes the average."""
        self.net, self.decay = twin, decay
        pairs = zip(net.collect_params().values(), twin.collect_params().values())
        self.pairs = [(a, w) for weight, average in pairs for a, w in zip(average.list_data(), weight.list_data())]
        for average, weight in self.pairs:
            average[:] = weight

    def update(self, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, weight in self.pairs:
            average *= decay
            average += (1 - decay) * weight
