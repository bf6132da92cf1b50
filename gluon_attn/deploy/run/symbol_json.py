"""MXNet's graph file (`net-symbol.json`) read without MXNet: a list of operators, each after those that it takes."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Dict, List, Tuple

from gluon_attn.errors import GluonAttnError

VARIABLE = "null"  # the operator of inputs and parameters
# Where and how fast an operator runs, or what its inputs' shapes say anyway.
_NO_MEANING = ("workspace", "cudnn_tune", "cudnn_off", "num_args", "num_filter", "ctx", "is_int")


@dataclass(frozen=True)
class Node:
    """One operator; `inputs` are (index of a node, which of its outputs)."""

    name: str
    operator: str
    attributes: Dict[str, object]  # as Python values, without those that change no value
    notes: Dict[str, object]  # __shape__, __grad_req__, ...: what is said about a variable
    inputs: Tuple[Tuple[int, int], ...]

    @property
    def is_variable(self) -> bool:
        return self.operator == VARIABLE


@dataclass(frozen=True)
class Graph:
    """`nodes` in an order of computation, `outputs` as (index of a node, which of its outputs)."""

    nodes: List[Node]
    outputs: List[Tuple[int, int]]

    def takers(self) -> Dict[int, list]:
        """{index of a node: [(node that takes it, at which place), ...]}."""
        taken = {}
        for node in self.nodes:
            for place, (source, _) in enumerate(node.inputs):
                taken.setdefault(source, []).append((node, place))
        return taken


def read_graph(text: str, where: str = "the graph") -> Graph:
    """The Graph in the text of a symbol file of any MXNet from 0.9 on; `where` is named in errors."""
    try:
        raw = json.loads(text)
        graph = Graph([_node(raw_node) for raw_node in raw["nodes"]], [_entry(head) for head in raw["heads"]])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as problem:
        raise GluonAttnError(
            f"{where} is no MXNet graph ({type(problem).__name__}: {str(problem)[:200]}): give a -symbol.json file, as "
            "net.export() or `gluon-attn export --format symbol` writes it."
        ) from None
    for index, node in enumerate(graph.nodes):
        if any(not 0 <= source < index for source, _ in node.inputs):
            raise GluonAttnError(f"{where} is damaged: the operator {node.name!r} takes what comes after it.")
    if not graph.outputs or any(not 0 <= source < len(graph.nodes) for source, _ in graph.outputs):
        raise GluonAttnError(f"{where} is damaged: it gives nothing that it computes.")
    return graph


def write_graph(graph: Graph) -> str:
    """The Graph as a symbol file, which MXNet reads, too."""
    nodes = [
        {
            "op": node.operator,
            "name": node.name,
            "attrs": {key: str(value) for key, value in {**node.attributes, **node.notes}.items()},
            "inputs": [[source, output, 0] for source, output in node.inputs],
        }
        for node in graph.nodes
    ]
    variables = [index for index, node in enumerate(graph.nodes) if node.is_variable]
    return json.dumps({"nodes": nodes, "arg_nodes": variables, "heads": [[*head, 0] for head in graph.outputs]})


def _node(raw):
    # MXNet 1.x writes `attrs`, 0.9 to 0.12 `attr`, and older ones `param`.
    given = {**raw.get("param", {}), **raw.get("attr", {}), **raw.get("attrs", {})}
    values = {key: _value(value) for key, value in given.items()}
    notes = {key: value for key, value in values.items() if key.startswith("__")}
    attributes = {key: value for key, value in values.items() if key not in notes and key not in _NO_MEANING}
    inputs = tuple(_entry(entry) for entry in raw["inputs"])
    return Node(str(raw["name"]), str(raw["op"]), {} if raw["op"] == VARIABLE else attributes, notes, inputs)


def _entry(raw):
    return int(raw[0]), int(raw[1])


def _value(text):
    """'(3, 3)', 'True', '1e-05', 'None' and 'relu' as what they mean; Python 2 wrote '(3L, 3L)'."""
    if not isinstance(text, str):
        return text
    try:
        return ast.literal_eval(re.sub(r"(\d)L\b", r"\1", text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
