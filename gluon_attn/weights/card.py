"""The card: what makes a file of weights a model, in one record, wherever the weights go.

A run and a stored folder keep it as `card.json` beside the weights, symbol files as `PREFIX-card.json`, ONNX files in
their metadata, one JSON value a key. Pure Python: it is read where there is no MXNet.

>>> card = Card("cifar_aff_resnet20", ["cat", "dog"], mean=(0.5,) * 3, std=(0.25,) * 3, input_size=32)
>>> card.write(folder)                      # FOLDER/card.json, whole or not at all
>>> Card.read(folder).transform()(image)    # an image as `gluon-attn evaluate` prepares it
"""

from __future__ import annotations

import json
import numbers
import os
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.files import write_text

NAME = "card.json"  # in the folder of a run, or of stored weights
LARGEST_FILE = 16 << 20  # bytes: a million classes have shorter names
LARGEST_SIDE = 4096  # of an input, and of the picture that it is cut out of
PRECISIONS = ("float32", "int8")


@dataclass(frozen=True)
class Card:
    """What a network must know besides its values. A Card that exists is valid: mistakes raise GluonAttnError.

    model : a name of the zoo (or any other word, for a network from elsewhere)
    classes : the classes' names, in the order of the outputs
    mean, std : of red, green and blue in 0..1: what the network sees is (image / 255 - mean) / std
    input_size : side of the square that the network sees, in pixels
    crop_pct : input_size / (what the shorter side of a picture is resized to before the centre is cut); 1 cuts nothing
        off the shorter side. Evaluation is to see what training saw: 1 after the crops 'pad' and 'none'
    interpolation : of that resizing: 'nearest', 'bilinear', 'bicubic' or 'lanczos'
    arch : keywords of `get_model(model, **arch)` beyond what the name says
    dataset : what the weights were trained on; '' where that is not known
    source : where the values are from: the tag of published or stored weights, or 'run' ('' where not known)
    precision : of a deployed file's arithmetic: 'float32' or 'int8'
    outputs : names of what a deployed file gives, in its order
    notes : anything else that a person wants to know later (versions, how the best epoch was chosen); `validation` and
        `trained_on` tell which pictures of a folder that nobody has divided were held out (commands/_undivided.py)

    >>> card = Card("resnet18", ["cat", "dog"], mean=(0.5,) * 3, std=(0.25,) * 3, input_size=32, crop_pct=1)
    >>> card.transform()(pictures[0]).shape
    (3, 32, 32)
    """

    model: str
    classes: tuple
    mean: tuple
    std: tuple
    input_size: int
    crop_pct: float = 0.875
    interpolation: str = "bilinear"
    arch: dict = field(default_factory=dict)
    dataset: str = ""
    source: str = ""
    precision: str = "float32"
    outputs: tuple = ("logits",)
    notes: dict = field(default_factory=dict)

    def __post_init__(self):
        for key, check in _CHECKS.items():
            object.__setattr__(self, key, check(key, getattr(self, key)))
        if self.resize > LARGEST_SIDE:
            raise _wrong("crop_pct", self.crop_pct, f"one that resizes to {LARGEST_SIDE} pixels at most")

    @classmethod
    def of(cls, model: str, preprocessing: dict, classes: Sequence[str], **more: Any) -> Card:
        """The Card of a `preprocessing` (of a name of the zoo, or of a row of weights) and the classes' names."""
        keys = ("mean", "std", "input_size", "crop_pct", "interpolation", "dataset")
        return cls(model, classes, **{key: preprocessing[key] for key in keys if key in preprocessing}, **more)

    @property
    def resize(self) -> int:
        """What the shorter side of a picture becomes before the centre is cut."""
        return round(self.input_size / self.crop_pct)

    @property
    def preprocessing(self) -> dict:
        """mean, std, input_size, crop_pct, interpolation and dataset, as a row of weights has them."""
        keys = ("mean", "std", "input_size", "crop_pct", "interpolation", "dataset")
        return {key: getattr(self, key) for key in keys}

    @property
    def preparation(self) -> str:
        """The transform in words."""
        size = self.input_size
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"shorter side to {self.resize} ({self.interpolation}), centre {size}x{size}, mean {mean}, std {std}"

    def transform(self) -> Callable:
        """The one way in which pictures are prepared for the network: uint8 (H, W, 3) -> float32 (3, size, size).

        The run, evaluate, predict, explain, export, the Predictor and the calibration of int8 all take it from here.
        """
        from gluon_attn.data.transforms import eval_transform

        return eval_transform(self.input_size, self.mean, self.std, self.resize, self.interpolation)

    def but(self, **changes: Any) -> Card:
        """The same card with other values."""
        return replace(self, **changes)

    def write(self, path: os.PathLike) -> Path:
        """Write it as `path`, or as card.json of the folder `path`; the old file survives whatever goes wrong."""
        path = _file(path)
        write_text(path, json.dumps(asdict(self), indent=1, allow_nan=False) + "\n")
        return path

    @classmethod
    def read(cls, path: os.PathLike) -> Card:
        """The card that `write` left at `path`, a file or a folder."""
        path = _file(path)
        values = _object(path)
        if isinstance(values.get("classes"), str):  # the form of symbol files written by gluon_attn 0.1
            return cls.from_metadata(values, path)
        for key in values:
            if key not in _KEYS:
                raise unknown(f"entry of {path}:", key, _KEYS)
        return cls._from(values, path)

    @classmethod
    def beside(cls, weights: os.PathLike) -> Optional[Card]:
        """The card in the folder of a file of weights, or None where there is none."""
        path = Path(weights).expanduser().parent / NAME
        return cls.read(path) if path.is_file() else None

    def to_metadata(self) -> dict:
        """{key: JSON text}, for the metadata of an ONNX file."""
        return {key: json.dumps(value, allow_nan=False) for key, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: dict, where: Any) -> Card:
        """The inverse. What other programs keep among the metadata is left alone."""
        values = {}
        for key in _KEYS:
            if key in metadata:
                values[key] = _parsed(metadata[key], f"{where}: its entry {key}")
        return cls._from(values, where)

    @classmethod
    def _from(cls, values, where):
        needed = [entry.name for entry in fields(cls) if entry.default is entry.default_factory is MISSING]
        missing = [key for key in needed if key not in values]
        if missing:
            raise GluonAttnError(
                f"{where} does not say its {', '.join(missing)}: it was not written by gluon_attn. Export or train it "
                "again, or give card=Card(...) (gluon_attn.weights.card)."
            )
        try:
            return cls(**values)
        except GluonAttnError as problem:
            raise GluonAttnError(f"{where}: {problem}") from None


