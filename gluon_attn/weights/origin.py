"""What the word `pretrained` means, in one place: a row of the table of weights, a file with its card, or nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import GluonAttnError, WeightsError, unknown
from gluon_attn.files import AnyPath
from gluon_attn.weights.card import Card
from gluon_attn.weights.load import classes_of, fitting, identify, load_pretrained, load_weights
from gluon_attn.weights.table import STORED, WeightsEntry, choose

_WORDS = {"": False, "false": False, "true": True}  # of command lines and recipes


@dataclass(frozen=True)
class Origin:
    """Where the values of the network `model` come from; an Origin that is false starts at random.

    path, card : the file, for a path, and the card beside it, or beside stored weights
    entry : the row of published or stored weights, for a tag, and for a file that is known by its hash

    >>> Origin.of("cifar_aff_resnet20", "digits").classes, bool(Origin.of("resnet50", ""))
    (10, False)
    """

    model: str
    entry: Optional[WeightsEntry] = None
    path: Optional[str] = None
    card: Optional[Card] = None

    @classmethod
    def of(cls, model: str, pretrained: Any, dataset=None) -> Origin:
        """pretrained : False or '', True or 'true' (the default; with `dataset`, a record, the one for it), a tag, or
        the path of a file"""
        if isinstance(pretrained, (str, os.PathLike)):
            pretrained = _WORDS.get(str(pretrained).lower(), pretrained)
        elif not isinstance(pretrained, bool) and pretrained is not None:
            raise GluonAttnError(f"pretrained={pretrained!r} is no weights: give True, a tag, or the path of a file.")
        if pretrained in (False, None):
            return cls(model)
        if pretrained is not True and is_path(pretrained):
            path = os.fspath(pretrained)
            card = _beside(model, path)
            return cls(model, None if card else identify(path), path, card)
        entry = choose(model, pretrained, dataset)
        return cls(model, entry, card=Card.beside(entry.path) if entry.path else None)

    def __bool__(self):
        return self.entry is not None or self.path is not None

    @property
    def tag(self) -> Optional[str]:
        """The variant that the network is to be built in."""
        return self.entry and self.entry.tag

    @property
    def arch(self) -> Mapping:
        """Keywords of the network beyond what its name and its variant say."""
        return self.card.arch if self.card else {}

    @property
    def classes(self) -> Optional[int]:
        """As many as the weights know, where that is known without opening them."""
        return len(self.card.classes) if self.card else self.entry.classes if self.entry else None

    @property
    def preprocessing(self) -> dict:
        """mean, std, input_size, ... as far as the weights say them."""
        return self.card.preprocessing if self.card else self.entry.preprocessing if self.entry else {}

    def classes_in_file(self, build: Callable) -> Optional[int]:
        """The classes of a file that neither card nor table knows; `build` makes the network for any number of them."""
        return classes_of(build(), self.path)

    def fitting(self, build: Callable, given: Mapping) -> dict:
        """Keywords, beyond those `given`, of the network of a file that neither card nor table knows, where it is told
        by its layout alone; `build` makes the network without them."""
        if self.path is None or self.card is not None or self.entry is not None:
            return {}
        return fitting(build(), self.path, given)

    def load(self, net, root=None, ctx=None, adapt=False):
        """Into `net`, which was built for them; `adapt` as in `load_weights`."""
        if self.path is None:
            load_pretrained(net, self.entry, root=root, ctx=ctx)
        else:
            load_weights(net, self.path, ctx=ctx, adapt=adapt)

    def card_for(self, usual: dict, classes: int, arch: Mapping) -> Card:
        """The card of a network with these weights.

        usual : preprocessing where they say nothing; classes, arch : of the network that was built
        """
        if self.card is not None and len(self.card.classes) == classes:
            return self.card.but(arch=arch)
        facts = {**usual, **self.preprocessing}
        return Card.of(self.model, facts, self.class_names(classes), arch=arch, source=self.tag or "")

    def class_names(self, classes: int, otherwise: Sequence[str] = ()) -> list:
        """Those that the weights' data set is known by; where none is known, those given, or numbers."""
        record = DATASETS.get(self.entry.dataset) if self.entry else None
        names = self.card.classes if self.card else record.class_names if record else None
        names = otherwise if names is None else names
        return list(names) if len(names) == classes else [f"class {number}" for number in range(classes)]


def is_path(text: AnyPath) -> bool:
    """Whether `pretrained` is a file's path and no tag.

    >>> is_path("runs/x/last.params"), is_path("openaff")
    (True, False)
    """
    text = os.fspath(text)
    return os.path.isfile(text) or os.sep in text or bool(os.path.splitext(text)[1])


def _beside(model, path):
    """The card of the folder that the file is in, which must be for this network."""
    card = Card.beside(path)
    if card is not None and card.model.lower() != model:
        raise WeightsError(
            f"{path} is a {card.model}, as the card beside it says, not a {model}: ask for {card.model!r}."
        )
    return card


def of_run(folder: AnyPath, which: Optional[str] = None) -> Origin:
    """The weights of a run's folder, or of a stored one.

    which : 'best' or 'last'; by default the best where held-out images chose it, else the last: an epoch that was
        chosen on the test images promises too much. A stored folder has one of them, and takes no `which`

    >>> of_run("runs/cats", which="last").path
    'runs/cats/last.params'
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise GluonAttnError(f"There is no folder {str(folder)!r}: give the --output of a training.")
    if which not in (None, "best", "last"):
        raise unknown("weights of a run", which, ("best", "last"))
    card = Card.read(folder)
    names = [f"{which}.params"] if which else [STORED, f"{_fair(folder)}.params", "last.params"]
    for name in names:
        if (folder / name).is_file():
            return Origin(card.model.lower(), path=str(folder / name), card=card)
    if (folder / STORED).is_file():
        raise WeightsError(f"{folder} holds stored weights, which are of one epoch alone: leave out which={which!r}.")
    raise WeightsError(f"{folder} has no {names[-1]}: its training has not finished an epoch.")


def _fair(folder):
    """'best' where the images that chose it are not those of the test."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        return "last" if metrics["best_chosen_on"] == "test" else "best"
    except (OSError, ValueError, KeyError, TypeError):
        return "last"
