"""What all networks share: stem, stages, head, named intermediates, and what a mechanism gives besides logits."""

from __future__ import annotations

import warnings
from typing import Any, Optional, Tuple

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn import cpu, mixed_precision
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import GlobalAvgPool, norm_relu, sequence
from gluon_attn.models.output import features_of, output_of, put_features, put_output
from gluon_attn.models.refused import refuse


def output_names(net: Any) -> Optional[Tuple[str, ...]]:
    """What a call of the network gives, by name and in order; None of a block that does not say it.

    >>> output_names(gluon_attn.get_model("abn_resnet50", outputs="all"))
    ('attention_logits', 'logits', 'map')
    """
    if isinstance(net, FeatureNetwork):
        return net.names
    gives = getattr(net, "gives", None)
    return gives if gives is None or net.outputs == "all" else ("logits",)


def logits_of(net: Any, outputs: Any) -> Any:
    """The class scores among the `outputs` of the network: those that it calls logits, or the only ones.

    >>> logits_of(net, net(x)).argmax(axis=1)
    """
    names, several = output_names(net), isinstance(outputs, (list, tuple))
    if names is None:
        if several and len(outputs) > 1:
            raise GluonAttnError(
                f"{_kind(net)} gives {len(outputs)} outputs and does not say which are the logits: name them in "
                "its attributes `gives` (a tuple of names, 'logits' among them) and `outputs` ('all')."
            )
        return outputs[0] if several else outputs
    if "logits" not in names:
        raise GluonAttnError(f"{_kind(net)} gives {', '.join(names)}, and no logits: there are no classes to choose.")
    return outputs[names.index("logits")] if several else outputs


def _kind(net):
    return type(net).__name__


