"""`python -m tests.deploy.run.gluoncv_operators FILE`: of what GluonCV's names are made, in minutes.

{name: [[operator, attributes], ...], or the error, where it has no graph}. Needs MXNet and GluonCV, not PyTorch.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

_ASK_FOR_CLASSES = ("custom", "faster", "ssd", "yolo")


def main(path, *names):
    import gluon_attn  # its names are in GluonCV's list, too

    warnings.simplefilter("ignore")
    from gluoncv.model_zoo import get_model_list

    _without_weights()
    ours = {name.lower() for name in gluon_attn.list_models()}
    names = names or sorted(name for name in get_model_list() if name not in ours)
    Path(path).write_text(json.dumps({name: _described(name) for name in names}, indent=0))


def _without_weights():
    """Some names ask for those of a backbone whatever is said; in this process nothing is fetched, nothing is read."""
    from mxnet import gluon

    for module in list(sys.modules.values()):
        if hasattr(module, "get_model_file"):
            module.get_model_file = lambda *args, **kwargs: None
    gluon.Block.load_parameters = gluon.ParameterDict.reset_ctx = lambda *args, **kwargs: None


def _described(name):
    import mxnet as mx

    from gluon_attn.deploy.export.named_graph import _flat, _traced
    from gluon_attn.deploy.run.symbol_json import read_graph

    try:
        net = _made(name)
        outputs = list(_flat(_traced(net, None)))
    except Exception as problem:  # GluonCV's own, of many kinds
        return f"{type(problem).__name__}: {problem}"[:500]
    nodes = read_graph(mx.sym.Group(outputs).tojson()).nodes
    kinds = {(node.operator, repr(node.attributes)) for node in nodes if not node.is_variable}
    return sorted(kinds)


def _made(name):
    from gluoncv.model_zoo import get_model

    classes = {"classes": ["cat", "dog"]} if "custom" in name and name.startswith(_ASK_FOR_CLASSES) else {}
    try:
        return get_model(name, pretrained=False, pretrained_base=False, **classes)
    except (TypeError, Warning):  # Darknet raises a Warning
        return get_model(name, pretrained=False, **classes)


if __name__ == "__main__":
    main(*sys.argv[1:])
