"""Which pictures of a folder a network has seen in training: told by what the files hold, whatever they are called."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, List, Optional, Sequence

from gluon_attn.errors import DataError
from gluon_attn.files import AnyPath, read_text, sha256, write_text

NAME = "pictures.json"  # in the folder of a run


def marks(paths: Sequence[AnyPath]) -> List[str]:
    """Of each picture file 16 digits, the same for the same content; of one that cannot be read, those of its name.

    >>> len(marks(["docs/digits/digit-3.png"])[0])
    16
    """
    return [_mark(os.fspath(path), *_state(path)) for path in paths]


def _state(path):
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=None)  # both halves of a folder are opened, and read for this once
def _mark(path, size, changed):
    try:
        return sha256(path)[:16]
    except OSError:
        return os.path.basename(path)


@dataclass(frozen=True)
class Seen:
    """Marks of the pictures of a training on a folder that nobody has divided; `pictures.json` in its own folder.

    trained : of those that it was trained on
    chosen_on : of those that were held out, and chose the best epoch

    >>> Seen.beside("runs/mine/best.params")
    """

    trained: FrozenSet[str]
    chosen_on: FrozenSet[str]

    @classmethod
    def beside(cls, path: AnyPath) -> Optional[Seen]:
        """That of the folder which `path` is or lies in; None where there is none."""
        place = Path(path).expanduser()
        file = (place if place.is_dir() else place.parent) / NAME
        if not file.is_file():
            return None
        try:
            found = json.loads(read_text(file, "a list of pictures"))
            return cls(*(frozenset(map(str, found[key])) for key in ("trained", "chosen_on")))
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{file} is no list of a training's pictures: without it nobody knows which of the folder's pictures "
                "the network was trained on. Bring it back, or remove it."
            ) from None

    @property
    def digest(self) -> str:
        """The same for the same pictures to train on; the card's note `trained_on`."""
        return hashlib.sha256(" ".join(sorted(self.trained)).encode("utf-8", "surrogatepass")).hexdigest()

    def write(self, folder: AnyPath) -> None:
        """Into a run's folder."""
        text = json.dumps({key: sorted(value) for key, value in vars(self).items()}, indent=0)
        write_text(Path(folder) / NAME, text + "\n")

    def and_before(self, earlier: Optional[Seen]) -> Seen:
        """Of a training that goes on from `earlier`: what that was trained on counts, too."""
        return Seen(self.trained | earlier.trained, self.chosen_on - earlier.trained) if earlier else self

    def unseen(self, found: Sequence[str]) -> List[int]:
        """Places of the marks of pictures that the training did not learn from.

        >>> Seen(frozenset("ab"), frozenset("c")).unseen("abcd")
        [2, 3]
        """
        return [at for at, mark in enumerate(found) if mark in self.chosen_on or mark not in self.trained]
