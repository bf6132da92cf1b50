"""What all networks share: stem, stages, head, and named intermediates."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.errors import unknown
from gluon_attn.layers import GlobalAvgPool, batch_norm, relu, sequence


class Classifier(nn.HybridBlock):
    """(N, C, H, W) -> logits (N, classes): BN and ReLU where the blocks are pre-activation, global mean, Dense."""

    def __init__(self, in_channels, classes, normalise=False, **kwargs):
        super().__init__(**kwargs)
        self.norm = sequence(batch_norm(in_channels), relu()) if normalise else None
        self.pool = GlobalAvgPool()
        self.fc = nn.Dense(classes, in_units=in_channels)

    def hybrid_forward(self, F, x):
        return self.fc(self.pool(x if self.norm is None else self.norm(x)))


class Network(nn.HybridBlock):
    """stem -> stage1 ... stageN -> head; input (N, in_channels, H, W) float32, normalised.

    Subclasses set `stem`, `stages` (a HybridSequential of stages) and `head`.
    """

    def hybrid_forward(self, F, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def features_at(self, x, stages=None):
        """The named intermediates of input x: {'stem': ..., 'stage1': ..., ...}, all of them or those in `stages`.

        x may be an NDArray or a Symbol: with a Symbol the result is the graph of a feature extractor.
        """
        names = ["stem"] + [f"stage{i + 1}" for i in range(len(self.stages))]
        wanted = names if stages is None else list(stages)
        for name in wanted:
            if name not in names:
                raise unknown("stage", name, names)
        features = {}
        for name, block in zip(names, [self.stem, *self.stages]):
            x = features[name] = block(x)
            if set(wanted) <= set(features):
                break
        return {name: features[name] for name in wanted}
