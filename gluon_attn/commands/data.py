"""`gluon-attn data NAME --output DIR`: fetch a data set's archive, verify it, and unpack it where it is read unpacked.

A broken download goes on where it stopped. An archive that already lies in DIR, however it came there, is verified and
not fetched again.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import DataError, GluonAttnError, unknown


@dataclass(frozen=True)
class Archive:
    """A data set's file, as weights/fetch.py wants to be told of a file."""

    url: str
    hash: str
    hash_kind: str = "md5"
    member: str = ""

    @property
    def file_name(self):
        return self.url.rsplit("/", 1)[1]

    published_name = file_name


def add_arguments(parser):
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(_published())}")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the archive and what is in it")
    parser.add_argument("--dry-run", action="store_true", help="say what would be fetched")


def run(args):
    if args.name not in _published():
        raise unknown("data set to fetch", args.name, _published(), error=DataError)
    record, folder = DATASETS[args.name], Path(args.output).expanduser()
    archive = Archive(record.url, record.md5)
    unpacked = folder / Path(archive.file_name).stem
    if archive.file_name.endswith(".zip") and unpacked.is_dir():
        _check_whole(args.name, unpacked)
        print(f"{args.name} is there: {unpacked}")
        return 0
    if args.dry_run:
        print(f"{args.name}: {_origin(archive)} (md5 {archive.hash}) into {folder}")
        return 0
    path = _fetched(archive, folder)
    print(f"{args.name}: {_unpacked(path, folder) if path.suffix == '.zip' else path}")
    return 0


def _check_whole(name, folder):
    """A folder that a killed program or a hand has left half empty is not the data set."""
    from gluon_attn import data

    try:
        for split in ("train", "test"):
            data.get_dataset(name, split, root=folder)
    except DataError as problem:
        raise DataError(f"{folder} is there, and not whole ({problem}) Remove it, and ask again.") from None


def _origin(archive):
    """Where it would be fetched from, as it can be shown."""
    from gluon_attn.weights.download import without_password
    from gluon_attn.weights.fetch import download_url, mirror_folder

    folder = mirror_folder()
    return str(folder / archive.published_name) if folder else without_password(download_url(archive))


def _published():
    """Names of the data sets that a program can fetch."""
    return sorted(name for name, record in DATASETS.items() if record.url and record.md5 and not record.of)


def _fetched(archive, folder):
    """The verified archive in `folder`, fetched if it is not there."""
    from gluon_attn.weights.fetch import fetch

    try:
        return fetch(archive, folder, _find, elsewhere="give --output a folder that can be written")
    except GluonAttnError as error:
        raise DataError(str(error)) from None


def _find(archive, folder):
    """The archive where it lies in `folder` already, or a copy of the mirror's; another file of its name raises."""
    from gluon_attn.files import replacing
    from gluon_attn.weights.fetch import MIRROR, mirror_folder

    path, mirror = folder / archive.file_name, mirror_folder()
    if path.is_file():
        return _verified(path, archive)
    if mirror is None:
        return None
    if not (mirror / archive.published_name).is_file():
        raise DataError(f"{MIRROR} names {mirror}, and there is no {archive.published_name} in it: put it there.")
    with replacing(path) as temporary:
        shutil.copyfile(_verified(mirror / archive.published_name, archive), temporary)
    return path


def _verified(path, archive):
    from gluon_attn.files import md5

    found = md5(path)
    if found != archive.hash:
        raise DataError(f"{path} is damaged or another file: its md5 is {found}, not {archive.hash}. Remove it.")
    return path


def _unpacked(path, folder):
    from tqdm import tqdm

    from gluon_attn.data.unpack import unpack

    with tqdm(unit="B", unit_scale=True, desc=f"unpacking {path.name}", disable=None) as bar:
        return unpack(path, folder, path.stem, bar.update)
