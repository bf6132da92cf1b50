"""What a deployed network must know besides its graph: its name, its classes, and how its images are prepared."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from gluon_attn.errors import GluonAttnError


@dataclass(frozen=True)
class Card:
    """Stored in ONNX files as metadata (one JSON value a field), beside symbol files as JSON."""

    model: str
    classes: tuple  # names, in the order of the outputs
    mean: tuple
    std: tuple
    input_size: int
    crop_pct: float = 0.875
    interpolation: str = "bilinear"

    def transform(self):
        """The steps of `gluon-attn evaluate` and `predict`: image -> float32 (3, H, W)."""
        from gluon_attn.commands.loading import transform_for

        return transform_for(asdict(self))

    def to_metadata(self):
        return {key: json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata, where):
        missing = [field.name for field in fields(cls) if field.name not in metadata]
        if missing:
            raise GluonAttnError(
                f"{where} does not say its {', '.join(missing)}: it was not written by `gluon-attn export`. Give "
                "Predictor(card=Card(...))."
            )
        values = {field.name: json.loads(metadata[field.name]) for field in fields(cls)}
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def card_of(name, preprocessing, classes):
    """The Card of a zoo name from its `preprocessing` (commands/network.py) and the classes' names."""
    wanted = ("mean", "std", "input_size", "crop_pct", "interpolation")
    facts = {key: preprocessing[key] for key in wanted}
    facts.update(mean=tuple(map(float, facts["mean"])), std=tuple(map(float, facts["std"])))
    return Card(model=name, classes=tuple(map(str, classes)), **facts)
