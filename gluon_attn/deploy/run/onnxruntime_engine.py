"""ONNX files in onnxruntime, on the CPU."""

from __future__ import annotations

import numpy as np
import onnxruntime

from gluon_attn.deploy.run.engines import place_of_logits
from gluon_attn.deploy.run.onnx_source import OnnxSource
from gluon_attn.deploy.run.pieces import pieces

# Its words for real numbers, and numpy's.
_REAL = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


def session(model, threads=0):
    """An InferenceSession of a path, or of a model's bytes; threads=0: as many as there are cores."""
    return _session(OnnxSource(model), threads)


def _session(source, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong is raised, too
    try:
        return onnxruntime.InferenceSession(source.source, options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # onnxruntime has no public exception class
        raise source.refused("onnxruntime", problem) from None


class OnnxruntimeEngine:
    """source: the path of an ONNX file, or its bytes. Safe in threads: a session is.

    A file of another real number than float32 is given its own. One that was exported for a fixed number of images,
    as torch.onnx.export does it by default, runs on as many at a time.
    """

    def __init__(self, source, threads=0, precision="float32", cache=None):
        self.source, self.threads = OnnxSource(source), threads
        self._open()

    def _open(self):
        self.session = _session(self.source, self.threads)
        try:
            self.metadata = self.session.get_modelmeta().custom_metadata_map
            names = [output.name for output in self.session.get_outputs()]
            self.inputs = list(_inputs(self.session))
        except UnicodeDecodeError as problem:  # names that are no text
            raise self.source.refused("onnxruntime", problem) from None
        self.output = names[place_of_logits(names, self.source.where)]

    def quantize(self, batches):
        self.source = self.source.quantized(batches)
        self._open()

    def prepare(self, size, batch_size):
        self.source.check_inputs(self.inputs, size)
        ((self.input, _, shape),) = self.inputs
        self.fixed = shape[0] if shape and shape[0] else None
        self.dtype = _REAL[self.session.get_inputs()[0].type]

    def __call__(self, images):
        images = images.astype(self.dtype, copy=False)
        if self.fixed is None:
            return self._logits(images)
        logits = np.concatenate([self._logits(piece) for piece in pieces(images, self.fixed)])
        return logits[: len(logits) - -len(images) % self.fixed]  # without those that filled up the last piece

    def _logits(self, images):
        return self.session.run([self.output], {self.input: images})[0]


def _inputs(session):
    """What OnnxSource.check_inputs takes."""
    for found in session.get_inputs():
        sides = [side if isinstance(side, int) else None for side in found.shape]
        yield found.name, found.type in _REAL, sides or None  # it has none for an unknown shape
