"""Out of MXNet: ONNX and symbol files, int8, and one Predictor over them.

>>> from gluon_attn import deploy
>>> deploy.export_onnx(net, "net.onnx", size=224)
>>> deploy.Predictor("net.onnx")(["cat.jpg"])
"""

from __future__ import annotations

import importlib

_PUBLIC = {
    "Predictor": "predictor",
    "export_onnx": "onnx_file",
    "export_symbol": "symbol_file",
    "quantize": "int8",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gluon_attn.deploy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gluon_attn.deploy.{_PUBLIC[name]}"), name)
