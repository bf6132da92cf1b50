"""The table of published weights (sources.json) and of those stored under params/, and how a tag picks one."""

from __future__ import annotations

import functools
import json
import os
import posixpath
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import unquote, urlsplit

from gluon_attn.catalogue.arguments import plain
from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import GluonAttnError, WeightsError, unknown
from gluon_attn.weights.card import Card
from gluon_attn.weights.layouts import SOURCES

STORED = "weights.params"  # params/<dataset>/<model>/<tag>/weights.params


@dataclass(frozen=True)
class WeightsEntry:
    """One file of weights: where it is, how it is verified, and what it was trained for. Errors in percent.

    >>> choose("aff_resnet50", "openaff").file_name
    'aff_resnet50-openaff-aedcb94b.params'
    """

    model: str
    tag: str
    source: str
    url: Optional[str]
    member: Optional[str]
    hash_kind: Optional[str]
    hash: Optional[str]
    top1_error: Optional[float]
    top5_error: Optional[float]
    classes: int
    preprocessing: dict
    arch: dict = field(default_factory=dict)
    license: str = ""
    note: str = ""
    by_hand: bool = False  # published where no program can fetch it
    path: Optional[str] = None  # where a stored file is
    file_classes: Optional[int] = None  # outputs in the file, where only the first `classes` were trained

    def __post_init__(self):
        object.__setattr__(self, "arch", plain(self.arch))

    @property
    def dataset(self):
        return self.preprocessing["dataset"]

    def fits(self, dataset):
        """Whether the weights know the labels of that data set, a record of catalogue/datasets.py."""
        return dataset.known_to(self.dataset)

    @property
    def usual_labels(self):
        """Whether the classes are those that the network's name promises: not CIFAR-100's super-classes, not part of
        ImageNet's."""
        return self.dataset not in DATASETS or not DATASETS[self.dataset].named_only

    @property
    def published_name(self):
        """The file's name where it is published and on a mirror, the archive's where it is in one."""
        return unquote(posixpath.basename(urlsplit(self.url).path)) if self.url and not self.by_hand else None

    @property
    def file_name(self):
        """The file's name in the folder of downloaded weights; as GluonCV's, with the hash in it."""
        mark = f"-{self.hash[:8]}" if self.hash else ""
        return f"{self.model}-{self.tag}{mark}{self.suffix}"

    @property
    def suffix(self):
        return SOURCES[self.source].SUFFIX


@functools.lru_cache(maxsize=None)
def _published():
    table = json.loads((Path(__file__).parent / "sources.json").read_text(encoding="utf-8"))
    return tuple(_entry(row, table) for row in table["weights"])


def _entry(row, table):
    row = dict(row)
    trained_on = DATASETS[row.pop("dataset")]
    kind, _, digest = row.pop("hash", "").partition(":")
    optional = dict.fromkeys(("url", "member", "top1_error", "top5_error"))
    return WeightsEntry(
        **{**optional, **row},
        classes=trained_on.classes,
        preprocessing=dict(trained_on.preparation, dataset=trained_on.name),
        hash_kind=kind or None,
        hash=digest or None,
        license=table["licenses"][row["source"]],
    )


def stored_folders() -> List[Path]:
    """Where params/ may be: $GLUON_ATTN_PARAMS; beside the package (a checkout), in it (installed), or here.

    >>> stored_folders()[0].name
    'params'
    """
    named = os.environ.get("GLUON_ATTN_PARAMS")
    package = Path(__file__).resolve().parents[1]
    return [Path(named).expanduser()] if named else [package.parent / "params", package / "params", Path("params")]


def _stored(model):
    """Entries of params/<dataset>/<model>/<tag>/, described by the metrics.json that lies beside the weights.

    A tag that another file of the model has too, of another data set or a published one, follows its data set's name.
    """
    found = {}
    for folder in stored_folders():
        for path in sorted(folder.glob(f"*/{model}/*/{STORED}")):
            found.setdefault((path.parents[2].name, path.parent.name), path)
    tags = [tag for _, tag in found] + [entry.tag for entry in _published() if entry.model == model]
    return tuple(
        _stored_entry(model, f"{dataset}-{tag}" if tags.count(tag) > 1 else tag, path)
        for (dataset, tag), path in found.items()
    )