_KEYS = tuple(entry.name for entry in fields(Card))


def _file(path):
    path = Path(path).expanduser()
    return path / NAME if path.is_dir() else path


def _object(path):
    """The JSON object in the file."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise GluonAttnError(f"{path} has more than {LARGEST_FILE} bytes: that is no card.")
        content = path.read_bytes()
    except OSError as problem:
        raise GluonAttnError(f"Cannot read the card {path}: {problem.strerror}.") from None
    values = _parsed(content, path)
    if not isinstance(values, dict):
        raise GluonAttnError(f"{path} is no card: it holds no JSON object.")
    return values


def _parsed(text, where):
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        reason = str(problem)[:100] or type(problem).__name__
        raise GluonAttnError(f"{where} is not JSON ({reason}). Write it again.") from None


def _wrong(key, value, wanted):
    shown = repr(value)
    return GluonAttnError(f"A card's {key} is {shown if len(shown) < 80 else shown[:80] + '...'}: give {wanted}.")


def _is_number(value, largest=1e6):
    """Whether it is a finite number; beyond `largest` float32 would not hold what is computed from it."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and abs(value) <= largest  # false for NaN


def _text(key, value):
    if not isinstance(value, str) or (key == "model" and not value):
        raise _wrong(key, value, "text")
    return value


def _names(key, value):
    names = None if isinstance(value, (str, bytes, dict)) else _listed(value)
    if not names or not all(isinstance(name, str) for name in names):
        raise _wrong(key, value, "a list of names, one an output")
    return names


def _listed(value):
    try:
        return tuple(value)
    except TypeError:
        return None


def _colours(key, value):
    values = _listed(value)
    if not values or len(values) != 3 or not all(map(_is_number, values)):
        raise _wrong(key, value, "three finite numbers, of red, green and blue in 0..1")
    if key == "std" and not all(number >= 1e-6 for number in values):
        raise _wrong(key, value, "three numbers above 0: pictures are divided by them")
    return tuple(map(float, values))


def _side(key, value):
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not 1 <= value <= LARGEST_SIDE:
        raise _wrong(key, value, f"a whole number of pixels from 1 to {LARGEST_SIDE}")
    return int(value)


def _share(key, value):
    if not _is_number(value) or not 0 < value <= 1:
        raise _wrong(key, value, "a number above 0, at most 1 (0.875: the picture's shorter side to 256 for 224)")
    return float(value)


def _interpolation(key, value):
    from gluon_attn.data.images import interpolation_of

    interpolation_of(_text(key, value))
    return value


def _precision(key, value):
    if value not in PRECISIONS:
        raise unknown("precision", value, PRECISIONS)
    return value


def _dictionary(key, value):
    """As JSON has it, so that a card is equal to what is read again."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise _wrong(key, value, "names with their values, as in {'reduction': 8}")
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise _wrong(key, value, "values that JSON can hold: numbers, text, lists, none of them NaN") from None


_CHECKS = {
    "model": _text,
    "classes": _names,
    "mean": _colours,
    "std": _colours,
    "input_size": _side,
    "crop_pct": _share,
    "interpolation": _interpolation,
    "arch": _dictionary,
    "dataset": _text,
    "source": _text,
    "precision": _precision,
    "outputs": _names,
    "notes": _dictionary,
}
