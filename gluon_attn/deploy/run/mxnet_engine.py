"""Symbol files in MXNet, with oneDNN's fusions."""

from __future__ import annotations

import json
import threading

import mxnet as mx
import numpy as np

from gluon_attn.deploy.run.engines import place_of_logits
from gluon_attn.deploy.run.symbol_file import INPUT, load_symbol
from gluon_attn.errors import GluonAttnError


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
        self.batches = batches

    def prepare(self, size, batch_size):
        if self.batches is None:
            self.block.optimize_for(mx.nd.zeros((1, 3, size, size)), backend="MKLDNN", static_alloc=True)
        else:
            self.block = _quantized(self.block, self.batches)

    def __call__(self, images):
        with self.lock:
            output = self.block(mx.nd.array(images))
            return (output[self.place] if isinstance(output, (list, tuple)) else output).asnumpy()


def _names(block, metadata, where):
    """What the outputs are called; symbol files of the first release do not say."""
    outputs = block(mx.sym.Variable(INPUT))
    count = len(outputs) if isinstance(outputs, (list, tuple)) else 1
    names = json.loads(metadata["outputs"]) if "outputs" in metadata else ["logits"]
    if len(names) != count:
        raise GluonAttnError(f"{where} gives {count} outputs and its card names {len(names)}: export it again.")
    return names


def _quantized(block, batches):
    from mxnet.contrib.quantization import quantize_net

    # Lists, not arrays: bare batches would be split among the inputs.
    data = [[mx.nd.array(np.ascontiguousarray(batch))] for batch in batches]
    block.hybridize()
    block(data[0][0])
    return quantize_net(
        block, quantized_dtype="int8", calib_mode="naive", calib_data=data, num_calib_examples=len(data), ctx=mx.cpu()
    )
