"""Out of MXNet: ONNX and symbol files, int8, PyTorch modules, and one Predictor over them.

>>> from gluon_attn import deploy
>>> deploy.export_onnx(net, "net.onnx", size=224)
>>> deploy.Predictor("net.onnx")(["cat.jpg"])

`export/` needs MXNet. Of `run/` only the engine 'mxnet' does.
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

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gluon_attn.deploy' has no attribute {name!r}")
    with mxnet_explained():
        return getattr(importlib.import_module(_PUBLIC[name]), name)
