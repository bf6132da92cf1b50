"""`Predictor`: pictures in, class names out, from a stored file or a name of the zoo, on any engine."""

from __future__ import annotations

import functools
import json
import os
from typing import Any, Mapping, Optional

import numpy as np

from gluon_attn.deploy.run import engines
from gluon_attn.deploy.run.from_zoo import from_zoo
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.weights.card import Card

MOST_THREADS = 1024  # an engine that is asked for more ends the process


class Predictor:
    """Classes of pictures, most probable first.

    Parameters
    ----------
    path_or_name : a file of `gluon-attn export` (`.onnx`, `.safetensors`, `-symbol.json`), or a name of the zoo
    pretrained : of a name: True (the default), a tag, or the path of a file
    options : of a name: `classes`, and the arguments of the network
    engine : 'openvino', 'onnxruntime', ..., a name from deploy/run/engines.py; by default the first that is installed
        and reads the file (of names: that reads ONNX); one that is installed and broken is an error
    precision : 'float32'; 'bfloat16' (openvino, on CPUs that have it; float32 elsewhere: `predictor.precision` says
        which); or 'int8' (calibrated on `calibration`: a list as for a call, or a data set of the zoo). A file that is
        int8 stays so, and is not calibrated again; 'bfloat16' (openvino) is then for what it keeps in float
    batch_size, threads : of one run; threads=0 means one a core
    cache : a folder where openvino keeps what it compiled
    device : of the engine torch: 'cpu' (the default), 'cuda', 'cuda:1', ...
    card : what an ONNX file of other origin does not say (deploy.Card)

    Called with a list of paths, Pillow images or uint8 (H, W, 3) arrays, prepared as `gluon-attn evaluate` does it.
    Paths and Pillow images are turned upright and get a white ground, as in `gluon-attn predict`. Safe in threads.
    Pickled or copied it is what it was made of, which the copy opens anew: a file by its path.

    >>> predict = Predictor("net.onnx", precision="bfloat16")
    >>> predict(["cat.jpg"], top=1)
    [[('cat', 0.98)]]
    """

    def __init__(
        self,
        path_or_name: Any,
        pretrained: Any = None,
        engine: Optional[str] = None,
        precision: str = "float32",
        calibration: Any = None,
        *,
        batch_size: int = 16,
        threads: int = 0,
        cache: Any = None,
        card: Optional[Card] = None,
        device: Optional[str] = None,
        **options: Any,
    ):
        path = _path(path_or_name)
        self.name = engine or engines.default(path, precision)
        self.batch_size = _count("batch_size", batch_size, 1)
        self.threads = _count("threads", threads, 0, MOST_THREADS)
        _check(self.name, precision, calibration, path, cache, card)
        source, found = _source(path, pretrained, options, self.name, card)
        place = {} if device is None else {"device": device}
        if place and not engines.find(self.name).devices:
            able = engines.those(lambda engine: engine.devices)
            raise GluonAttnError(f"device={device!r} is for engine={able}; {self.name!r} runs on the CPU.")
        self.engine = engines.load(self.name)(source, self.threads, precision, cache, **place)
        self.card = card or found or Card.from_metadata(self.engine.metadata, path)
        self.transform = self.card.transform()
        self._choose_precision(precision, calibration)
        self.engine.prepare(self.card.input_size, self.batch_size)
        self.threads = getattr(self.engine, "threads", self.threads)
        given = dict(batch_size=batch_size, threads=threads, cache=cache and os.path.abspath(cache))
        given.update(options, engine=self.name, precision=precision, card=card, device=device)
        file = _absolute(path, path.endswith(engines.SUFFIXES)), _absolute(pretrained, _is_file(pretrained))
        self._anew = functools.partial(type(self), *file, **given)

    def __reduce__(self):
        if self.calibrated:
            raise GluonAttnError(
                "A Predictor that was calibrated cannot be copied or sent to another process: write its int8 file once "
                "(deploy.quantize, or `gluon-attn export --precision int8`) and open that."
            )
        return self._anew, ()

    def _choose_precision(self, precision, calibration):
        self.calibrated = False
        if self.engine.metadata.get("precision", json.dumps(self.card.precision)) == json.dumps("int8"):
            self.precision = "int8"  # of the file, whatever a card= beside it says
            return
        if calibration is not None:
            self.engine.quantize(list(self._batches(calibration_images(calibration))))
            self.calibrated = True
        elif precision == "int8":
            raise GluonAttnError(
                "precision='int8' needs calibration=: images of the kind that will be classified; or a file that is "
                "int8 already, as deploy.quantize makes it, which is what commands take."
            )
        self.precision = getattr(self.engine, "precision", precision)

    def __call__(self, images, top=5):
        """[(class name, probability), ...] for every image, the `top` most probable."""
        return self.named(self.logits(images), top)

    def named(self, logits, top=5):
        """What a call gives, of the logits (N, classes)."""
        _count("top", top, 1)
        names, results = self.card.classes, []
        for row in _softmax(logits):
            order = np.argsort(-row, kind="stable")[:top]
            results.append([(names[i], float(row[i])) for i in order])
        return results

    def probabilities(self, images):
        """Softmax of the logits, (len(images), classes) float32."""
        return _softmax(self.logits(images))

    def logits(self, images):
        """(len(images), classes) float32, batch by batch."""
        return np.concatenate([self._nothing(), *map(self.run, self._batches(_listed(images)))])

    def _nothing(self):
        """The logits of no images, which no engine need run."""
        return np.zeros((0, len(self.card.classes)), "float32")

    def run(self, prepared):
        """Logits of one batch of prepared images, float32 (N, 3, size, size)."""
        _check_prepared(prepared, self.card.input_size)
        if not len(prepared):
            return self._nothing()
        try:
            logits = np.asarray(self.engine(prepared), np.float32)  # files of float16 give that
        except Exception as problem:  # each engine has exceptions of its own, of which some are plain RuntimeErrors
            reason = " ".join(str(problem).split())[:300]
            raise GluonAttnError(f"{self.name} cannot run the network on images {prepared.shape}: {reason}") from None
        if logits.shape != (len(prepared), len(self.card.classes)):
            raise GluonAttnError(
                f"The network gives {logits.shape} for {len(prepared)} images, and its card names "
                f"{len(self.card.classes)} classes: export it again, or give another card=."
            )
        if not np.isfinite(logits).all():
            raise GluonAttnError(f"The network of {self.card.model} gives NaN or infinite logits: the file is damaged.")
        return logits

    def __repr__(self):
        card = self.card
        return (
            f"<Predictor of {card.model}: {len(card.classes)} classes, {card.input_size}x{card.input_size}, "
            f"on {self.describe()}, {self.batch_size} images at once>"
        )

    def describe(self):
        """Engine, precision and threads, in a few words."""
        rest = getattr(self.engine, "rest", "float32")
        beside = f" and {rest}" if self.precision == "int8" and rest != "float32" else ""
        return f"{self.name} {self.precision}{beside}" + (f", {self.threads} threads" if self.threads else "")

    def _batches(self, images):
        """What the engine takes of them, one batch after the other."""
        for start in range(0, len(images), self.batch_size):
            # One by one: not everything that has an order can be cut, as a deque.
            yield self._prepare([images[i] for i in range(start, min(start + self.batch_size, len(images)))])

    def _prepare(self, images):
        return np.stack([self.transform(readable(image), None) for image in images])


