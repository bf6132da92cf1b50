"""What the engines of ONNX files share: the file is there, and int8 is made of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gluon_attn.errors import GluonAttnError
from gluon_attn.files import sha256


class OnnxSource:
    """source: the path of an ONNX file, or a model's bytes."""

    def __init__(self, source):
        self.source = source if isinstance(source, bytes) else str(source)
        self.where = "The exported graph" if isinstance(source, bytes) else self.source
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise GluonAttnError(f"There is no file {str(source)!r}: `gluon-attn export` writes ONNX files.")

    def digest(self) -> str:
        """The sha256 of the file, or of the bytes."""
        return hashlib.sha256(self.source).hexdigest() if isinstance(self.source, bytes) else sha256(self.source)

    def refused(self, engine: str, problem: Exception) -> GluonAttnError:
        """The error for whatever an engine raises of a file that it cannot read: none has a class of its own for it."""
        reason = " ".join(str(problem).split())[:300]
        return GluonAttnError(f"{self.where} is no ONNX model that {engine} can run: {reason}")

    def quantized(self, batches) -> OnnxSource:
        """The int8 form, calibrated on the prepared images `batches`."""
        from gluon_attn.deploy.export.int8 import quantize

        return OnnxSource(quantize(self.source, batches).SerializeToString())
