"""MXNet's symbol files, PREFIX-symbol.json and PREFIX-0000.params, opened so that a damaged one costs a sentence.

MXNet's own reader follows every index in the graph without a look, and divides by strides of zero: what it is given is
looked through first. The weights are read by our own reader, and must be those that the graph names, in its shapes.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import mxnet as mx
import numpy as np

from gluon_attn.errors import GluonAttnError
from gluon_attn.weights.card import Card
from gluon_attn.weights.files import read_arrays, read_file

INPUT = "data"  # what MXNet's own tools expect
_LARGEST_GRAPH = 64 << 20  # bytes; ours have a hundredth of it
_MOST_NUMBERS = 1 << 29  # in the output of one layer, for one image
_AT_LEAST_ONE = ("kernel", "stride", "dilate", "num_filter", "num_group", "num_hidden", "scale", "num_outputs", "reps")
_LARGEST_NUMBER = 1 << 20


def load_symbol(path):
    """(SymbolBlock, metadata) of PREFIX-symbol.json and the files beside it."""
    prefix = str(path)[: -len("-symbol.json")]
    for suffix in ("-symbol.json", "-0000.params"):
        if not Path(prefix + suffix).is_file():
            raise GluonAttnError(
                f"There is no file {prefix + suffix!r}: `gluon-attn export --format symbol` writes both."
            )
    where, parameters = f"{prefix}-symbol.json", f"{prefix}-0000.params"
    arrays = read_arrays(read_file(parameters), parameters)
    _demand_finite(arrays, parameters)
    card = Path(f"{prefix}-card.json")
    metadata = Card.read(card).to_metadata() if card.is_file() else {}
    try:
        symbol = mx.sym.load_json(_checked(where))
        block = mx.gluon.SymbolBlock(symbol, [mx.sym.var(INPUT)])
        _demand_weights(symbol, block, arrays, where, parameters)
        sides = (json.loads(metadata["input_size"]),) if "input_size" in metadata else (224, 32)
        _demand_size(symbol, arrays, sides, where)
        for name, parameter in block.collect_params().items():
            array = mx.nd.array(arrays[name], dtype=arrays[name].dtype)
            parameter._load_init(array, mx.cpu(), cast_dtype=True, dtype_source="saved")
    except (mx.MXNetError, AssertionError, TypeError, ValueError, AttributeError, KeyError) as problem:
        if isinstance(problem, GluonAttnError):
            raise
        reason = next((line for line in str(problem).splitlines() if line.strip() and "Stack trace" not in line), "")
        raise _damaged(where, f"MXNet says: {reason.strip()[:200]}") from None
    return block, metadata


def output_shapes(symbol, shapes):
    """The shapes of the outputs, of its inputs'; None where not all are known, an MXNetError where they disagree.

    `infer_shape` would print all that it was given to stdout before it raises, and answers may be there.
    """
    found = symbol.infer_shape_partial(**shapes)[1]
    return found if all(shape and all(shape) for shape in found) else None


def _damaged(where, what):
    return GluonAttnError(f"{where} is no graph that MXNet can run ({what}): export it again.")


def _checked(where):
    """The text of the graph, whose every index is one that there is and whose sizes are sizes."""
    if Path(where).stat().st_size > _LARGEST_GRAPH:
        raise _damaged(where, f"it has more than {_LARGEST_GRAPH} bytes")
    try:
        text = Path(where).read_text(encoding="utf-8")
        graph = json.loads(text)
        nodes = graph["nodes"]
        for number, node in enumerate(nodes):
            _check_node(node, number)
        for head in graph["heads"]:
            _check_entry(head, len(nodes))
        if not all(type(number) is int and 0 <= number < len(nodes) for number in graph["arg_nodes"]):
            raise ValueError("an input that is not there")
        pointers = graph.get("node_row_ptr", [])
        if not all(type(number) is int and 0 <= number < 1 << 31 for number in pointers):
            raise ValueError("a number of outputs that is none")
        if not graph["heads"]:
            raise ValueError("no output")
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
        raise _damaged(where, f"{type(problem).__name__}: {str(problem)[:200]}") from None
    return text


def _check_node(node, number):
    if not isinstance(node["op"], str) or not isinstance(node["name"], str):
        raise ValueError(f"operator {number} has no name")
    for entry in node["inputs"]:
        _check_entry(entry, number)
    if node.get("control_deps") or node.get("subgraphs") or node["op"] == "Custom":
        raise ValueError(f"{node['name']!r} asks for a program that is not in the file")
    for key in ("attrs", "attr", "param"):
        for name, value in node.get(key, {}).items():
            if not isinstance(value, str):
                raise ValueError(f"{name} of {node['name']!r} is no text")
            _check_numbers(name, value, node["name"])


def _check_numbers(name, value, node):
    """A stride of 0 is divided by, and a padding of a billion is allocated, before MXNet looks at it."""
    if name.startswith("__"):
        return
    numbers = [float(text) for text in re.findall(r"-?\d+\.?\d*(?:[eE][+-]?\d+)?", value)]
    if name in _AT_LEAST_ONE and any(number < 1 for number in numbers):
        raise ValueError(f"{name} of {node!r} is {value[:40]}")
    if any(not abs(number) <= _LARGEST_NUMBER for number in numbers) and name not in ("a_max", "a_min", "scalar"):
        raise ValueError(f"{name} of {node!r} is {value[:40]}")


def _check_entry(entry, before):
    """[the number of an operator before this one, which of its outputs, a version]."""
    if not all(type(number) is int for number in entry) or not 2 <= len(entry) <= 3:
        raise ValueError("an input is not told by numbers")
    if not 0 <= entry[0] < before or not 0 <= entry[1] < 64:
        raise ValueError(f"operator {before} takes what is not before it")


def _demand_weights(symbol, block, arrays, where, parameters):
    wanted = set(block.collect_params())
    if INPUT not in symbol.list_arguments():
        raise _damaged(where, f"it has no input {INPUT!r}")
    if wanted != set(arrays):
        odd = sorted(wanted.symmetric_difference(arrays))[:3]
        raise GluonAttnError(
            f"{parameters} does not hold the weights of {where} ({', '.join(odd)}): export both again."
        )


def _demand_finite(arrays, parameters):
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise GluonAttnError(f"{parameters} is damaged: {name} holds NaN or infinite values.")


def _demand_size(symbol, arrays, sides, where):
    """Shapes agree, and no layer's output for one image is larger than a machine."""
    shapes, problem = {name: tuple(array.shape) for name, array in arrays.items()}, None
    for side, channels in itertools.product(sides, (3, 1, 4, 2)):
        try:
            outputs = output_shapes(symbol.get_internals(), {INPUT: (1, channels, side, side), **shapes})
        except mx.MXNetError as error:
            problem = problem or error
            continue
        largest = max(math.prod(shape) for shape in outputs or [(0,)])
        if not 0 < largest <= _MOST_NUMBERS:
            raise _damaged(where, f"one of its layers gives {largest} numbers for one image")
        return
    raise problem
