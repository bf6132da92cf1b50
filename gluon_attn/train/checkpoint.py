"""Complete checkpoints: one .npz file each, written atomically, read without pickle, checked by zip's CRC."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np

from gluon_attn.errors import GluonAttnError
from gluon_attn.files import replacing
from gluon_attn.weights.archive import read_npz

FORMAT = 1
KEPT = 2  # the newest and the one before it, in case the newest is damaged
_META = "meta.json"


class Checkpoints:
    """The checkpoints of a run's folder: ``checkpoint-STEP.npz``, STEP the number of updates done."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def paths(self):
        """Newest first."""
        found = [p for p in self.folder.glob("checkpoint-*.npz") if re.fullmatch(r"checkpoint-\d+\.npz", p.name)]
        return sorted(found, key=lambda path: int(path.stem.split("-")[1]), reverse=True)

    def save(self, step, arrays, meta):
        """Write one (OSError where that fails: what was there before stays) and remove all but the newest two."""
        self._sweep()
        write(self.folder / f"checkpoint-{step:08d}.npz", arrays, meta)
        for path in self.paths()[KEPT:]:
            path.unlink()

    def newest(self, warn):
        """(arrays, meta) of the newest whole checkpoint, or None where the folder has none.

        A damaged one is passed over and named by ``warn``; where all are damaged, an error says so.
        """
        paths = self.paths()
        for path in paths:
            try:
                return read(path)
            except GluonAttnError as error:
                warn(str(error))
        if paths:
            raise GluonAttnError(
                f"None of the {len(paths)} checkpoints in {str(self.folder)!r} can be read: "
                "remove them to start afresh."
            )
        return None

    def clear(self):
        for path in self.paths():
            path.unlink()

    def _sweep(self):
        """Remove what a killed process left half written."""
        for path in self.folder.glob(".*.tmp"):
            path.unlink()


def write(path, arrays, meta):
    """``arrays`` {name: numpy array} and ``meta`` (anything JSON can hold) as one file."""
    text = np.frombuffer(json.dumps({"format": FORMAT, **meta}).encode("utf-8"), np.uint8)
    content = io.BytesIO()
    np.savez(content, **{_META: text}, **arrays)
    with replacing(path) as temporary:
        # Not getbuffer(): where the disk is full, Python 3.12 crashes on collecting the view and its owner together.
        temporary.write_bytes(content.getvalue())


def read(path):
    """(arrays, meta) of one file; whatever is wrong with it is one sentence."""
    if not Path(path).is_file():
        raise GluonAttnError(f"There is no checkpoint {str(path)!r}.")
    try:
        arrays = read_npz(path, "the file")
        meta = json.loads(arrays.pop(_META).tobytes().decode("utf-8"))
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise GluonAttnError(f"The checkpoint {str(path)!r} is damaged ({error}).") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else meta
        raise GluonAttnError(f"The checkpoint {str(path)!r} has format {str(found)[:40]!r}, not {FORMAT}.")
    return arrays, meta
