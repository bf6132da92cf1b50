"""Where a file of weights is: params/, the folder of downloaded weights, or, through fetch, where it is published."""

from __future__ import annotations

import os
from pathlib import Path

from gluon_attn.errors import WeightsError
from gluon_attn.weights.download import without_password
from gluon_attn.weights.fetch import MIRROR, download_url, fetch, mirror_folder
from gluon_attn.weights.files import read_file
from gluon_attn.weights.verify import verify


def weights_folder(root=None):
    """`root`, or $MXNET_HOME/models, by default ~/.mxnet/models."""
    if root is not None:
        return Path(root).expanduser()
    return Path(os.environ.get("MXNET_HOME") or "~/.mxnet").expanduser() / "models"


def verified_bytes(entry, root=None, elements=None):
    """The entry's file, verified in full against its recorded hash, as bytes; and its path.

    What was verified is what is then read: the file is not opened a second time. `elements`: how many numbers the
    network has; a file that is too large for it is not read.
    """
    path = find(entry, root)
    data = read_file(path, entry.member, elements)
    verify(data, entry, path)
    return data, path


def find(entry, root=None):
    """The path of the entry's file (or of the archive that it was published in), fetched if it is not here yet."""
    if entry.path is not None:
        return Path(entry.path)
    folder = weights_folder(root)
    here = local_file(entry, folder)
    if here is not None:
        return here
    mirror = mirror_folder()
    if mirror is not None:
        return _in_mirror(entry, mirror)
    if download_url(entry) is None:
        raise WeightsError(_by_hand(entry, folder))
    return fetch(entry, folder, local_file)


def _in_mirror(entry, mirror):
    """The entry's file in the folder $GLUON_ATTN_REPO, read where it lies."""
    path = local_file(entry, mirror)
    if path is None:
        name = entry.published_name or entry.file_name
        raise WeightsError(
            f"The folder {mirror} of {MIRROR} has no file {name!r}, the weights {entry.tag!r} of {entry.model!r}: put "
            f"it there ({entry.url or entry.note}), or unset {MIRROR} to fetch it."
        )
    return path


def outlook(entry, root=None):
    """(whether the entry's file can be had, a sentence on where it is or comes from): `find` without the download."""
    folder = weights_folder(root)
    here = entry.path or local_file(entry, folder)
    if here is None and mirror_folder() is not None:
        try:
            here = _in_mirror(entry, mirror_folder())
        except WeightsError as problem:
            return False, str(problem)
    if here is not None:
        return True, f"from {here}"
    url = download_url(entry)
    if url is None:
        return False, _by_hand(entry, folder)
    return True, f"to be fetched from {without_password(url)} into {folder}"


def _by_hand(entry, folder):
    return (
        f"The weights {entry.tag!r} of {entry.model!r} must be downloaded by hand ({entry.url or entry.note}): "
        f"give the file's path as `pretrained`, or put it into {folder} as {entry.file_name}."
    )


def local_file(entry, folder):
    """The entry's file in `folder` under our name for it or the published one, or None."""
    for name in (entry.file_name, entry.member, entry.published_name):
        if name and (folder / name).is_file():
            return folder / name
    return None
