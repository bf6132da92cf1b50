"""Names for the nodes of an ONNX model: converters, and what folds BatchNorm, leave convolutions without one."""

from __future__ import annotations


def name_nodes(graph):
    """Give each node a name of its own: that of its first output where it has none, or another node's."""
    given, taken = {node.name for node in graph.node}, set()
    for node in graph.node:
        if not node.name or node.name in taken:
            node.name = node.output[0]
            while node.name in given | taken:
                node.name += "_"
        taken.add(node.name)
