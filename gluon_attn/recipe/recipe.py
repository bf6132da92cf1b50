"""A recipe is data: every choice of a training run, from a YAML file, from the command line, or both.

The fields of :class:`Recipe` are the flags (``batch_size`` is ``--batch-size``) and the keys of a recipe file. Nothing
here needs MXNet, so that ``--help`` and ``--dry-run`` of a broken command answer at once.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gluon_attn.errors import GluonAttnError, unknown

RECIPES = Path(__file__).resolve().parent


def option(default, help, kind=None, choices=None, group="recipe"):
    """A field with its flag: ``kind`` is what a word of the command line is read as, by default the default's type."""
    metadata = {"help": help, "kind": kind or type(default), "choices": choices, "group": group}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Recipe:
    """Everything a run depends on; two runs with equal recipes on one machine give equal weights."""

    model: str = option("", "network, a name of `gluon-attn list`", group="model")
    pretrained: str = option("", "start from these weights: a tag of `gluon-attn info`, or a file", group="model")
    variant: str = option("", "a tag whose form of the network to build, as in inverse_attention", group="model")
    arch: dict = option({}, "keywords of the network, as in reduction=8,gating=reciprocal", group="model")
    last_gamma: bool = option(
        False, "start each residual branch at zero: its last BatchNorm's gamma is 0", group="model"
    )
    init: str = option("msra", "initialisation of the weights", choices=("msra", "xavier"), group="model")
    use_global_stats: bool = option(False, "BatchNorm in inference mode, while training too", group="model")
    sync_bn: bool = option(False, "BatchNorm statistics over all devices of this machine", group="model")

    dataset: str = option("", "digits, cifar10, cifar100, imagenet-folder, imagenet-rec, ...", group="data")
    data_root: str = option("", "folder of the data set", group="data")
    dataset_options: dict = option({}, "options of the data set, as in coarse=true", group="data")
    classes: int = option(0, "classes of the network; 0: those of the data set", group="data")
    image_size: int = option(0, "side of the square input; 0: that of the data set", group="data")
    progressive: dict = option(
        {},
        "side of the training images from an epoch on, counted from 0, as in 0=32,6=48,8=64; evaluation keeps "
        "--image-size",
        group="data",
    )
    validation: int = option(
        0, "hold out so many training images of each class and choose the best epoch on them", group="data"
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
        "increasing: Posterize and Color as open-aff's autogluon had them",
        choices=("paper", "increasing"),
        group="augmentation",
    )
    jitter: float = option(0.0, "brightness, contrast and saturation jitter", group="augmentation")
    lighting: float = option(0.0, "AlexNet's PCA noise", group="augmentation")
    erasing: float = option(0.0, "probability of random erasing", group="augmentation")
    mixup: float = option(0.0, "alpha of mixup's Beta(alpha, alpha); 0: off", group="augmentation")
    cutmix: float = option(
        0.0, "alpha of cutmix's Beta(alpha, alpha); 0: off; with mixup: one of them a batch", group="augmentation"
    )
    mixup_off_epochs: int = option(0, "last epochs without mixup and cutmix", group="augmentation")
    label_smoothing: float = option(0.0, "share of the target spread evenly over all classes", group="augmentation")

    epochs: int = option(200, "passes over the training images", group="optimiser")
    batch_size: int = option(128, "images an update, over all devices and workers", group="optimiser")
    accumulate: int = option(1, "compute each batch in this many pieces, to need less memory", group="optimiser")
    optimizer: str = option("nag", "sgd: momentum; nag: Nesterov's", choices=("sgd", "nag"), group="optimiser")
    lr: float = option(0.1, "learning rate after warm-up", group="optimiser")
    lr_batch: int = option(
        0, "batch size that --lr is meant for: another one scales it; 0: no scaling", group="optimiser"
    )
    momentum: float = option(0.9, "momentum", group="optimiser")
    wd: float = option(1e-4, "weight decay, as MXNet defines it: gradient + wd * weight", group="optimiser")
    no_wd: bool = option(
        False, "no weight decay on biases and on the gamma and beta of normalisations", group="optimiser"
    )
    schedule: str = option("cosine", "learning rate over time", choices=("cosine", "step"), group="optimiser")
    milestones: list = option(
        [], "epochs, counted from 0, where the step schedule multiplies by lr_decay", kind=int, group="optimiser"
    )
    lr_decay: float = option(0.1, "factor at each milestone", group="optimiser")
    warmup_epochs: float = option(0.0, "linear warm-up from 0", group="optimiser")
    ema: float = option(
        0.0, "decay of a moving average of the weights, which is then what is evaluated; 0: off", group="optimiser"
    )
    teacher: str = option("", "distil from this network, with its pretrained weights", group="optimiser")
    teacher_weights: str = option("true", "the teacher's weights: a tag or a file", group="optimiser")
    temperature: float = option(20.0, "of the teacher's softmax", group="optimiser")
    hard_weight: float = option(0.5, "share of the true labels in a distillation loss", group="optimiser")

    dtype: str = option("float32", "arithmetic of the network", choices=("float32", "float16", "bfloat16"), group="run")
    devices: str = option("", "as in gpu:0,gpu:1 or cpu:0; by default every GPU, else the CPU", group="run")
    threads: int = option(
        0, "CPU cores for the network; 0: OMP_NUM_THREADS, or MXNet's choice, half of them", group="run"
    )
    workers: int = option(0, "processes that read and augment images", group="run")
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
    eval_every: int = option(1, "evaluate after every so many epochs, and after the last", group="run")
    eval_batch_size: int = option(0, "images a batch of the evaluation; 0: the training's", group="run")

    @classmethod
    def load(cls, name, **overrides):
        """The recipe of a file, or of that name among the built-in ones, with ``overrides`` on top."""
        return cls.of(merged(read_file(name), overrides))

    @classmethod
    def of(cls, values):
        """A recipe from plain values: keys may be spelt as flags, and every value is read as its field's type."""
        fields = {f.name: f for f in dataclasses.fields(cls)}
        read = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in fields:
                raise unknown("option of a recipe", key, [n.replace("_", "-") for n in fields])
            read[name] = _read(fields[name], value)
        return cls(**read)

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    def as_dict(self, changed_only=False):
        """Values as JSON has them, by field name in field order; ``changed_only`` leaves the defaults out."""
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        return {k: v for k, v in values.items() if not changed_only or v != getattr(_DEFAULT, k)}

    def to_yaml(self):
        """The text of a recipe file that gives this recipe."""
        values = {name.replace("_", "-"): value for name, value in self.as_dict(changed_only=True).items()}
        return yaml.safe_dump(values, sort_keys=False)

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
        return Path(self.output or f"runs/{self.model}-{self.dataset}-{self.seed}")


