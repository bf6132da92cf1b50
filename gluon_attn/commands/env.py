"""`gluon-attn env`: versions, devices and settings, for a bug report."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

from gluon_attn import matrix_units, threads
from gluon_attn.weights.download import without_password

PACKAGES = ("gluon-attn", "mxnet", "mxnet-cu117", "gluoncv", "numpy", "opencv-python", "Pillow", "safetensors")
PACKAGES += ("onnx", "onnxruntime", "openvino", "ml_dtypes", "torch")
VARIABLES = ("MXNET_HOME", "GLUON_ATTN_REPO", "GLUON_ATTN_PARAMS")
VARIABLES += (threads.VARIABLE, *threads.COMPANIONS, "MXNET_CPU_WORKER_NTHREADS", matrix_units.VARIABLE)
FEATURES = ("CUDA", "CUDNN", "NCCL", "MKLDNN", "OPENCV", "DIST_KVSTORE")


def add_arguments(parser):
    pass


def run(args):
    for name, value in facts():
        print(f"{name:<26} {value}")


def facts():
    """(name, value) of everything that a bug report needs."""
    yield "python", f"{sys.version.split()[0]} ({sys.executable})"
    yield "platform", f"{platform.platform()}, {os.cpu_count()} CPUs"
    for package in PACKAGES:
        yield package, _version(package)
    yield from _mxnet()
    yield "matrix units (AMX)", matrix_units.usable()
    for variable in VARIABLES:
        yield variable, without_password(os.environ.get(variable, "not set"))


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _mxnet():
    try:
        import mxnet as mx
    except Exception as problem:  # whatever a broken installation raises is the answer
        yield "import mxnet", f"fails: {type(problem).__name__}: {problem}"
        return
    features = mx.runtime.Features()
    yield "mxnet features", ", ".join(name for name in FEATURES if features.is_enabled(name))
    yield "GPUs that mxnet sees", str(mx.context.num_gpus())
    yield "CPU cores that mxnet takes", f"{threads.taken()} of {os.cpu_count()}"
