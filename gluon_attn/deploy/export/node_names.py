"""Names for the nodes of an ONNX model: converters, and what folds BatchNorm, leave convolutions without one."""

from __future__ import annotations


def name_nodes(graph):
    """Give each node a name of its own: that of its first output where it has none, or another node's."""
    taken = set()
    for node in graph.node:
        node.name = node.name if node.name and node.name not in taken else node.output[0]
        taken.add(node.name)