def list_recipes():
    """Names of the built-in recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def read_file(name):
    """The values of a recipe file as a dict; its ``base`` recipe, where it names one, lies underneath."""
    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else RECIPES / f"{name}.yaml"
    if not path.is_file():
        if path.parent == RECIPES:
            raise unknown("recipe", str(name), list_recipes())
        raise GluonAttnError(f"There is no recipe file {str(path)!r}. Built-in recipes: {', '.join(list_recipes())}.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise GluonAttnError(f"The recipe file {str(path)!r} is not valid YAML: {error}.") from error
    if not isinstance(values, dict):
        raise GluonAttnError(f"The recipe file {str(path)!r} must hold lines of the form `option: value`.")
    values = {key.replace("-", "_"): value for key, value in values.items()}
    base = values.pop("base", None)
    return merged(read_file(base), values) if base else values


def merged(below, above):
    """Two dicts of options, the second on top. Network keywords (`arch`) are added to those below, one by one."""
    result = {**below, **above}
    if below.get("arch") and above.get("arch"):
        result["arch"] = {**_mapping(below["arch"]), **_mapping(above["arch"])}
    return result


def _read(spec, value):
    """``value`` as the type of its field; what does not fit raises a sentence."""
    kind, choices = spec.metadata["kind"], spec.metadata["choices"]
    flag = spec.name.replace("_", "-")
    is_list = spec.default_factory is not dataclasses.MISSING and isinstance(spec.default_factory(), list)
    try:
        if is_list:
            value = [kind(v) for v in (value.split(",") if isinstance(value, str) else value)]
        elif kind is bool:
            value = _boolean(value)
        elif kind is dict:
            value = _mapping(value)
        elif kind is int and isinstance(value, float) and value != int(value):
            raise ValueError
        elif kind is str and isinstance(value, bool):
            value = str(value).lower()
        else:
            value = kind(value)
    except (TypeError, ValueError, AttributeError, yaml.YAMLError):
        wanted = f"{kind.__name__}s, as in 60,120" if is_list else _WANTED.get(kind, kind.__name__)
        raise GluonAttnError(f"--{flag} cannot be {value!r}: it takes {wanted}.") from None
    if choices and value not in choices:
        raise unknown(f"--{flag}", value, [c for c in choices if c])
    return value


_WANTED = {bool: "true or false", dict: "name=value,name=value", int: "a whole number", float: "a number"}


def _boolean(value):
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError
    return words[str(value).lower()]


def _mapping(value):
    """'reduction=8,stages=[3,4]' -> {'reduction': 8, 'stages': [3, 4]}: YAML's flow form, with = for its colon."""
    if isinstance(value, dict):
        return dict(value)
    read = yaml.safe_load("{" + re.sub(r"(^|,)\s*(\w+)=", r"\1\2: ", value) + "}")
    if any(entry is None for entry in read.values()):
        raise ValueError
    return read


_DEFAULT = Recipe()
