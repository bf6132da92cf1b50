"""What runs a deployed network: onnxruntime, or MXNet with oneDNN's fusions. Both: images (N, 3, H, W) -> logits."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from gluon_attn.deploy.export import onnx_graph
from gluon_attn.deploy.export.symbol_file import as_block, load_symbol
from gluon_attn.errors import GluonAttnError


class OnnxEngine:
    """source: the path of an ONNX file, or a network; int8 by deploy.int8 where calibration `batches` are given."""

    name, suffix = "onnxruntime", ".onnx"

    def __init__(self, source, size, threads, batches):
        from gluon_attn.deploy.export import int8, onnx_file

        model = source if isinstance(source, str) else onnx_file.verified(source, size)[0]
        if batches is not None:
            model = int8.quantize(model, batches)
        self.session = onnx_graph.session(model, threads)
        outputs = [output.name for output in self.session.get_outputs()]
        self.input = self.session.get_inputs()[0].name
        self.output = "logits" if "logits" in outputs else outputs[0]

    @staticmethod
    def read(path):
        return path, onnx_graph.session(path, threads=1).get_modelmeta().custom_metadata_map

    def __call__(self, images):
        return self.session.run([self.output], {self.input: images})[0]


class MxnetEngine:
    """source: what `load_symbol` gave, or a network; int8 (not uint8, which fails round the gates) by quantize_net."""

    name, suffix = "mxnet", "-symbol.json"

    def __init__(self, source, size, threads, batches):
        if threads:
            raise GluonAttnError("engine='mxnet' takes its threads from OMP_NUM_THREADS, set before it is imported.")
        example = mx.nd.zeros((1, 3, size, size)) if batches is None else mx.nd.array(batches[0])
        block = source if isinstance(source, mx.gluon.SymbolBlock) else as_block(source)
        if batches is None:
            block.optimize_for(example, backend="MKLDNN", static_alloc=True)
        else:
            block = _quantized(block, example, batches)
        self.block = block

    @staticmethod
    def read(path):
        return load_symbol(path)

    def __call__(self, images):
        output = self.block(mx.nd.array(images))
        return (output[0] if isinstance(output, (list, tuple)) else output).asnumpy()


ENGINES = {engine.name: engine for engine in (OnnxEngine, MxnetEngine)}


def _quantized(block, example, batches):
    from mxnet.contrib.quantization import quantize_net

    # Lists, not arrays: bare batches would be split among the inputs.
    data = [[mx.nd.array(np.ascontiguousarray(batch))] for batch in batches]
    block.hybridize()
    block(example)
    return quantize_net(
        block, quantized_dtype="int8", calib_mode="naive", calib_data=data, num_calib_examples=len(data), ctx=mx.cpu()
    )
