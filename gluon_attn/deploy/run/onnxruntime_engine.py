"""ONNX files in onnxruntime, on the CPU."""

from __future__ import annotations

import onnxruntime

from gluon_attn.deploy.run.engines import place_of_logits
from gluon_attn.deploy.run.onnx_source import OnnxSource


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
    """source: the path of an ONNX file, or its bytes. Safe in threads: a session is."""

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

    def __call__(self, images):
        return self.session.run([self.output], {self.inputs[0][0]: images})[0]


def _inputs(session):
    """What OnnxSource.check_inputs takes."""
    for found in session.get_inputs():
        sides = [side if isinstance(side, int) else None for side in found.shape]
        real = found.type in ("tensor(float)", "tensor(float16)", "tensor(double)")
        yield found.name, real, sides or None  # it has none for an unknown shape
