"""What all networks share: stem, stages, head, named intermediates, and what a mechanism gives besides logits."""

from __future__ import annotations

import warnings

from mxnet.gluon import nn

from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import GlobalAvgPool, batch_norm, relu, sequence


class Classifier(nn.HybridBlock):
    """(N, C, H, W) -> logits (N, classes): BN and ReLU where the blocks are pre-activation, global mean, Dense.

    normalise : whether; or the arguments of that BatchNorm.
    """

    def __init__(self, in_channels, classes, normalise=False, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        norm = normalise if isinstance(normalise, dict) else {}
        self.norm = sequence(batch_norm(in_channels, **norm), relu()) if normalise else None
        self.pool = GlobalAvgPool()
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.fc = nn.Dense(classes, in_units=in_channels)

    def hybrid_forward(self, F, x):
        x = self.pool(x if self.norm is None else self.norm(x))
        return self.fc(x if self.dropout is None else self.dropout(x))


class Network(nn.HybridBlock):
    """stem -> stage1 ... stageN -> head; input (N, in_channels, H, W) float32, normalised.

    Subclasses set `stem`, `stages` (a HybridSequential of stages) and `head`. A head that is more than a classifier
    also sets (models/heads.py)

    branch : a block before the last stage: x -> (x for the last stage, *what it calls by the names in `branch.gives`)
    reads : names of the intermediates that the head takes; by default the last stage
    gives : names of everything that the network gives with outputs='all', 'logits' among them, in order
    trained : names of those that each get a cross-entropy in training (gluon_attn/losses.py)
    """

    branch = None
    reads = ()
    gives = ("logits",)
    trained = ("logits",)
    outputs = "logits"

    def choose_outputs(self, outputs):
        """'logits' (N, classes), or 'all': the tuple of everything that `gives` names."""
        if outputs not in ("logits", "all"):
            raise unknown("outputs", outputs, ("logits", "all"))
        if outputs == "all" and self.gives == ("logits",):
            raise GluonAttnError(
                "outputs='all': this network gives nothing but logits; its features are in features_at(x), and "
                "head='abn' gives attention maps."
            )
        self.outputs = outputs

    def hybrid_forward(self, F, x):
        return self.give(x, self.gives) if self.outputs == "all" else self.give(x, ("logits",))[0]

    def give(self, x, names):
        """The tuple of those outputs, of the ones in `gives`, whatever `outputs` says."""
        values = dict(self._walk(x))
        reads = self.reads or (f"stage{len(self.stages)}",)
        results = self.head(*[values[name] for name in reads])
        results = results if isinstance(results, (list, tuple)) else (results,)
        values.update(zip(getattr(self.head, "gives", ("logits",)), results))
        return tuple(values[name] for name in names)

    def _build_cache(self, *args):
        # Logits alone do not need the whole branch, and Gluon warns of parameters that a graph leaves out.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Parameter .* is not used by any computation")
            super()._build_cache(*args)

    def _walk(self, x):
        """(name, value) of the intermediates, in the order in which they are computed."""
        x = self.stem(x)
        yield "stem", x
        for number, stage in enumerate(self.stages, start=1):
            if self.branch is not None and number == len(self.stages):
                x, *given = self.branch(x)
                yield from zip(self.branch.gives, given)
            x = stage(x)
            yield f"stage{number}", x

    def features_at(self, x, stages=None):
        """The named intermediates of input x: {'stem': ..., 'stage1': ..., ...}, all of them or those in `stages`.

        What a branch gives has a name too (ABN: 'attention_logits', 'map'), but is there only where it is asked for.
        x may be an NDArray or a Symbol: with a Symbol the result is the graph of a feature extractor.
        """
        names = ["stem"] + [f"stage{i + 1}" for i in range(len(self.stages))]
        wanted = names if stages is None else list(stages)
        known = names if self.branch is None else [*names, *self.branch.gives]
        for name in wanted:
            if name not in known:
                raise unknown("stage", name, known)
        features = {}
        for name, value in self._walk(x):
            features[name] = value
            if set(wanted) <= set(features):
                break
        return {name: features[name] for name in wanted}
