"""ONNX files in onnxruntime, on the CPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from gluon_attn.deploy.run.engines import place_of_logits
from gluon_attn.errors import GluonAttnError


def session(model, threads=0):
    """An InferenceSession of a path, or of a model's bytes; threads=0: as many as there are cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not isinstance(model, bytes) and not Path(model).is_file():
        raise GluonAttnError(f"There is no file {str(model)!r}: `gluon-attn export` writes ONNX files.")
    try:
        source = model if isinstance(model, bytes) else str(model)
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # onnxruntime has no public exception class
        where = "The exported graph" if isinstance(model, bytes) else model
        reason = str(problem).strip().splitlines()[0][:300]
        raise GluonAttnError(f"{where} is no ONNX model that onnxruntime can run: {reason}") from None


class OnnxruntimeEngine:
    """source: the path of an ONNX file, or its bytes."""

    def __init__(self, source, threads=0, precision="float32"):
        self.source, self.threads = source, threads
        self._open()

    def _open(self):
        self.session = session(self.source, self.threads)
        self.metadata = self.session.get_modelmeta().custom_metadata_map
        names = [output.name for output in self.session.get_outputs()]
        self.input = self.session.get_inputs()[0].name
        self.output = names[place_of_logits(names, "The ONNX file")]

    def quantize(self, batches):
        from gluon_attn.deploy.export.int8 import quantize

        self.source = quantize(self.source, batches).SerializeToString()
        self._open()

    def prepare(self, size):
        """Nothing is left to do."""

    def __call__(self, images):
        return self.session.run([self.output], {self.input: images})[0]
