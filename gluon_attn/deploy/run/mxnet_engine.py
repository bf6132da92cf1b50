"""Symbol files in MXNet, with oneDNN's fusions."""

from __future__ import annotations

import json
import threading

import mxnet as mx
import numpy as np

from gluon_attn.deploy.run.engines import place_of_logits
from gluon_attn.deploy.run.symbol_file import INPUT, load_symbol
from gluon_attn.errors import GluonAttnError
from gluon_attn.matrix_units import cpu_flags

TOLERANCE = 1e-3  # of the largest logit: float32 sums in another order
_FUSED = {"Convolution", "BatchNorm", "Activation", "Pooling"}  # what oneDNN's fusions expect before a sum


class MxnetEngine:
    """source: the path of PREFIX-symbol.json, or (SymbolBlock, names of its outputs).

    int8 (not uint8, which fails round the gates) by MXNet's own quantize_net. Threads take turns.
    """

    def __init__(self, source, threads=0, precision="float32", cache=None):
        if threads:
            raise GluonAttnError("engine='mxnet' takes its threads from OMP_NUM_THREADS, set before it is imported.")
        self.batches, self.lock = None, threading.Lock()
        if isinstance(source, tuple):
            (self.block, names), self.metadata = source, {}
        else:
            self.block, self.metadata = load_symbol(source)
            names = _names(self.block, self.metadata, source)
        self.place = place_of_logits(names, "The symbol file")

    def quantize(self, batches):
        if not _has_vnni():
            raise GluonAttnError(
                "engine='mxnet' in int8 needs a CPU with VNNI: without it, sums of products saturate and logits are "
                "off by a tenth and more. Use the ONNX file with engine='openvino' or 'onnxruntime'."
            )
        self.batches = batches

    def prepare(self, size, batch_size):
        block = _guarded(self.block)
        if self.batches is not None:
            self.block = _quantized(block, self.batches)
            return
        example = mx.nd.random.uniform(-1, 1, (1, 3, size, size))
        expected = self._logits(self.block, example)
        block.optimize_for(example, backend="MKLDNN", static_alloc=True)
        found = self._logits(block, example)
        if not abs(found - expected).max() <= TOLERANCE * abs(expected).max():
            raise GluonAttnError(
                "MXNet's fusions change what this network gives: use engine='onnxruntime' on its ONNX file."
            )
        self.block = block

    def _logits(self, block, images):
        output = block(images)
        return (output[self.place] if isinstance(output, (list, tuple)) else output).asnumpy()

    def __call__(self, images):
        with self.lock:
            return self._logits(self.block, mx.nd.array(images))


def _guarded(block):
    """The same network, kept from a wrong fusion of MXNet's with oneDNN.

    It fuses a sum into one of the convolutions before it, and takes the wrong input for that convolution where the
    other summand is no convolution's but a gate's: `relu(gate(body(x)) + shortcut(x))`. It looks for `elemwise_add`.
    """
    outputs = block(mx.sym.Variable(INPUT))
    symbol = mx.sym.Group(list(outputs)) if isinstance(outputs, (list, tuple)) else outputs
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        sources = {graph["nodes"][source]["op"] for source, *_ in node["inputs"]}
        if node["op"] == "elemwise_add" and not sources <= _FUSED:
            node["op"] = "broadcast_add"
    symbol = mx.sym.load_json(json.dumps(graph))
    return mx.gluon.SymbolBlock(symbol, [mx.sym.Variable(INPUT)], params=block.collect_params())


def _names(block, metadata, where):
    """What the outputs are called; symbol files of the first release do not say."""
    outputs = block(mx.sym.Variable(INPUT))
    count = len(outputs) if isinstance(outputs, (list, tuple)) else 1
    names = json.loads(metadata["outputs"]) if "outputs" in metadata else ["logits"]
    if len(names) != count:
        raise GluonAttnError(f"{where} gives {count} outputs and its card names {len(names)}: export it again.")
    return names


def _has_vnni():
    """Whether the CPU adds products of bytes in 32 bits; True where the system does not say."""
    flags = cpu_flags()
    return flags is None or any("vnni" in flag for flag in flags)


def _quantized(block, batches):
    from mxnet.contrib.quantization import quantize_net

    # Lists, not arrays: bare batches would be split among the inputs.
    data = [[mx.nd.array(np.ascontiguousarray(batch))] for batch in batches]
    block.hybridize()
    block(data[0][0])
    try:
        return quantize_net(block, quantized_dtype="int8", calib_mode="naive", calib_data=data, ctx=mx.cpu())
    except mx.MXNetError as problem:
        reason = str(problem).strip().splitlines()[-1][:200]
        raise GluonAttnError(
            f"MXNet cannot make this network int8 ({reason}). Use the ONNX file with engine='openvino' or "
            "'onnxruntime'."
        ) from None
