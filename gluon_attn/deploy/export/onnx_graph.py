"""A Gluon network as an ONNX graph: converted by mxnet.onnx, then made what a runtime wants."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import threading

import mxnet as mx
import onnx
import onnxruntime as ort
from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph

from gluon_attn import cpu
from gluon_attn.deploy.export.converters import OPSET
from gluon_attn.deploy.export.node_names import name_nodes
from gluon_attn.deploy.export.trace import names_of, trace
from gluon_attn.errors import GluonAttnError

INPUT = "images"
_ONE_AT_A_TIME = threading.Lock()
_IR_VERSION = 8  # of the onnx releases that know the opset; a newer one would shut out older runtimes


def to_onnx(net, size, in_channels=3, dynamic_size=True):
    """An onnx.ModelProto of an initialised network; input `images` (batch, C, height, width), outputs as `names_of`."""
    symbol = trace(net, INPUT)
    parameters = {name: p.list_data()[0].as_in_context(mx.cpu()) for name, p in net.collect_params().items()}
    cpu.finish_relaying()
    used = set(symbol.list_inputs())
    sides = ("height", "width") if dynamic_size else (size, size)
    # Some converters print what they convert. Both are of the process: two threads would put back each other's.
    with _ONE_AT_A_TIME, _checked_as(OPSET), contextlib.redirect_stdout(io.StringIO()), _explained(symbol):
        graph = MXNetGraph().create_onnx_graph_proto(
            symbol,
            {name: value for name, value in parameters.items() if name in used},
            [(1, in_channels, size, size)],
            [onnx.TensorProto.FLOAT],
            opset_version=OPSET,
            dynamic=True,
            dynamic_input_shapes=[("batch", in_channels, *sides)],
        )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    _drop_weights_from_inputs(model.graph)
    _order_outputs(model.graph, symbol)
    model = _folded(model)
    _widen_groups(model.graph)
    _rename_outputs(model.graph, names_of(net, len(model.graph.output)))
    name_nodes(model.graph)
    onnx.checker.check_model(model)
    return model


@contextlib.contextmanager
def _explained(symbol):
    """One sentence for a network of operators, or of forms of them, that ONNX or mxnet.onnx has not."""
    known = {"null"}.union(*MXNetGraph.registry_.values())
    unknown = sorted({node["op"] for node in json.loads(symbol.tojson())["nodes"]} - known)
    try:
        if unknown:
            raise LookupError(f"none is known of {', '.join(unknown)}")
        yield
    except GluonAttnError:
        raise
    except Exception as problem:  # each converter of mxnet.onnx raises its own
        raise GluonAttnError(
            f"An operator of the network has no ONNX form ({problem}): export it for PyTorch (export_torch, "
            "`gluon-attn export --format torch`) or as MXNet's own pair of files (export_symbol, --format symbol)."
        ) from problem


@contextlib.contextmanager
def _checked_as(opset):
    """mxnet.onnx checks every graph as one of the newest opset, which its own nodes are not."""
    context = onnx.checker.DEFAULT_CONTEXT
    before = dict(context.opset_imports)
    context.opset_imports = {"": opset}
    try:
        yield
    finally:
        context.opset_imports = before


def _drop_weights_from_inputs(graph):
    """As inputs they could be replaced at run time, so that no runtime would fold BatchNorm into them."""
    weights = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(kept)


def _order_outputs(graph, symbol):
    """As the network gives them: mxnet.onnx lists them in the order in which they are computed."""
    order = [name[: -len("_output")] for name in symbol.list_outputs()]
    ordered = sorted(graph.output, key=lambda value: order.index(value.name))
    del graph.output[:]
    graph.output.extend(ordered)


def _folded(model):
    """BatchNorm folded into convolutions, constants computed, idle nodes gone: onnxruntime's portable optimisations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, "model.onnx")
        try:
            ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no public exception class
            raise GluonAttnError(f"The exported graph is no valid ONNX model: {error}") from error
        folded = onnx.load(options.optimized_model_filepath)
    domains = {node.domain for node in folded.graph.node}
    imports = [entry for entry in folded.opset_import if entry.domain in domains]
    del folded.opset_import[:]
    folded.opset_import.extend(imports)
    return folded


def _widen_groups(graph):
    """Narrow groups merged into wide ones, which alone run in onnxruntime's channel-blocked layout; the same values."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        group = next((a for a in node.attribute if a.name == "group"), None)
        if node.op_type != "Conv" or group is None or node.input[1] not in weights:
            continue
        tensor = weights[node.input[1]]
        weight = onnx.numpy_helper.to_array(tensor)
        if cpu.narrow(weight.shape[1], group.i):
            wide, group.i = cpu.in_wide_groups(mx.nd, mx.nd.array(weight), weight.shape, group.i)
            tensor.CopyFrom(onnx.numpy_helper.from_array(wide.asnumpy(), tensor.name))


def _rename_outputs(graph, names):
    renamed = {value.name: name for value, name in zip(graph.output, names)}
    for node in graph.node:
        for edges in (node.input, node.output):
            edges[:] = [renamed.get(edge, edge) for edge in edges]
    for value, name in zip(graph.output, names):
        value.name = name
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_param = "batch"
