"""What the engines of ONNX files share: the file is there, it takes pictures, and int8 is made of it."""

from __future__ import annotations

import hashlib
from typing import Iterable

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import GluonAttnError
from gluon_attn.files import sha256


class OnnxSource:
    """source: the path of an ONNX file, or a model's bytes."""

    def __init__(self, source):
        self.source = source if isinstance(source, bytes) else str(source)
        self.where = "The exported graph" if isinstance(source, bytes) else self.source
        if not isinstance(source, bytes):
            _check_readable(self.source)
            if not _is_unicode(self.source):  # the engines know no other names
                with open(self.source, "rb") as file:
                    self.source = file.read()

    def digest(self) -> str:
        """The sha256 of the file, or of the bytes."""
        return hashlib.sha256(self.source).hexdigest() if isinstance(self.source, bytes) else sha256(self.source)

    def refused(self, engine: str, problem: Exception) -> GluonAttnError:
        """The error for whatever an engine raises of a file that it cannot read: none has a class of its own for it."""
        reason = " ".join(str(problem).split())[:300]
        if "bad_alloc" in reason or "allocate" in reason:
            return GluonAttnError(
                f"{engine} lacks the memory for {self.where}: give a smaller batch_size (--batch-size)."
            )
        return GluonAttnError(f"{self.where} is no ONNX model that {engine} can run: {reason}")

    def check_inputs(self, inputs: Iterable[tuple], size: int) -> None:
        """A sentence where they are not one for pictures of `size` x `size`.

        inputs : (name, whether it takes real numbers, its shape with None for what is free; or None) of each

        onnxruntime says such things itself, later; OpenVINO runs what it is given on what it finds in memory.
        """
        inputs = list(inputs)
        if len(inputs) != 1:
            names = ", ".join(name for name, *_ in inputs) or "none"
            raise GluonAttnError(
                f"{self.where} has {len(inputs)} inputs ({names}), where pictures are one: export it anew."
            )
        name, real, shape = inputs[0]
        wanted = [None, 3, size, size]
        fits = shape is None or (len(shape) == 4 and all(_agree(*sides) for sides in zip(shape, wanted)))
        kind = "real" if real else "whole"
        if not (real and fits):
            raise GluonAttnError(
                f"{self.where} takes {name!r}, {kind} numbers, {_words(shape)}. Pictures are real numbers, "
                f"{_words(wanted)} by its card: export it anew, or give another card=."
            )

    def quantized(self, batches) -> OnnxSource:
        """The int8 form, calibrated on the prepared images `batches`."""
        with mxnet_explained():
            from gluon_attn.deploy.export.int8 import quantize

            return OnnxSource(quantize(self.source, batches).SerializeToString())


def _agree(side, wanted):
    return side is None or wanted is None or side == wanted


def _words(shape):
    return "of any shape" if shape is None else " x ".join(str(side or "any") for side in shape)


def _check_readable(path):
    try:
        with open(path, "rb"):
            return
    except FileNotFoundError:
        raise GluonAttnError(f"There is no file {path!r}: `gluon-attn export` writes ONNX files.") from None
    except (OSError, ValueError) as problem:  # a name with a zero in it
        reason = getattr(problem, "strerror", None) or problem
        raise GluonAttnError(f"{path!r:.300} cannot be read ({reason}): give a file of `gluon-attn export`.") from None


def _is_unicode(path):
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
