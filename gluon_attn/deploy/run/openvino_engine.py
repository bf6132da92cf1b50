"""ONNX files in OpenVINO, on the CPU: float32, bfloat16 where the CPU has it, and our int8 files."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import openvino

from gluon_attn import matrix_units
from gluon_attn.deploy.run.compiled_cache import CompiledCache
from gluon_attn.deploy.run.engines import place_of_logits
from gluon_attn.deploy.run.onnx_source import OnnxSource
from gluon_attn.deploy.run.signal_stack import kept_signal_stack
from gluon_attn.errors import GluonAttnError

_METADATA = "framework"  # where OpenVINO's reader keeps an ONNX file's metadata


class OpenvinoEngine:
    """source: the path of an ONNX file, or its bytes.

    A graph whose shapes are known runs up to a quarter faster than one with a free batch (small networks, few images at
    once), but is compiled for one batch size. So there are three at most, each compiled when it is first needed: for
    one image, for `batch_size` of them, and for any other number, of the model as it was opened: the file may change
    meanwhile, but not one with weights beside it.
    cache : a folder in which what was compiled is kept for the next process.

    Safe in threads: each has infer requests of its own, and the compiled graphs are shared.
    """

    def __init__(self, source, threads=0, precision="float32", cache=None):
        self.core = openvino.Core()
        self.source, self.requests, self.lock = OnnxSource(source), threading.local(), threading.Lock()
        self.wanted, self.threads = precision, threads
        self.cache = CompiledCache(cache) if cache else None
        self.compiled = {}
        self._open()

    def _open(self):
        self.model = self._read()
        self.digest = self.source.digest() if self.cache else None
        notes = dict(self.model.get_rt_info().items())
        self.metadata = {key: str(value.value) for key, value in notes.get(_METADATA, {}).items()}
        names = [output.get_any_name() for output in self.model.outputs]
        self.place = place_of_logits(names, self.source.where)
        self._check_values()
        self.precision, self.options = self._arithmetic()

    def _arithmetic(self):
        """What is computed in, and OpenVINO's options for it.

        Left alone, it takes bfloat16 for float32 wherever the CPU has it. What int8 files keep in float is computed in
        float32, but in bfloat16 where that is asked for, or where the CPU has matrix units, which would stand still:
        without them it gains little time, and costs accuracy that int8 has not cost.
        """
        options = {"PERFORMANCE_HINT": "LATENCY"}
        if self.threads:
            options["INFERENCE_NUM_THREADS"] = self.threads
        int8 = any(node.get_type_name() == "FakeQuantize" for node in self.model.get_ops())
        wanted = self.wanted == "bfloat16" or (int8 and matrix_units.present())
        # Where the CPU lacks it, OpenVINO computes in float32, too, and would not say so.
        low = wanted and "BF16" in self._abilities()
        self.rest = "bfloat16" if low else "float32"
        return "int8" if int8 else self.rest, {**options, "INFERENCE_PRECISION_HINT": "bf16" if low else "f32"}

    def _abilities(self):
        with kept_signal_stack():  # the first question loads what computes on CPUs
            return self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def _check_values(self):
        """OpenVINO's ReLU makes 0 of NaN: broken weights would give answers that look sound."""
        for node in self.model.get_ops():
            constant = node.get_type_name() == "Constant" and node.get_element_type().is_real()
            if constant and not np.isfinite(node.get_data()).all():
                raise GluonAttnError(f"{self.source.where} holds NaN or infinite weights: it is damaged.")

    def _read(self):
        try:
            return self.core.read_model(self.source.source)
        except Exception as problem:  # RuntimeError, and what nanobind makes of others
            raise self.source.refused("OpenVINO", problem) from None

    def quantize(self, batches):
        self.source = self.source.quantized(batches)
        self._open()

    def prepare(self, size, batch_size):
        self.source.check_inputs(_inputs(self.model), size)
        self.size, self.fixed = size, {1, batch_size}
        self._request(batch_size)
        if self.threads:  # it takes no more than there are cores
            self.threads = self.compiled[batch_size].get_property("INFERENCE_NUM_THREADS")

    def _request(self, count):
        """This thread's infer request for `count` images."""
        key = count if count in self.fixed else -1
        mine = self.requests.__dict__
        if key not in mine:
            with self.lock:
                if key not in self.compiled:
                    self.compiled[key] = self._compile(key)
                mine[key] = self.compiled[key].create_infer_request()
        return mine[key]

    def _compile(self, count):
        model = self.model.clone()
        with self._kept(count) as kept, kept_signal_stack():
            try:
                model.reshape({model.inputs[0]: openvino.PartialShape([count, 3, self.size, self.size])})
                return self.core.compile_model(model, "CPU", {**self.options, **kept})
            except Exception as problem:
                raise self.source.refused("OpenVINO", problem) from None

    def _kept(self, count):
        if self.cache is None:
            return contextlib.nullcontext({})
        return self.cache.of(openvino.get_version(), self.digest, sorted(self.options.items()), self.size, count)

    def __call__(self, images):
        request = self._request(len(images))
        request.infer({0: images}, share_inputs=True)
        return request.get_output_tensor(self.place).data.copy()


def _inputs(model):
    """What OnnxSource.check_inputs takes."""
    for found in model.inputs:
        shape = found.get_partial_shape()
        sides = None if shape.rank.is_dynamic else [None if s.is_dynamic else s.get_length() for s in shape]
        yield found.get_any_name(), found.get_element_type().is_real(), sides
