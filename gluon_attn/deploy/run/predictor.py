"""`Predictor`: pictures in, class names out, from a stored file or a name of the zoo, on either engine."""

from __future__ import annotations

import os

import numpy as np

from gluon_attn.deploy.run import engines
from gluon_attn.deploy.run.from_zoo import from_zoo
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.weights.card import Card


class Predictor:
    """Classes of pictures, most probable first.

    Parameters
    ----------
    path_or_name : a file of `gluon-attn export` (`.onnx`, `-symbol.json`), or a name of the zoo
    pretrained : of a name: True (the default), a tag, or the path of a file
    options : of a name: `classes`, and the arguments of the network
    engine : 'onnxruntime' or 'mxnet'; by default what the file is for, and onnxruntime for a name
    precision : 'float32' or 'int8' (calibrated on `calibration`: a list as for a call, or a data set of the zoo)
    batch_size, threads : of one run; threads=0 means one a core
    card : what an ONNX file of other origin does not say (weights.card.Card)

    Called with a list of paths, Pillow images or uint8 (H, W, 3) arrays, prepared as `gluon-attn evaluate` does it.
    Paths and Pillow images are turned upright and get a white ground, as in `gluon-attn predict`.
    """

    def __init__(
        self,
        path_or_name,
        pretrained=None,
        engine=None,
        precision="float32",
        calibration=None,
        *,
        batch_size=16,
        threads=0,
        card=None,
        **options,
    ):
        path = os.fspath(path_or_name)
        stored = path.endswith(engines.SUFFIXES)
        engine = engine or engines.default(path)
        _check(engine, precision, calibration, path)
        if stored and (pretrained is not None or options):
            raise GluonAttnError(
                f"{path} holds its weights: pretrained= and {sorted(options)} are for names of the zoo."
            )
        if stored:
            source, found = path, None
        else:
            source, found = from_zoo(path, pretrained, options, engines.find(engine).suffix, card)
        self.engine = engines.load(engine)(source, threads, precision)
        self.card = card or found or Card.from_metadata(self.engine.metadata, path)
        self.name, self.precision, self.threads = engine, precision, threads
        self.batch_size, self.transform = batch_size, self.card.transform()
        if calibration is not None:
            self.engine.quantize(self._calibration_batches(calibration))
        self.engine.prepare(self.card.input_size)

    def __call__(self, images, top=5):
        """[(class name, probability), ...] for every image, the `top` most probable."""
        return self.named(self.logits(images), top)

    def named(self, logits, top=5):
        """What a call gives, of the logits (N, classes)."""
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
        if isinstance(images, (str, os.PathLike)) or (isinstance(images, np.ndarray) and images.ndim == 3):
            raise GluonAttnError("Predictor takes a list of images: write [image] for one.")
        starts = range(0, len(images), self.batch_size)
        batches = [self.run(self._prepare(images[i : i + self.batch_size])) for i in starts]
        return np.concatenate(batches) if batches else np.zeros((0, len(self.card.classes)), "float32")

    def run(self, prepared):
        """Logits of one batch of prepared images, float32 (N, 3, size, size)."""
        return self.engine(prepared)

    def __repr__(self):
        card = self.card
        return (
            f"<Predictor of {card.model}: {len(card.classes)} classes, {card.input_size}x{card.input_size}, "
            f"on {self.describe()}, {self.batch_size} images at once>"
        )

    def describe(self):
        """Engine, precision and threads, in a few words."""
        return f"{self.name} {self.precision}" + (f", {self.threads} threads" if self.threads else "")

    def _prepare(self, images):
        return np.stack([self.transform(readable(image), None) for image in images])

    def _calibration_batches(self, calibration):
        images = calibration_images(calibration)
        return [self._prepare(images[i : i + self.batch_size]) for i in range(0, len(images), self.batch_size)]


def _softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def readable(image):
    """A path, Pillow image or array as what the transforms take: uint8 RGB (H, W, 3)."""
    from gluon_attn.data.images import as_seen, read_picture

    if isinstance(image, (str, os.PathLike)):
        return read_picture(image)
    if not isinstance(image, np.ndarray):
        return as_seen(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise GluonAttnError(f"An array image is uint8 (H, W, 3) RGB; this one is {image.dtype} {image.shape}.")
    return image


def calibration_images(calibration, most=256):
    """At most `most` images, evenly spread, of a list, a folder, or a data set (without its labels)."""
    if isinstance(calibration, (str, os.PathLike)):
        from gluon_attn.predict import find_pictures

        calibration = find_pictures([calibration])
    if not len(calibration):
        raise GluonAttnError("calibration is empty: give a few hundred images of the kind that will be classified.")
    indices = np.unique(np.linspace(0, len(calibration) - 1, most).astype(int))
    chosen = [calibration[int(i)] for i in indices]
    return [image[0] if isinstance(image, tuple) else image for image in chosen]


def _check(engine, precision, calibration, path):
    record = engines.find(engine)
    if precision not in record.precisions:
        raise unknown("precision", precision, record.precisions)
    if precision == "int8" and calibration is None:
        raise GluonAttnError("precision='int8' needs calibration=: images of the kind that will be classified.")
    if precision == "float32" and calibration is not None:
        raise GluonAttnError("calibration= is for precision='int8'.")
    if path.endswith(engines.SUFFIXES) and not path.endswith(record.suffix):
        raise GluonAttnError(f"engine={engine!r} reads files that end in {record.suffix!r}; {path} does not.")
