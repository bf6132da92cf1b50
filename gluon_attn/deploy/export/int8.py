"""Static int8 quantisation through onnxruntime: per-channel weights, activations calibrated on images.

Convolutions and dense layers are quantised, and the ReLUs among them, which vanish: the convolution's output is then
quantised once, over the range that is left. Measured on aff_resnet50, batch 16, one core: 2.72 times the speed of
float32, 2.58 where the ReLUs stay in float between two quantisations. With the sums, products, pools and sigmoids
round the gates as well it was no faster and no closer.

Weights keep 7 of their 8 bits: with 8, a CPU without VNNI saturates, and cifar_aff_resnet20 had 95.5 % of the test
digits right where it has 99.25 % in float32, and 99.0 % with 7 (97.25 and 99.0 % in OpenVINO).
"""

from __future__ import annotations

import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any, Iterable, Sequence

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

if TYPE_CHECKING:
    import numpy as np

QUANTIZED = ("Conv", "Gemm", "Relu")


class _Batches(CalibrationDataReader):
    def __init__(self, name, batches):
        self.feeds = iter([{name: batch} for batch in batches])

    def get_next(self):
        return next(self.feeds, None)


def quantize(
    model: Any, batches: Iterable[np.ndarray], operators: Sequence[str] = QUANTIZED, keep_float: Sequence[str] = ()
) -> onnx.ModelProto:
    """The int8 form of an ONNX model (a ModelProto, its bytes or a path), as a ModelProto with the same metadata.

    batches : prepared images, float32 arrays (N, 3, H, W); a few hundred images in all
    operators : operator types to quantise; keep_float : names of nodes that stay in float

    >>> deploy.export_onnx(net, "net.onnx", size=32)
    >>> onnx.save(quantize("net.onnx", [x.asnumpy()]), "int8.onnx")
    """
    if isinstance(model, bytes):
        model = onnx.load_model_from_string(model)
    elif isinstance(model, (str, os.PathLike)):
        model = onnx.load(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    quiet = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # its advice to pre-process does not apply: BatchNorm is folded
    with tempfile.TemporaryDirectory() as folder:
        plain, small = (os.path.join(folder, name) for name in ("plain.onnx", "int8.onnx"))
        onnx.save(model, plain)
        try:
            quantize_static(
                plain,
                small,
                _Batches(model.graph.input[0].name, batches),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(operators),
                nodes_to_exclude=list(keep_float),
                per_channel=True,
                reduce_range=True,  # 7 bits: CPUs without VNNI add pairs of products in 16 bits, which saturate
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            logging.getLogger().setLevel(quiet)
        quantized = onnx.load(small)
    onnx.helper.set_model_props(quantized, {**metadata, "precision": '"int8"'})
    return quantized
