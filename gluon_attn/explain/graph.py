"""Networks as graphs: intermediates become outputs and a graph is cut in two, with the network's own parameters.

Nothing is attached to the network, so its plain forward pass costs what it did, and it may be hybridized or not.
"""

from __future__ import annotations

import contextlib
import json
import warnings
import weakref

import mxnet as mx
import numpy as np

from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.models.network import logits_of
from gluon_attn.models.refused import taking

# What an operator that behaves otherwise in training is told so that it does not: {operator: arguments}.
_INFERENCE = {
    "BatchNorm": {"use_global_stats": "True"},
    "_contrib_SyncBatchNorm": {"use_global_stats": "True"},
    "_contrib_BatchNormWithReLU": {"use_global_stats": "True"},
    "Dropout": {"p": "0"},
    "RNN": {"p": "0"},
}


class InferenceGraph(mx.gluon.SymbolBlock):
    """A graph whose values and gradients are those of inference, recorded in either mode.

    On a CPU the backward of oneDNN's max pooling needs what its forward leaves in training mode only: after
    `record(train_mode=False)` it gives any numbers. So a recorded pass runs in training mode here, in which the
    operators that behave otherwise there (`in_inference`) have been told not to.
    """

    def forward(self, x, *args):
        mode = mx.autograd.train_mode() if mx.autograd.is_recording() else contextlib.nullcontext()
        with mode:
            return super().forward(x, *args)


def in_inference(symbol, dtype="float32"):
    """The graph of `symbol` with running statistics and without dropout, whatever the mode it runs in.

    Its max poolings have an input of their own: see `cpu.own`, which would round float64, where oneDNN has no pooling.
    """
    shared = dtype in ("float64", np.float64)
    graph = json.loads(symbol.tojson())
    nodes, place = [], []  # the new ones; the new place of each of the old
    for node in graph["nodes"]:
        node["inputs"] = [[place[source], *rest] for source, *rest in node["inputs"]]
        _tell(node)
        if node["op"] == "Pooling" and not shared and node["attrs"].get("pool_type", "max") == "max":
            own = dict(op="LeakyReLU", attrs=dict(act_type="leaky", slope="1"), inputs=node["inputs"])
            nodes.append(dict(own, name=f"{node['name']}_input"))
            node["inputs"] = [[len(nodes) - 1, 0, 0]]
        place.append(len(nodes))
        nodes.append(node)
    heads = [[place[source], *rest] for source, *rest in graph["heads"]]
    arguments = [place[index] for index in graph["arg_nodes"]]
    return mx.sym.load_json(json.dumps(dict(nodes=nodes, arg_nodes=arguments, heads=heads, attrs=graph["attrs"])))


def _tell(node):
    """Give the operator of a graph the arguments with which training does not change it."""
    attributes = node.setdefault("attrs", {})
    if node["op"] == "Dropout" and attributes.get("mode") == "always":
        return
    attributes.update(_INFERENCE.get(node["op"], {}))
    if attributes.get("act_type") == "rrelu":  # a random slope in training, the mean one in inference
        low, high = float(attributes.get("lower_bound", 0.125)), float(attributes.get("upper_bound", 0.334))
        attributes.update(act_type="leaky", slope=str((low + high) / 2))


