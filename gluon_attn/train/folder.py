"""One run a folder: a finished one is not trained over, and two do not write into one folder at once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gluon_attn.errors import GluonAttnError
from gluon_attn.files import locked

RESULTS = ("metrics.json", "best.params", "last.params")


def refuse_another_run(folder: Path, resume: str) -> None:
    """GluonAttnError where `folder` can be none, or has a run's results and `resume` (the recipe's word) does not go on
    with them.
    """
    file = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if file is not None:
        raise GluonAttnError(f"{str(folder)!r} can be no folder: {str(file)!r} is a file. Take another --output.")
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(place, os.W_OK):
        raise GluonAttnError(f"{str(folder)!r} cannot be written (no rights to {str(place)!r}): take another --output.")
    checkpoints = [path.name for path in sorted(folder.glob("checkpoint-*.npz"))]
    left = [name for name in RESULTS if (folder / name).exists()] + checkpoints
    if not left or (resume == "auto" and (checkpoints or "metrics.json" not in left)):
        return  # killed before its first checkpoint, a run may have left weights
    if resume not in ("", "auto") and Path(resume).resolve().parent == folder.resolve():
        return
    remedies = "Take another --output, or go on with that run (--resume auto)."
    if not checkpoints:
        remedies = "Take another --output: it left no checkpoint to go on from (--resume auto)."
    raise GluonAttnError(
        f"{str(folder)!r} holds a run already ({', '.join(left[:4])}), which this one would destroy. {remedies}"
    )


@contextlib.contextmanager
def claimed(folder: Path):
    """Within it, no other process trains into `folder`.

    The lock is on train.log, which a run keeps open anyway.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(folder / "train.log", "a", encoding="utf-8"))
        try:
            stack.enter_context(locked(log))
        except TimeoutError:
            raise GluonAttnError(
                f"Another process is training into {str(folder)!r}: wait for its end, or take another --output."
            ) from None
        yield
