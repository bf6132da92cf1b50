"""The most probable classes of picture files, and one picture that shows them.

A person's pictures are read as people see them (data.images.read_picture: turned upright, transparency on white), as
`explain` reads them; the images of a data set are not, because the published errors were measured without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.data.dataset import BadImage
from gluon_attn.data.images import read_picture
from gluon_attn.data.listing import SUFFIXES, pictures_in
from gluon_attn.errors import DataError
from gluon_attn.figures import new_figure, save_figure
from gluon_attn.files import AnyPath, read_text

if TYPE_CHECKING:
    from mxnet.gluon import HybridBlock


@dataclass(frozen=True)
class Prediction:
    """A picture file and its classes, most probable first: [(name, probability), ...]."""

    path: Path
    classes: list


def find_pictures(paths: Iterable[AnyPath]) -> List[Path]:
    """The files named, and the pictures below the folders named, hidden ones passed over, in natural order.

    >>> [path.name for path in find_pictures([DIGITS])][:2]
    ['digit-0.png', 'digit-1.png']
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(map(Path, pictures_in(path)), key=_natural)
        elif path.exists():  # whether it is a file is for who reads it to say
            found.append(path)
        else:
            raise DataError(f"There is no file or folder {str(path)!r}.")
    if not found:
        raise DataError(f"No pictures below {', '.join(map(str, paths))}: looked for {' '.join(SUFFIXES)}.")
    return found


def _natural(path):
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def predict(
    net: HybridBlock,
    paths: Sequence[AnyPath],
    transform: Callable,
    names: Sequence[str],
    *,
    device: Any = None,
    batch_size: int = 64,
    top: int = 5,
    dtype: str = "float32",
    on_bad: Optional[Callable[[BadImage], Any]] = None,
) -> Iterator[Prediction]:
    """Yield a :class:`Prediction` for every picture file of `paths`.

    on_bad : called with the `BadImage` of a file that cannot be read, which is then left out; by default it is raised
    transform : `gluon_attn.data.eval_transform(...)`
    names : the classes' names in the order of the network's outputs

    >>> found = next(predict(net, find_pictures([DIGITS]), net.card.transform(), net.card.classes))
    >>> found.classes[0][0]
    '0'
    """
    import mxnet as mx

    from gluon_attn.models.network import logits_of

    refuse_no_count(top=top)
    device = device or mx.cpu()
    for batch, images in batches(paths, transform, batch_size, on_bad):
        logits = logits_of(net, net(mx.nd.array(images, ctx=device).astype(dtype, copy=False)))
        probabilities = mx.nd.softmax(logits.astype("float32")).asnumpy()
        names = class_names(probabilities.shape[1], names)
        for path, row in zip(batch, probabilities):
            order = np.argsort(-row, kind="stable")[:top]
            yield Prediction(Path(path), [(names[i], float(row[i])) for i in order])


def batches(
    paths: Sequence[AnyPath], transform: Callable, batch_size: int, on_bad: Optional[Callable[[BadImage], Any]] = None
) -> Iterator[Tuple[tuple, np.ndarray]]:
    """Yield (paths, float32 (N, 3, H, W)), without the files that cannot be read: see `predict`.

    >>> paths, images = next(batches(find_pictures([DIGITS]), net.card.transform(), batch_size=4))
    >>> len(paths), images.dtype
    (4, dtype('float32'))
    """
    refuse_no_count(batch_size=batch_size)
    for start in range(0, len(paths), batch_size):
        read = list(_inputs(paths[start : start + batch_size], transform, on_bad))
        if read:
            found, images = zip(*read)
            yield found, np.stack(images)


def _inputs(paths, transform, on_bad):
    """(path, what the network sees of it), without the files that cannot be read."""
    for path in paths:
        try:
            yield path, transform(read_picture(path), None)
        except BadImage as bad:
            named = BadImage(str(path), bad.reason, remedy="")
            if on_bad is None:
                raise named from bad
            on_bad(named)


def class_names(count: int, known: Optional[Sequence[str]] = None, file: Optional[AnyPath] = None) -> List[str]:
    """`count` names: the lines of `file`, or those `known` of the data set, or `class 0`, `class 1`, ...

    >>> class_names(2), class_names(2, known=["cat", "dog"])
    (['class 0', 'class 1'], ['cat', 'dog'])
    """
    if file is not None:
        text = read_text(file, "a text file, a class name a line")
        names = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        names = [f"class {i}" for i in range(count)] if known is None else list(known)
    if len(names) != count:
        raise DataError(f"{file or 'The data set'} has {len(names)} class names and the network {count} outputs.")
    return names


def draw(predictions: Sequence[Prediction], path: AnyPath, columns: int = 8, most: int = 64) -> None:
    """Write one picture with (at most `most` of) the images, each under its class and probability.

    >>> draw(list(predict(net, find_pictures([DIGITS]), net.card.transform(), net.card.classes)), "digits.png")
    """
    if not predictions:
        raise DataError("There is no prediction to draw.")
    shown = predictions[:most]
    rows = -(-len(shown) // columns)
    columns = -(-len(shown) // rows)  # rows of equal length
    figure = new_figure(1.6 * columns, 1.9 * rows)
    for axes, prediction in zip(np.ravel(figure.subplots(rows, columns)), shown):
        name, probability = prediction.classes[0]
        axes.imshow(_thumbnail(prediction.path))
        # Dollars in a class name are no formula.
        axes.set_title(f"{name}\n{100 * probability:.1f} %", fontsize=8, parse_math=False)
    for axes in figure.axes:
        axes.set_axis_off()
    save_figure(figure, path, dpi=150)


def _thumbnail(path, side=320):
    """The picture no larger than it will be drawn: matplotlib would need 50 bytes for each of its pixels."""
    picture = Image.fromarray(read_picture(path))
    picture.thumbnail((side, side))
    return picture
