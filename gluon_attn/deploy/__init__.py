"""Out of MXNet: ONNX and symbol files, int8, PyTorch modules, and one Predictor over them.

>>> from gluon_attn import deploy
>>> deploy.export_onnx(net, "net.onnx", size=224)
>>> deploy.Predictor("net.onnx")(["cat.jpg"])

`export/` needs MXNet, but for int8. Of `run/` only the engine 'mxnet' does.
"""

from __future__ import annotations

import importlib

from gluon_attn._compat import mxnet_explained

_PUBLIC = {
    "Card": "gluon_attn.weights.card",
    "Predictor": "gluon_attn.deploy.run.predictor",
    "export_onnx": "gluon_attn.deploy.export.onnx_file",
    "export_symbol": "gluon_attn.deploy.export.symbol_file",
    "export_torch": "gluon_attn.deploy.export.torch_pair",
    "load_torch": "gluon_attn.deploy.run.torch_graph",
    "quantize": "gluon_attn.deploy.export.int8",
    "to_torch": "gluon_attn.deploy.export.torch_module",
}
# What of it needs MXNet, and says so before it says what else: that alone would bring nobody further.
_OF_MXNET = ("export_onnx", "export_symbol", "export_torch", "to_torch")

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gluon_attn.deploy' has no attribute {name!r}")
    with mxnet_explained():
        if name in _OF_MXNET:
            importlib.import_module("mxnet")
        return getattr(importlib.import_module(_PUBLIC[name]), name)