def _stored_entry(model, tag, path):
    metrics = path.parent / "metrics.json"
    try:
        described = json.loads(metrics.read_text(encoding="utf-8"))["weights"]
        card = Card.beside(path)
        # Folders stored before there were cards have it all in metrics.json.
        preprocessing = card.preprocessing if card else dict(described["preprocessing"])
        return WeightsEntry(
            model=model,
            tag=tag,
            source="gluon_attn",
            url=None,
            member=None,
            hash_kind="sha256",
            hash=described["sha256"],
            top1_error=described["top1_error"],
            top5_error=described.get("top5_error"),
            classes=described["classes"],
            preprocessing={"dataset": path.parents[2].name, **preprocessing},
            arch=card.arch if card else described.get("arch", {}),
            license="Apache-2.0",
            note=f"trained here: {path.parent / 'command.txt'}",
            path=str(path),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, GluonAttnError) as problem:
        raise WeightsError(
            f"{path} has no usable description in {metrics} ({problem!r}): "
            "store the run again with `python -m gluon_attn.commands.store`."
        ) from None


def entries(model: str) -> Tuple[WeightsEntry, ...]:
    """Every known file of weights for the model `model`; the published ones first.

    >>> [entry.tag for entry in entries("cifar_cbam_resnet20")]
    ['clutter', 'digits']
    """
    return tuple(entry for entry in _published() if entry.model == model) + _stored(model)


def variants(model: str) -> Dict[str, Mapping]:
    """{tag or source: the architecture arguments its files were trained with}.

    >>> variants("se_resnet50")["imgclsmob"]
    {'stride_in': '1x1'}
    """
    known = entries(model)
    by_source = {entry.source: entry.arch for entry in reversed(known)}
    return {**by_source, **{entry.tag: entry.arch for entry in known}}


def all_published() -> Tuple[WeightsEntry, ...]:
    """Every row of sources.json: the files that others published.

    >>> {entry.source for entry in all_published()} >= {"openaff", "imgclsmob", "timm"}
    True
    """
    return _published()


def choose(model: str, tag: Any = True, dataset: Any = None) -> WeightsEntry:
    """The entry that `tag` means: its tag, or its source or dataset where only one file has that; True the default.

    The default is the first entry for the labels that the model's name promises: weights for the 20 super-classes
    of CIFAR-100, or for Tiny ImageNet, are given only to whoever names them. With `dataset` (a record of
    catalogue/datasets.py) it is the first one for its labels.

    >>> choose("cifar_aff_resnet20", "digits").classes
    10
    """
    known = entries(model)
    if not known:
        raise WeightsError(f"No weights are known for {model!r}: pretrained=False, or the path of a file.")
    tags = [entry.tag for entry in known]
    if tag is True and dataset is not None:
        fitting = [entry for entry in known if entry.fits(dataset)]
        if not fitting:
            others = ", ".join(f"{entry.tag} ({entry.dataset})" for entry in known)
            raise WeightsError(
                f"No weights of {model!r} are for {dataset.name}; there are {others}: name one, or a file."
            )
        return fitting[0]
    if tag is True:
        plain = [entry for entry in known if entry.usual_labels]
        if not plain:
            raise WeightsError(
                f"{model!r} has only weights for other labels: ask for {tags[0]!r} by name if you mean them."
            )
        return plain[0]
    for key in ("tag", "source", "dataset"):
        matching = [entry for entry in known if getattr(entry, key) == tag]
        if len(matching) > 1 or (matching and key != "tag" and not matching[0].usual_labels):
            raise WeightsError(f"{tag!r} is not one file for {model!r}: choose among {', '.join(tags)}.")
        if matching:
            return matching[0]
    meant = [known for known in tags if known.endswith(f"-{tag}")]
    if len(meant) > 1:
        raise WeightsError(f"{tag!r} is not one file for {model!r}: choose among {', '.join(meant)}.")
    raise unknown(f"weights tag for {model!r}", tag, tags, WeightsError)
