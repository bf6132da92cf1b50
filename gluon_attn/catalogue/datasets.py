"""Data sets: one record each, from which recipes, evaluation, weights, class names and `list` take their facts.

A data set that shares its files with another one (CIFAR-100's 20 super-classes) has a record of its own, which names
the other one (`of`) and how its source is asked (`options`). A record without a source says what labels mean:
`imagenet-folder` holds any folders, and weights for ImageNet say `imagenet1k`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Optional, Tuple

from gluon_attn.errors import DataError, unknown

CLASS_NAMES = Path(__file__).with_name("class_names")


@dataclass(frozen=True)
class DatasetRecord:
    """Facts that are known without the files. `images` are those of the training split, 0 where nobody can say.

    source : "module:function" below gluon_attn.data; the function is called with (split, root, **options)
    crop, flip : the usual augmentation: 'pad' (pad and crop), 'resized' (random area and aspect) or 'none'; mirror
    labels : what weights call its labels, where that is another record ('imagenet1k' for folders of ImageNet)
    names_of : the record whose class names it has, where that is another one
    task : 'classification', or which script trains on it
    embedded : made of what is installed: it has no folder, and its images are the same on every machine
    named_only : weights for it go to whoever names them, never to `pretrained=True`: a network's name promises others
    """

    name: str
    about: str
    classes: int
    image_size: int
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    source: str = ""
    of: str = ""
    options: Mapping = field(default_factory=dict)
    labels: str = ""
    names_of: str = ""
    task: str = "classification"
    images: int = 0
    embedded: bool = False
    named_only: bool = False
    crop: str = "pad"
    flip: bool = True
    url: str = ""
    md5: str = ""

    @property
    def crop_pct(self) -> float:
        """What evaluation keeps of the shorter side."""
        return centre_share(self.crop)

    @property
    def preparation(self) -> dict:
        """mean, std, input_size, crop_pct and interpolation of weights that were trained on it."""
        return dict(
            mean=self.mean,
            std=self.std,
            input_size=self.image_size,
            crop_pct=self.crop_pct,
            interpolation="bilinear",
        )

    def known_to(self, trained_on: str) -> bool:
        """Whether weights that were trained on the data set of that name know its labels.

        >>> find("imagenet-rec").known_to("imagenet1k"), find("clutter").known_to("digits")
        (True, False)
        """
        return trained_on in (self.name, self.labels or self.name)

    @property
    def class_names(self) -> Optional[Tuple[str, ...]]:
        """In the order of the labels, where the repository knows them: catalogue/class_names/NAME.txt.

        >>> find("cifar10").class_names[:2]
        ('airplane', 'automobile')
        """
        path = CLASS_NAMES / f"{self.names_of or self.labels or self.name}.txt"
        return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else None


def centre_share(crop: str) -> float:
    """The share of the shorter side that the centre crop of evaluation keeps, after training with `crop`.

    7/8 after random pieces, which show objects enlarged; all of it after pad and crop, or none, which do not.

    >>> centre_share("resized"), centre_share("pad")
    (0.875, 1.0)
    """
    return 0.875 if crop == "resized" else 1.0


_GREY_DIGITS = dict(classes=10, names_of="digits", flip=False)  # a mirrored digit is another one, or none
_CIFAR = dict(
    image_size=32,
    images=50000,
    mean=(0.4914, 0.4822, 0.4465),  # what every paper in this field normalises both sets with
    std=(0.2023, 0.1994, 0.2010),
)
_CIFAR100 = dict(
    _CIFAR,
    source="cifar:cifar100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
)
_RGB = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_IMAGENET = dict(_RGB, classes=1000, image_size=224, images=1281167, crop="resized")

_RECORDS = (
    DatasetRecord(
        "digits",
        "scikit-learn's 1,797 handwritten digits at 32x32; embedded, needs no file",
        source="digits:digits",
        embedded=True,
        image_size=32,
        images=1397,
        mean=(0.309,) * 3,  # of the training images at 32x32
        std=(0.349,) * 3,
        **_GREY_DIGITS,
    ),
    DatasetRecord(
        "clutter",
        "one real digit among fragments of others on 64x64, its box known; embedded",
        source="canvas:clutter",
        embedded=True,
        image_size=64,
        images=4000,
        mean=(0.133,) * 3,
        std=(0.282,) * 3,
        **_GREY_DIGITS,
    ),
    DatasetRecord(
        "digits-canvas",
        "several real digits with their masks, for segmentation; embedded",
        source="canvas:digits_canvas",
        embedded=True,
        image_size=64,
        images=4000,
        mean=(0.130,) * 3,
        std=(0.274,) * 3,
        classes=11,
        flip=False,
        task="segmentation",
    ),
    DatasetRecord(
        "cifar10",
        "CIFAR-10 from its binary archive",
        source="cifar:cifar10",
        classes=10,
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        **_CIFAR,
    ),
    DatasetRecord("cifar100", "CIFAR-100 from its binary archive, its 100 fine classes", classes=100, **_CIFAR100),
    DatasetRecord(
        "cifar100-coarse",
        "the 20 super-classes of CIFAR-100",
        of="cifar100",
        options={"coarse": True},
        named_only=True,
        classes=20,
        **_CIFAR100,
    ),
    DatasetRecord(
        "mpiifacegaze",
        "normalised faces with gaze angles, one person left out (person='p00')",
        source="gaze:mpiifacegaze",
        classes=2,
        image_size=448,
        task="gaze",
        crop="none",
        flip=False,
        **_RGB,
    ),
    DatasetRecord(
        "tiny-imagenet",
        "200 classes of ImageNet at 64x64, a box for every image; `gluon-attn data tiny-imagenet` fetches it",
        source="tiny_imagenet:tiny_imagenet",
        classes=200,
        image_size=64,
        images=100000,
        named_only=True,  # `resnet18` promises ImageNet's 1,000 classes
        mean=(0.4802, 0.4481, 0.3975),  # of the training images
        std=(0.2764, 0.2689, 0.2816),
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        md5="90528d7ca1a48142e341f4ef8d21d0de",
    ),
    DatasetRecord("imagenet1k", "the 1,000 classes of ILSVRC 2012", **_IMAGENET),
    DatasetRecord(
        "imagenet-folder",
        "train/<class>/*.JPEG and val/<class>/*.JPEG",
        source="imagenet:imagenet_folder",
        labels="imagenet1k",
        **_IMAGENET,
    ),
    DatasetRecord(
        "folder",
        "your own pictures: <class>/*, or train/<class>/* with val, valid, validation or test beside it",
        source="folder:folder",
        classes=2,
        image_size=224,
        crop="resized",
        **_RGB,
    ),
    DatasetRecord(
        "imagenet-rec",
        "RecordIO: train.rec, train.idx, val.rec, val.idx",
        source="imagenet:imagenet_rec",
        labels="imagenet1k",
        **_IMAGENET,
    ),
)
DATASETS = {record.name: record for record in _RECORDS}


def openable() -> list:
    """Names of the records that have a source, sorted.

    >>> "cifar100" in openable()
    True
    """
    return sorted(name for name, record in DATASETS.items() if record.source)


def find(name: str, options: Optional[Mapping] = None) -> DatasetRecord:
    """The record of a data set that can be opened; with `options`, of what it is with them.

    >>> find("cifar100", {"coarse": True}).name
    'cifar100-coarse'
    """
    if name not in openable():
        problem = unknown("dataset", name, openable(), error=DataError)
        if Path(name).expanduser().is_dir():
            problem = DataError(f"{problem} {name} is a folder: --dataset folder --data-root {name} takes it as one.")
        raise problem
    given = dict(options or {})
    for record in DATASETS.values():
        if record.of == name and all(given.get(key) == value for key, value in record.options.items()):
            return record
    return DATASETS[name]


def for_recipes(name: str, options: Optional[Mapping] = None) -> DatasetRecord:
    """As `find`; a data set of another task is refused with the name of its script.

    >>> for_recipes("digits").classes
    10
    """
    record = find(name, options)
    if record.task != "classification":
        raise DataError(
            f"The dataset {name!r} is for {record.task}, not classification: `python train_{record.task}.py` trains "
            "on it."
        )
    return record
