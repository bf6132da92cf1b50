"""Files that gluon_attn wrote: the names are ours."""

from __future__ import annotations

SUFFIX = ".params"
COUNTS_BATCHES = False


def recognises(names):
    return bool(names) and all(name.split(".")[0] in ("stem", "stages", "branch", "head") for name in names)


def key_map(names):
    return {name: name for name in names}
