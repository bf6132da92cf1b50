"""A recipe is data: every choice of a training run, from a YAML file, from the command line, or both.

The fields of :class:`Recipe` are the flags (`batch_size` is `--batch-size`) and the keys of a recipe file. Nothing
here needs MXNet, so that `--help` and `--dry-run` of a broken command answer at once.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import yaml

from gluon_attn.errors import unknown
from gluon_attn.files import AnyPath
from gluon_attn.recipe.files import merged, read_file
from gluon_attn.recipe.values import read_value, shown

MOST = {int: 2**31 - 1, float: 10**6}  # of numbers that say nothing else; MXNet's whole numbers have 32 bits
IN_RUN = "recipe.yaml"  # in the folder of a run

# What `zoo.get_model` and `data.get_dataset` take beside a network's keywords and a data set's options. No card keeps
# it: what no flag says would be lost where the run is loaded.
_NOT_IN_ARCH = dict(
    name="--model says it",
    pretrained="--pretrained says it",
    variant="--variant says it",
    classes="--classes says it",
    ctx="--devices says it",
    in_channels="pictures have three",
    root="a --pretrained FILE may lie anywhere",
    features="the whole network is trained",
    norm_layer="it is a class of Python, which no word can be",
    norm_kwargs="a run keeps the words of its network alone, and what is loaded would have Gluon's BatchNorm",
    use_global_stats="--use-global-stats says it",
)
_NOT_IN_OPTIONS = dict(
    name="--dataset says it",
    root="--data-root says it",
    split="a training takes all of them, and an evaluation has --split",
)


def option(
    default: Any,
    help: str,
    kind: Optional[type] = None,
    choices: Optional[Sequence[str]] = None,
    group: str = "recipe",
    least: Optional[float] = 0,
    most: Optional[float] = None,
    above: Optional[float] = None,
    below: Optional[float] = None,
    keys: Sequence[type] = (),
    true: bool = False,
    elsewhere: Optional[Dict[str, str]] = None,
) -> Any:
    """A field with its flag: `kind` is what a word of the command line is read as, by default the default's type.

    least, most, above, below : the bounds of a number, the latter two excluded; `recipe.check` looks at them.
    keys : types of the keys of a dict, beside text
    true : whether `true` and `false` are among the words of a text
    elsewhere : {what is no key of a dict: where it is said instead}

    >>> option(0.1, "learning rate after warm-up", above=0).metadata["kind"]
    <class 'float'>
    """
    kind = kind or type(default)
    most = MOST[kind] if most is None and below is None and kind in MOST else most
    bounds = dict(least=None if above is not None else least, most=most, above=above, below=below)
    metadata = {"help": help, "kind": kind, "choices": choices, "group": group, "keys": keys, "true": true, **bounds}
    metadata["elsewhere"] = elsewhere or {}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Recipe:
    """Everything a run depends on; two runs with equal recipes on one machine give equal weights.

    >>> Recipe.load("digits", model="cifar_se_resnet20", epochs=2).batch_size
    32
    """

    model: str = option("", "network, a name of `gluon-attn list`", group="model")
    pretrained: str = option(
        "", "start from these weights: a tag of `gluon-attn info`, or a file", group="model", true=True
    )
    variant: str = option("", "a tag whose form of the network to build, as in inverse_attention", group="model")
    arch: dict = option(
        {}, "keywords of the network, as in reduction=8,gating=reciprocal", group="model", elsewhere=_NOT_IN_ARCH
    )
    last_gamma: bool = option(
        False, "start each residual branch at zero: its last BatchNorm's gamma is 0", group="model"
    )
    new_head: bool = option(False, "start with a new head, also where the weights have as many classes", group="model")
    freeze: list = option(
        [],
        "parts that no update moves, BatchNorm in inference mode, as in stem,stage1 (also stage2 ..., branch, head)",
        kind=str,
        group="model",
    )
    init: str = option("msra", "initialisation of the weights", choices=("msra", "xavier"), group="model")
    use_global_stats: bool = option(False, "BatchNorm in inference mode, while training too", group="model")
    sync_bn: bool = option(False, "BatchNorm statistics over all devices of this machine", group="model")

    dataset: str = option("", "digits, cifar10, cifar100, imagenet-folder, imagenet-rec, ...", group="data")
    data_root: str = option("", "folder of the data set", group="data")
    dataset_options: dict = option(
        {}, "options of the data set, as in coarse=true", group="data", elsewhere=_NOT_IN_OPTIONS
    )
    classes: int = option(0, "classes of the network; 0: those of the data set", most=1 << 20, group="data")
    image_size: int = option(
        0, "side of the square input; 0: that of the weights it starts from, or of the network", most=9459, group="data"
    )
    progressive: dict = option(
        {},
        "side of the training images from an epoch on, counted from 0, as in 0=32,6=48,8=64; evaluation keeps "
        "--image-size",
        keys=(int,),
        group="data",
    )
    validation: float = option(
        0.0,
        "hold out so many training images of each class (below 1: this share) and choose the best epoch on them; 0: "
        "on the data's own validation split, if there is one",
        group="data",
    )
    reader: str = option(
        "pil", "native: MXNet's ImageRecordIter, as the published AFF runs", choices=("pil", "native"), group="data"
    )
    last_batch: str = option("keep", "the training batch that is not full", choices=("keep", "discard"), group="data")
    on_bad_image: str = option("error", "an image that cannot be read", choices=("error", "skip"), group="data")

    crop: str = option(
        "",
        "pad: pad and crop; resized: random area and aspect",
        choices=("", "pad", "resized", "none"),
        group="augmentation",
    )
    flip: str = option(
        "", "random mirror; by default as the data set allows", choices=("", "on", "off"), group="augmentation"
    )
    auto_aug: str = option(
        "", "AutoAugment's policy: cifar10 or imagenet; rand: RandAugment; none", group="augmentation"
    )
    auto_aug_variant: str = option(
        "paper",
        "of AutoAugment; increasing: as open-aff's autogluon had it: before the crop, black corners, Posterize down to "
        "no bits, Solarize from the other end, at most ten pixels of translation, two rows of the tables changed",
        choices=("paper", "increasing"),
        group="augmentation",
    )
    jitter: float = option(0.0, "brightness, contrast and saturation jitter", most=10, group="augmentation")
    lighting: float = option(0.0, "AlexNet's PCA noise", most=10, group="augmentation")
    erasing: float = option(0.0, "probability of random erasing", most=1, group="augmentation")
    mixup: float = option(0.0, "alpha of mixup's Beta(alpha, alpha); 0: off", group="augmentation")
    cutmix: float = option(
        0.0, "alpha of cutmix's Beta(alpha, alpha); 0: off; with mixup: one of them a batch", group="augmentation"
    )
    mixup_off_epochs: int = option(0, "last epochs without mixup and cutmix", group="augmentation")
    label_smoothing: float = option(
        0.0, "share of the target spread evenly over all classes", below=1, group="augmentation"
    )

    epochs: int = option(200, "passes over the training images", least=1, most=10**6, group="optimiser")
    batch_size: int = option(
        128, "images an update, over all devices and workers", least=1, most=10**6, group="optimiser"
    )
    accumulate: int = option(
        1, "compute each batch in this many pieces, to need less memory", least=1, group="optimiser"
    )
    optimizer: str = option(
        "nag",
        "sgd: momentum; nag: Nesterov's; adamw: Adam with decoupled decay, for which --wd 0.05 is usual",
        choices=("sgd", "nag", "adamw"),
        group="optimiser",
    )
    lr: float = option(0.1, "learning rate after warm-up", above=0, group="optimiser")
    lr_batch: int = option(
        0, "batch size that --lr is meant for: another one scales it; 0: no scaling", group="optimiser"
    )
    head_lr: float = option(1.0, "factor of the learning rate of the head", above=0, group="optimiser")
    momentum: float = option(0.9, "momentum of sgd and nag", below=1, group="optimiser")
    wd: float = option(1e-4, "weight decay, as MXNet defines it: gradient + wd * weight", most=1, group="optimiser")
    no_wd: bool = option(
        False, "no weight decay on biases and on the gamma and beta of normalisations", group="optimiser"
    )
    schedule: str = option("cosine", "learning rate over time", choices=("cosine", "step"), group="optimiser")
    milestones: list = option(
        [], "epochs, counted from 0, where the step schedule multiplies by lr_decay", kind=int, group="optimiser"
    )
    lr_decay: float = option(0.1, "factor at each milestone", above=0, most=1, group="optimiser")
    warmup_epochs: float = option(0.0, "linear warm-up from 0", group="optimiser")
    patience: int = option(
        0,
        "end after so many evaluations without a better accuracy on the split that chooses; 0: never",
        group="optimiser",
    )
    ema: float = option(
        0.0,
        "decay of a moving average of the weights, which is then what is evaluated; 0: off",
        below=1,
        group="optimiser",
    )
    teacher: str = option("", "distil from this network, with its pretrained weights", group="optimiser")
    teacher_weights: str = option("true", "the teacher's weights: a tag or a file", group="optimiser", true=True)
    temperature: float = option(20.0, "of the teacher's softmax", above=0, group="optimiser")
    hard_weight: float = option(0.5, "share of the true labels in a distillation loss", most=1, group="optimiser")

    dtype: str = option("float32", "arithmetic of the network", choices=("float32", "float16", "bfloat16"), group="run")
    amx: str = option("auto", "matrix units, for bfloat16 on a CPU that has them", choices=("auto", "off"), group="run")
    devices: str = option("", "as in gpu:0,gpu:1 or cpu:0; by default every GPU, else the CPU", group="run")
    threads: int = option(
        0, "CPU cores for the network; 0: OMP_NUM_THREADS, or MXNet's choice, half of them", most=1024, group="run"
    )
    workers: int = option(0, "processes that read and augment images", most=1024, group="run")
    seed: int = option(0, "seed of the weights, the order and the augmentation", group="run")
    kvstore: str = option(
        "device",
        "dist_sync and dist_device_sync: several machines, see `gluon-attn launch`",
        choices=("local", "device", "dist_sync", "dist_device_sync"),
        group="run",
    )
    output: str = option("", "folder of the run; by default runs/MODEL-DATASET-SEED", group="run")
    resume: str = option(
        "", "auto: go on where this folder's run stopped, if it did; or a checkpoint file", group="run"
    )
    checkpoint_steps: int = option(0, "checkpoint every so many updates too, not only every epoch", group="run")
    eval_every: int = option(1, "evaluate after every so many epochs, and after the last", least=1, group="run")
    eval_batch_size: int = option(0, "images a batch of the evaluation; 0: the training's", most=10**6, group="run")

    @classmethod
    def load(cls, name, **overrides):
        """The recipe of a file, or of that name among the built-in ones, with `overrides` on top."""
        return cls.of(merged(read_file(name), overrides))

    @classmethod
    def of(cls, values):
        """A recipe from plain values: keys may be spelt as flags, and every value is read as its field's type."""
        fields = {f.name: f for f in dataclasses.fields(cls)}
        read = {}
        for key, value in values.items():
            name = key.replace("-", "_") if isinstance(key, str) else key
            if name not in fields:
                given = key if isinstance(key, str) else shown(key)
                raise unknown("option of a recipe", given, [n.replace("_", "-") for n in fields])
            read[name] = read_value(fields[name], value)
        return cls(**read)

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    def as_dict(self, changed_only=False):
        """Values as JSON has them, by field name in field order; `changed_only` leaves the defaults out."""
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        return {k: v for k, v in values.items() if not changed_only or v != getattr(_DEFAULT, k)}

    def to_yaml(self):
        """The text of a recipe file that gives this recipe, whatever the defaults of the script that reads it."""
        changed = self.as_dict(changed_only=True)
        rest = {name: value for name, value in self.as_dict().items() if name not in changed}
        parts = {"": changed, "\n# As by default:\n": rest}
        return "".join(head + _as_flags(values) for head, values in parts.items() if values)

    @property
    def peak_lr(self):
        """The learning rate that the schedule starts from, scaled to the batch size."""
        return self.lr * self.batch_size / self.lr_batch if self.lr_batch else self.lr

    def size_at(self, epoch, usual):
        """The side of the training images in that epoch; `usual` before the first one that `progressive` names."""
        begun = [int(start) for start in self.progressive if int(start) <= epoch]
        return {int(start): size for start, size in self.progressive.items()}[max(begun)] if begun else usual

    @property
    def folder(self):
        return Path(os.path.expanduser(self.output) or f"runs/{self.model}-{self.dataset}-{self.seed}")

    @property
    def checkpoint(self):
        """The file that `resume` names, or None where it names none."""
        return None if self.resume in ("", "auto") else Path(self.resume).expanduser()


def _as_flags(values):
    return yaml.safe_dump({name.replace("_", "-"): value for name, value in values.items()}, sort_keys=False)


def of_run(folder: AnyPath) -> Optional[Recipe]:
    """The recipe that the run in `folder` was started with, or None where the folder does not say.

    >>> of_run("runs/cats").epochs
    """
    folder = Path(folder).expanduser()
    if (folder / IN_RUN).is_file():
        return Recipe.load(folder / IN_RUN)
    try:
        values = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Recipe.of(values)


_DEFAULT = Recipe()