def subgraph(net, outputs, inputs):
    """A block that computes the symbol `outputs` from the variables `inputs`; it shares the parameters of `net`."""
    parameters = net.collect_params()
    dtype = next((p.dtype for p in parameters.values()), "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "cannot decide type": the parameters exist and have theirs
        variables = [mx.sym.var(name, dtype=dtype) for name in inputs]
        return InferenceGraph(in_inference(outputs, dtype), variables, params=parameters)


def differentiable(net: mx.gluon.HybridBlock) -> InferenceGraph:
    """A block with the parameters of `net` (x -> what net(x) gives) for gradients of your own, as a saliency.

    Its gradients are those of inference in either mode of `autograd.record`, and it leaves running statistics alone.
    net(x) itself, recorded with train_mode=False, has wrong gradients before a max pooling on a CPU (docs/mxnet.md).
    net : any HybridBlock of one input, of the zoo or not

    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     differentiable(net)(x)[:, 7].sum().backward()
    """
    outputs = net(mx.sym.var("data"))
    return subgraph(net, mx.sym.Group(outputs) if isinstance(outputs, (list, tuple)) else outputs, ["data"])


def replace_by_variable(symbol, name, variable):
    """The graph of `symbol` in which the result of operator `name` is an input called `variable`."""
    graph = json.loads(symbol.tojson())
    matches = [i for i, node in enumerate(graph["nodes"]) if node["name"] == name]
    if len(matches) != 1:
        raise GluonAttnError(f"The operator {name!r} occurs {len(matches)} times in the graph: it cannot be cut there.")
    graph["nodes"][matches[0]] = {"op": "null", "name": variable, "inputs": []}
    return mx.sym.load_json(json.dumps(graph))


def stage_names(net):
    """The names that `stage=` may take, in order."""
    if not hasattr(net, "features_at"):
        raise GluonAttnError(
            f"{type(net).__name__} has no features_at(x) that names its stages: take a network of "
            "gluon_attn.list_models(), or add the method."
        )
    return list(net.features_at(mx.sym.var("data")))


def stage_name(net, stage):
    """`stage` as a name: an index (-1 is the last stage) or a name of `stage_names(net)`."""
    names = stage_names(net)
    if isinstance(stage, str):
        if stage not in names:
            raise unknown("stage", stage, names)
        return stage
    if not -len(names) <= stage < len(names):
        raise GluonAttnError(
            f"stage={stage} does not exist: the stages are {', '.join(names)} (0 to {len(names) - 1})."
        )
    return names[stage]


class SinglePlace(GluonAttnError):
    """A stage whose output is a vector, of which no map can be made."""


class Cut:
    """A network in two parts at the output of one stage: `features(x)`, then `logits(features, x)`."""

    def __init__(self, net, stage=-1):
        self.stage = stage_name(net, stage)
        at = net.features_at(mx.sym.var("data"), [self.stage])[self.stage]
        self._first = subgraph(net, at, ["data"])
        rest = replace_by_variable(logits_of(net, net(mx.sym.var("data"))), at.name, "features")
        # What follows may also read the image or an earlier stage (skip connections over the cut).
        self._rest_inputs = ["features"] + (["data"] if "data" in rest.list_arguments() else [])
        self._second = subgraph(net, rest, self._rest_inputs)

    def features(self, x):
        """(N, C, h, w)."""
        with taking(x):
            features = self._first(x)
        if features.shape[2:] == (1, 1) != x.shape[2:]:
            raise SinglePlace(
                f"{self.stage} has a single place for an input of {x.shape[2]}x{x.shape[3]}, so it says nothing about "
                "places: choose an earlier one (stage=-2), or a larger input."
            )
        return features

    def logits(self, features, x):
        """(N, classes)."""
        with taking(x):
            return self._second(features, x) if "data" in self._rest_inputs else self._second(features)


def cut_at(net, x, stage=-1):
    """(Cut, its features of x); -1 means the last stage that has places for such an x."""
    index = stage
    while True:
        cut = built_once(Cut, net, index)
        try:
            return cut, cut.features(x)
        except SinglePlace:
            if stage != -1 or cut.stage == "stem":
                raise
            index -= 1


_BUILT = weakref.WeakKeyDictionary()


def built_once(build, net, *key):
    """build(net, *key), kept as long as the network lives and keeps its parameters."""
    parameters = [id(p) for p in net.collect_params().values()]
    known = _BUILT.setdefault(net, {})
    label = (build, *key)
    if label not in known or known[label][0] != parameters:
        known[label] = (parameters, build(net, *key))
    return known[label][1]