class Classifier(nn.HybridBlock):
    """(N, C, H, W) -> logits (N, classes): BN and ReLU where the blocks are pre-activation, global mean, Dense.

    normalise : whether; or the arguments of that BatchNorm.
    """

    def __init__(self, in_channels, classes, normalise=False, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.norm = norm_relu(in_channels, normalise) if normalise else None
        self.pool = GlobalAvgPool()
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.fc = nn.Dense(classes, in_units=in_channels)

    def hybrid_forward(self, F, x):
        x = self.pool(x if self.norm is None else self.norm(x))
        return self.fc(x if self.dropout is None else self.dropout(x))


_ASSIGNED = {"output": put_output, "features": put_features}


class Network(nn.HybridBlock):
    """stem -> stage1 ... stageN -> head; input (N, in_channels, H, W) float32, normalised.

    Subclasses set `stem` and `stages` (a HybridSequential of stages), and `take` a head (models/heads.py), which says

    branch : a block before the last stage: x -> (x for the last stage, *what it calls by the names in `branch.gives`)
    reads : names of the stages that the head takes; by default the last one
    gives : names of everything that the network gives with outputs='all', 'logits' among them, in order; the head
        returns those that are not the branch's
    trained : names of those that each get a cross-entropy in training (gluon_attn/losses.py)
    losses : {name: weight} of those that are losses themselves, one value an image
    frames : more than 1 for clips (N, frames, in_channels, H, W), whose images pass the stages one by one
    output_at : path within the head of the layer that makes the logits; '' where no single one does

    classes : how many logits there are, where that is known (weights/adapt.py); None without a head

    `net.output` is that layer and `net.features(x)` what it takes; both can be assigned (models/output.py).
    """

    branch = None
    reads = ()
    gives = ("logits",)
    trained = ("logits",)
    losses = {}
    outputs = "logits"
    frames = 1
    output_at = ""
    classes = None

    output = property(output_of)
    features = property(features_of)

    def __setattr__(self, name, value):
        if name in _ASSIGNED:  # of which Gluon would make a child
            _ASSIGNED[name](self, value)
        else:
            super().__setattr__(name, value)

    def take(self, head):
        """Give the network, whose stem and stages stand, its head (models.heads.Head)."""
        if head.branch is not None:
            self.branch = head.branch
        self.head, self.reads, self.gives = head.block, head.reads, head.gives
        self.trained, self.losses, self.frames = head.trained, dict(head.losses), head.frames
        self.output_at = head.output

    def choose_outputs(self, outputs):
        """'logits' (N, classes), or 'all': the tuple of everything that `gives` names."""
        if outputs not in ("logits", "all"):
            raise unknown("outputs", outputs, ("logits", "all"))
        if outputs == "all" and self.gives == ("logits",):
            raise GluonAttnError(
                "outputs='all': this network gives nothing but logits. Its features are in features_at(x); head='abn', "
                "'ltpa' and 'pyramid' give their maps besides."
            )
        self.outputs = outputs

    def forward(self, x, *args):
        if mx.autograd.is_recording():
            self._refuse_to_differentiate()
        try:
            return super().forward(x, *args)
        except mx.MXNetError as problem:
            refuse(self, x, problem)
            raise

    def hybrid_forward(self, F, x):
        return self.give(x, self.gives) if self.outputs == "all" else self.give(x, ("logits",))[0]

    def give(self, x, names):
        """The tuple of those outputs, of the ones in `gives`, whatever `outputs` says."""
        with cpu.within(self):
            values = dict(self._walk(x))
        return tuple(values[name] for name in names)

    def _refuse_to_differentiate(self):
        if cpu.runs_forward() or (self._active and self._cached_op is not None and self._runs_forward):
            raise GluonAttnError(
                "This network is traced within inference_graphs('forward'), in words whose gradients are wrong. To "
                "train it, or to explain it by gradients, leave that `with` and call net.hybridize() again."
            )

    def _build_cache(self, *args):
        self._runs_forward = cpu.runs_forward()
        # Logits alone do not need the whole branch, and Gluon warns of parameters that a graph leaves out.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Parameter .* is not used by any computation")
            super()._build_cache(*args)

    def _walk(self, x):
        """(name, value) of the intermediates and of what the network gives, in the order of computation."""
        last = f"stage{len(self.stages)}"
        reads = self.reads or (last,)
        values = {}
        x = self.stem(x if self.frames == 1 else x.reshape((-3, 0, 0, 0)))
        yield "stem", x
        x = mixed_precision.after_picture(x)
        for number, stage in enumerate(self.stages, start=1):
            if self.branch is not None and f"stage{number}" == last:
                x, *given = self.branch(x)
                yield from zip(self.branch.gives, given)
            x = values[f"stage{number}"] = stage(x)
            yield f"stage{number}", x
        results = self.head(*[values[name] for name in reads])
        by_branch = () if self.branch is None else self.branch.gives
        names = [name for name in self.gives if name not in by_branch]
        yield from zip(names, results if isinstance(results, (list, tuple)) else (results,))

    def features_at(self, x, stages=None):
        """The named intermediates of input x: {'stem': ..., 'stage1': ..., ...}, all of them or those in `stages`.

        What `gives` names can be asked for, too (ABN: 'map').
        x may be an NDArray or a Symbol: with a Symbol the result is the graph of a feature extractor.
        """
        names = ["stem"] + [f"stage{i + 1}" for i in range(len(self.stages))]
        wanted = names if stages is None else list(stages)
        for name in wanted:
            if name not in (*names, *self.gives):
                raise unknown("stage", name, (*names, *self.gives))
        features = {}
        with cpu.within(self):
            for name, value in self._walk(x):
                features[name] = value
                if set(wanted) <= set(features):
                    break
        return {name: features[name] for name in wanted}


class FeatureNetwork(Network):
    """A network without its head: (N, in_channels, H, W) -> [output of a stage, ...], a backbone for GluonCV.

    stages : names ('stem', 'stage1', ...), in the order wanted, or one; by default all stages without the stem

    The parameters are those of the network, under the same paths; stages behind the last one wanted are left out.
    """

    def __init__(self, net, stages=None, **kwargs):
        super().__init__(**kwargs)
        every = [f"stage{i + 1}" for i in range(len(net.stages))]
        self.names = (stages,) if isinstance(stages, str) else tuple(every if stages is None else stages)
        for name in self.names:
            if name not in ("stem", *every):
                raise unknown("stage", name, ("stem", *every))
            if self.names.count(name) > 1:
                raise GluonAttnError(f"features={self.names!r}: {name} stands twice. Name each stage once.")
        deepest = max((every.index(name) + 1 for name in self.names if name != "stem"), default=0)
        self.stem, self.stages = net.stem, sequence(*[net.stages[i] for i in range(deepest)])
        self.branch = net.branch if deepest == len(net.stages) else None
        self.gives, self.frames = () if self.branch is None else self.branch.gives, net.frames
        if hasattr(net, "card"):
            self.card = net.card

    def hybrid_forward(self, F, x):
        return list(self.features_at(x, self.names).values())
