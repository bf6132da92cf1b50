"""gluon_attn: attention CNNs for MXNet/Gluon, an extension of GluonCV's model zoo."""

from __future__ import annotations

import importlib

from gluon_attn import _compat, _gluoncv
from gluon_attn._version import __version__ as __version__
from gluon_attn.catalogue.spellings import FUNCTIONS

# Names are resolved on first use, so that `gluon-attn --help` does not wait for MXNet.
_PUBLIC = {
    "get_model": "zoo",
    "list_models": "zoo",
    "model_info": "zoo",
    "load_run": "zoo",
    "create_gate": "attention",
    "list_gates": "attention",
    "create_fuse": "attention",
    "list_fuses": "attention",
    "create_stage": "attention",
    "register_attention": "register",
    "forget_attention": "register",
    "list_stages": "attention",
    "load_weights": "weights",
    "save_weights": "weights",
    "GluonAttnError": "errors",
    "WeightsError": "errors",
    "DataError": "errors",
}
_MODULES = ("attention", "data", "deploy", "evaluate", "explain", "models", "train", "weights", "zoo")

__all__ = sorted((*_PUBLIC, "__version__"))


def __getattr__(name):
    with _compat.mxnet_explained():
        if name in _PUBLIC:
            return getattr(importlib.import_module(f"gluon_attn.{_PUBLIC[name]}"), name)
        if name in _MODULES:
            return importlib.import_module(f"gluon_attn.{name}")
    elsewhere = FUNCTIONS.get(name)
    raise AttributeError(
        f"module 'gluon_attn' has no attribute {name!r}" + (f": here it is {elsewhere}." if elsewhere else "")
    )


def __dir__():
    return sorted([*globals(), *_PUBLIC, *_MODULES])


_compat.prepare_for_mxnet()
_gluoncv.register_when_imported(
    lambda: importlib.import_module("gluon_attn.zoo").makers(),
    lambda: importlib.import_module("gluon_attn.zoo").list_models(pretrained=True),
)