def _softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _listed(images):
    if isinstance(images, (str, os.PathLike)) or (isinstance(images, np.ndarray) and images.ndim == 3):
        raise GluonAttnError("Predictor takes a list of images: write [image] for one.")
    if isinstance(images, Mapping):
        raise GluonAttnError("Predictor takes a list of images, no dictionary: give a list of its values.")
    try:
        return images if hasattr(images, "__len__") and hasattr(images, "__getitem__") else list(images)
    except TypeError:
        raise GluonAttnError(f"Predictor takes a list of images; this is {images!r}.") from None


def readable(image: Any) -> np.ndarray:
    """A path, Pillow image or array as what the transforms take: uint8 RGB (H, W, 3).

    >>> readable(DIGITS / "digit-7.png").dtype
    dtype('uint8')
    """
    from PIL.Image import Image

    from gluon_attn.data.dataset import without_a_choice
    from gluon_attn.data.images import as_seen, read_picture

    if isinstance(image, (str, os.PathLike)):
        return read_picture(image)
    if isinstance(image, Image):
        if not all(image.size):
            raise GluonAttnError(f"An image of {image.size[0]}x{image.size[1]} pixels has nothing to classify.")
        with without_a_choice():
            return as_seen(image)
    if not isinstance(image, np.ndarray):
        raise GluonAttnError(f"An image is a path, a Pillow image or an array uint8 (H, W, 3); this is {image!r:.80}.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise GluonAttnError(f"An array image is uint8 (H, W, 3) RGB; this one is {image.dtype} {image.shape}.")
    if not image.size:
        raise GluonAttnError(f"An image of {image.shape[1]}x{image.shape[0]} pixels has nothing to classify.")
    return image


def calibration_images(calibration: Any, most: int = 256) -> list:
    """At most `most` images, evenly spread, of a list, a folder, or a data set (without its labels).

    >>> len(calibration_images(DIGITS, most=4))
    4
    """
    if isinstance(calibration, (str, os.PathLike)):
        from gluon_attn.predict import find_pictures

        calibration = find_pictures([calibration])
    calibration = _listed(calibration)
    if not len(calibration):
        raise GluonAttnError("calibration is empty: give a few hundred images of the kind that will be classified.")
    indices = np.unique(np.linspace(0, len(calibration) - 1, most).astype(int))
    chosen = [calibration[int(i)] for i in indices]
    return [image[0] if isinstance(image, tuple) else image for image in chosen]


def _check_prepared(images, size):
    """Not by their logits alone: a ReLU can make 0 of NaN, and an answer of that.

    Nor by what the engine says: OpenVINO is compiled for the card's size, and others would answer at any, where a file
    is of free height and width.
    """
    dtype, shape = getattr(images, "dtype", type(images).__name__), tuple(getattr(images, "shape", ()))
    if not isinstance(images, np.ndarray) or dtype != np.float32 or len(shape) != 4:
        raise GluonAttnError(f"A batch is an array float32 (N, 3, {size}, {size}); this one is {dtype} {shape}.")
    if shape[1:] != (3, size, size):
        raise GluonAttnError(
            f"A batch is (N, 3, {size}, {size}) by the card; this one is {shape}. Another size is another card: "
            "Predictor(..., card=predictor.card.but(input_size=...)), where the file's height and width are free."
        )
    if not np.isfinite(images).all():
        raise GluonAttnError("The batch holds NaN or infinite values, which are no picture: prepare it by the card.")


def _path(path_or_name):
    path = os.fspath(path_or_name) if isinstance(path_or_name, (str, os.PathLike)) else None
    if not isinstance(path, str):
        raise GluonAttnError(
            f"Predictor takes a file of `gluon-attn export` or a name of the zoo; this is {path_or_name!r:.80}."
        )
    return path


def _source(path, pretrained, options, engine, card):
    """(what the engine reads, the Card that comes with it, or None)."""
    if not path.endswith(engines.SUFFIXES):
        if _means_a_file(path):
            raise engines.not_exported(path)
        return from_zoo(path, pretrained, options, engines.find(engine).suffix, card)
    if pretrained is not None or options:
        raise GluonAttnError(f"{path} holds its weights: pretrained= and {sorted(options)} are for names of the zoo.")
    return path, None


def _means_a_file(path):
    """Whether a file is meant, by its form or because it is there, and no name of the zoo."""
    from gluon_attn import zoo

    looks_so = os.path.dirname(path) or path.lower().endswith(engines.SUFFIXES)
    return looks_so or (os.path.isfile(path) and path not in zoo.list_models())


def _is_file(pretrained):
    return isinstance(pretrained, (str, os.PathLike)) and os.path.isfile(pretrained)


def _absolute(given, is_file):
    """A file wherever the process that opens it anew stands; a name, or a tag, as it is."""
    return os.path.abspath(given) if is_file else given


def _count(key, value, least, most=None):
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = f"from {least} to {most}" if most is not None else f"of {least} or more"
        raise GluonAttnError(f"{key}={value!r:.40} is not possible: give a whole number {limits}.")
    return int(value)


def _check(engine, precision, calibration, path, cache, card):
    record = engines.find(engine)
    if precision not in record.precisions:
        able = engines.those(lambda each: precision in each.precisions)
        if able == "none":
            raise unknown("precision", precision, record.precisions)
        own = " and ".join(record.precisions)
        raise GluonAttnError(f"The precision {precision!r} is for engine={able}; {engine!r} computes in {own}.")
    if precision != "int8" and calibration is not None:
        raise GluonAttnError("calibration= is for precision='int8'.")
    if path.endswith(engines.SUFFIXES) and not path.endswith(record.suffix):
        raise GluonAttnError(f"engine={engine!r} reads files that end in {record.suffix!r}; {path} does not.")
    if cache is not None and not record.caches:
        able = engines.those(lambda each: each.caches)
        raise GluonAttnError(f"cache= is for engine={able}: {engine} compiles nothing.")
    if card is not None and not isinstance(card, Card):
        raise GluonAttnError(f"card={card!r:.80} is no gluon_attn.deploy.Card.")
