"""The engines by name, loaded when asked for: images (N, 3, H, W) float32 -> logits (N, classes).

An engine is opened with what it reads (a path, or what the export made of a network), says what its `metadata` is, and
is made ready to run by `prepare`:

    engine = load("onnxruntime")("net.onnx", threads=0, precision="float32", cache=None)
    engine.prepare(size=224, batch_size=16)
    logits = engine(images)

`quantize(batches)`, before `prepare`, makes it int8, calibrated on those.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import util
from typing import Callable, Sequence

from gluon_attn._compat import BrokenPackage, mxnet_explained
from gluon_attn.errors import GluonAttnError, unknown

_HERE = "gluon_attn.deploy.run"


@dataclass(frozen=True)
class Engine:
    """Where an engine's class is, what the files that it reads end in, its arithmetic, and whether it takes `cache` and
    `device`.

    package : what it needs beside the base package, where that is not called as the engine is
    """

    cls: str
    suffix: str
    precisions: tuple = ("float32", "int8")
    caches: bool = False
    devices: bool = False
    package: str = ""


# Of those that can, the first whose package is installed is taken where none is named. Where that package is broken, it
# is said: another engine in its place would give other numbers, at another speed, for a reason that nobody hears of.
ENGINES = {
    "openvino": Engine(
        f"{_HERE}.openvino_engine:OpenvinoEngine", ".onnx", ("float32", "bfloat16", "int8"), caches=True
    ),
    "onnxruntime": Engine(f"{_HERE}.onnxruntime_engine:OnnxruntimeEngine", ".onnx"),
    "mxnet": Engine(f"{_HERE}.mxnet_engine:MxnetEngine", "-symbol.json"),
    "torch": Engine(f"{_HERE}.torch_engine:TorchEngine", ".safetensors", ("float32", "bfloat16"), devices=True),
}
SUFFIXES = tuple(dict.fromkeys(engine.suffix for engine in ENGINES.values()))


def not_exported(path: str) -> GluonAttnError:
    """The error for a file whose name ends as that of no export.

    >>> print(not_exported("net.ONNX"))
    net.ONNX is no file of `gluon-attn export`, which is known by how it ends: net.onnx, net-symbol.json, ...
    """
    kinds = ", ".join(f"net{suffix}" for suffix in SUFFIXES)
    return GluonAttnError(f"{path} is no file of `gluon-attn export`, which is known by how it ends: {kinds}.")


def find(name: str) -> Engine:
    """The record of that name."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]


def default(path: str, precision: str) -> str:
    """The engine that is taken where none is named: the first that is installed of those for the file (of names of the
    zoo: for ONNX) and the precision.

    >>> default("net-symbol.json", "float32"), default("net.onnx", "bfloat16")
    ('mxnet', 'openvino')
    """
    suffix = next((suffix for suffix in SUFFIXES if path.endswith(suffix)), ".onnx")
    readers = [name for name, engine in ENGINES.items() if engine.suffix == suffix]
    able = [name for name in readers if precision in ENGINES[name].precisions] or readers
    return next(filter(is_installed, able), able[-1])


def is_installed(name: str) -> bool:
    """Whether the package that the engine needs is there.

    >>> is_installed("mxnet")
    True
    """
    return util.find_spec(ENGINES[name].package or name) is not None


def those(able: Callable[[Engine], bool]) -> str:
    """The engines that are able to do something, for sentences.

    >>> those(lambda engine: engine.devices)
    "'torch'"
    """
    return " or ".join(repr(name) for name, engine in ENGINES.items() if able(engine)) or "none"


def load(name: str) -> type:
    """The engine's class; an error that says what to install, or to take, where its package is missing or broken."""
    module, _, cls = find(name).cls.partition(":")
    try:
        with mxnet_explained():
            return getattr(importlib.import_module(module), cls)
    except BrokenPackage as problem:
        for other, engine in ENGINES.items():
            if other != name and engine.suffix == find(name).suffix and is_installed(other):
                raise BrokenPackage(f"{problem} Or take engine={other!r} (--engine {other}).") from problem
        raise


def place_of_logits(names: Sequence[str], where) -> int:
    """Which of the outputs with these names are the logits: the one so called, or the only one."""
    if "logits" in names:
        return list(names).index("logits")
    if len(names) == 1:
        return 0
    raise GluonAttnError(
        f"{where} gives {', '.join(names)}, none of which is called 'logits': export the network with them."
    )
