"""Devices and arithmetic: words of the command line to MXNet contexts, with a sentence for what cannot run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, List, Sequence

from gluon_attn import mixed_precision
from gluon_attn.errors import GluonAttnError
from gluon_attn.matrix_units import cpu_flags

if TYPE_CHECKING:
    import mxnet as mx


def parse_devices(text: str = "") -> List[mx.Context]:
    """'gpu:0,gpu:1' -> contexts; '' means every GPU that MXNet sees, else the CPU.

    >>> parse_devices("cpu:0,cpu:1")
    [cpu(0), cpu(1)]
    """
    import mxnet as mx

    if not text:
        return [mx.gpu(i) for i in range(mx.context.num_gpus())] or [mx.cpu()]
    devices = [_device(word.strip()) for word in text.split(",") if word.strip()]
    if not devices:
        raise GluonAttnError(f"--devices {text!r} names none: write cpu:0, gpu:0 or gpu:0,gpu:1.")
    if len(set(devices)) < len(devices):
        raise GluonAttnError(f"--devices {text} names a device twice: name each once, as in gpu:0,gpu:1.")
    return devices


def _device(word):
    import mxnet as mx

    kind, _, index = word.partition(":")
    if kind not in ("cpu", "gpu") or not (index.isdecimal() or not index):
        raise GluonAttnError(f"{word!r} is no device: write cpu:0, gpu:0 or gpu:0,gpu:1.")
    number = int(index or 0)
    if kind == "gpu" and number >= mx.context.num_gpus():
        raise GluonAttnError(
            f"There is no {word}: MXNet sees {mx.context.num_gpus()} GPU(s) here. Use --devices cpu:0, or install the "
            "GPU build (extra cu117; Maxwell to Ada, its wheels have no code for Hopper and newer)."
        )
    return mx.Context(kind, number)


def check_arithmetic(dtype: str, devices: Sequence[mx.Context]) -> None:
    """Refuse a `--dtype` that the devices do not have.

    >>> check_arithmetic("float32", parse_devices("cpu:0"))
    """
    kinds = {device.device_type for device in devices}
    if dtype == "float16" and "cpu" in kinds:
        raise GluonAttnError(
            "--dtype float16 does not run on a CPU: MXNet has no float16 convolution there. "
            "Use --dtype bfloat16 (faster on CPUs that have AVX512-BF16) or float32."
        )
    if dtype == "bfloat16" and "gpu" in kinds:
        raise GluonAttnError("--dtype bfloat16 is for CPUs: MXNet 1.9 has no such GPU kernels. Use --dtype float16.")
    if dtype == "bfloat16" and not _has_bfloat16():
        raise GluonAttnError("--dtype bfloat16 needs a CPU with AVX512-BF16, which this is not. Use --dtype float32.")


def prepare_arithmetic(dtype: str, devices: Sequence[mx.Context]) -> None:
    """Refuse or switch on what `--dtype` needs; before any network is built, since AMP patches the operators.

    >>> prepare_arithmetic("float32", parse_devices("cpu:0"))
    """
    check_arithmetic(dtype, devices)
    if dtype == "float16":
        os.environ.setdefault("MXNET_SAFE_ACCUMULATION", "1")  # sums of float16 in float32, as the published runs
    if dtype == "bfloat16":
        mixed_precision.switch_on()


def _has_bfloat16():
    """Whether the CPU multiplies bfloat16; True where the system does not say (it then runs, perhaps slowly)."""
    flags = cpu_flags()
    return flags is None or "avx512_bf16" in flags
