"""`python -m tests.write_golden` writes what every name of the zoo must come out as; its diff is for reading.

With `--new` it counts only the names that the file does not have, and drops those that are gone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mxnet as mx

import gluon_attn
from gluon_attn import zoo
from gluon_attn.catalogue.names import is_own
from gluon_attn.complexity import complexity

GOLDEN = Path(__file__).with_name("zoo_golden.json")


def describe(name):
    """Parameters, MACs and the output's shape for a batch of two, all from shapes."""
    spec = zoo.find(name)
    net = gluon_attn.get_model(name)
    cost = complexity(net, spec.input_size)
    _, outs, _ = net(mx.sym.Variable("data")).infer_shape(data=(2, 3, spec.input_size, spec.input_size))
    return {"parameters": cost.parameters, "macs": cost.macs, "output": list(outs[0])}


def main(words):
    known = json.loads(GOLDEN.read_text()) if "--new" in words else {}
    rows = {name: known[name] if name in known else describe(name) for name in filter(is_own, gluon_attn.list_models())}
    lines = [f'"{name}": {json.dumps(row)}' for name, row in rows.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
