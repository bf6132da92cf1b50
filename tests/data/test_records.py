"""Our reader of RecordIO against MXNet's; and damaged files, whose record is named."""

from __future__ import annotations

import pickle
import shutil
import struct

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.data.records import MAGIC, Records
from gluon_attn.errors import DataError
from tests.data.nasty import saved

SIZE = 10
PICTURE = saved("PNG")


def write(folder, name="train", labels=range(SIZE), picture=PICTURE):
    record = mx.recordio.MXIndexedRecordIO(str(folder / f"{name}.idx"), str(folder / f"{name}.rec"), "w")
    for number, label in enumerate(labels):
        record.write_idx(number, mx.recordio.pack(mx.recordio.IRHeader(0, label, number, 0), picture))
    record.close()


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    (tmp_path / "classes.txt").write_text("".join(f"class {i}\n" for i in range(SIZE)))
    return tmp_path


def test_contents_are_mxnets(tmp_path):
    """Some hold the magic number, at multiples of four and elsewhere: they are split; and every length is filled."""
    rng, magic = np.random.RandomState(0), struct.pack("<I", MAGIC)
    contents = [magic * 3, b"abcd" + magic + b"efg", b"a" + magic, magic, *(rng.bytes(n) for n in range(9))]
    written = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for number, content in enumerate(contents):
        head = mx.recordio.IRHeader(0, [float(number), 7.0] if number % 2 else float(number), number, 0)
        written.write_idx(number, mx.recordio.pack(head, content))
    written.close()
    records = Records(tmp_path / "a.rec", tmp_path / "a.idx")
    assert [records[number] for number in range(len(records))] == list(enumerate(contents))
    assert [records.label(number) for number in range(len(records))] == list(range(len(contents)))
    assert pickle.loads(pickle.dumps(records))[1] == (1, contents[1])


def damaged(folder, damage):
    """The record 4 of `folder`, damaged."""
    offset = int((folder / "train.idx").read_text().splitlines()[4].split()[1])
    content = bytearray((folder / "train.rec").read_bytes())
    damage(folder, content, offset)
    (folder / "train.rec").write_bytes(content)


def label(value):
    return lambda folder, content, offset: content.__setitem__(
        slice(offset + 12, offset + 16), struct.pack("<f", value)
    )


def word(at, value):
    """Another 32 bits, `at` bytes behind the beginning of the record."""
    return lambda folder, content, offset: content.__setitem__(
        slice(offset + at, offset + at + 4), struct.pack("<I", value)
    )


def index(old, new):
    def change(folder, content, offset):
        lines = (folder / "train.idx").read_text()
        (folder / "train.idx").write_text(lines.replace(old.format(offset), new.format(offset)))

    return change


DAMAGES = {
    "label nan": (label(float("nan")), "its label is nan, not a whole number from 0 to 9"),
    "label inf": (label(float("inf")), "its label is inf, not"),
    "label -1": (label(-1), "its label is -1, not"),
    "label 10 of 10": (label(10), "its label is 10, not"),
    "label 1.5": (label(1.5), "its label is 1.5, not"),
    "label 1e30": (label(1e30), "its label is 1e\\+30, not"),
    "magic": (word(0, 1), "no record begins at byte"),
    "length": (word(4, 1 << 20), "it says that it has 1,048,576 bytes, and the file has"),
    "length 0": (word(4, 0), "it has 0 bytes, and its head alone would have 24"),
    "first part only": (word(4, 1 << 29 | 32), "no record begins at byte|bytes, and the file has"),
    "flag": (word(8, 2**32 - 1), "its label is|no readable picture"),
    "picture": (word(32, 0), "no readable picture"),
    "index elsewhere": (index("\t{}\n", "\t{}4\n"), "no record begins at byte|behind the file's end"),
    "index behind": (index("\t{}\n", "\t999999999999\n"), "begins at byte 999,999,999,999, behind the file's end"),
}


def loader(folder, **options):
    dataset = data.get_dataset("imagenet-rec", root=folder)
    return data.Loader(dataset, SIZE, data.eval_transform(16, dataset.mean, dataset.std), train=False, **options)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_or_skipped(folder, damage, workers):
    if workers and damage not in ("label nan", "magic"):
        pytest.skip("the same code, in a worker")
    change, sentence = DAMAGES[damage]
    damaged(folder, change)
    with pytest.raises(data.BadImage, match=f"train.rec, record 4: .*({sentence})"):
        list(loader(folder, workers=workers).epoch())
    skipping = loader(folder, workers=workers, on_bad_image="skip")
    labels = [label for _, labels in skipping.epoch() for label in labels.asnumpy().tolist()]
    assert labels == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert dict(skipping.skipped) == {f"{folder / 'train.rec'}, record 4": 1}


@pytest.mark.parametrize("lost", [8, 50, 400, 1000])
def test_a_cut_file_has_the_records_before_the_cut(folder, lost):
    content = (folder / "train.rec").read_bytes()
    (folder / "train.rec").write_bytes(content[:-lost])
    skipping = loader(folder, on_bad_image="skip")
    count = sum(len(labels) for _, labels in skipping.epoch())
    assert 0 < count < SIZE and count + len(skipping.skipped) == SIZE
    with pytest.raises(data.BadImage, match="record [4-9]: .*the file has|within the record|behind the file's end"):
        list(loader(folder).epoch())


def test_classes_without_names_are_counted_over_readable_labels(folder):
    damaged(folder, label(float("nan")))
    (folder / "classes.txt").unlink()
    dataset = data.get_dataset("imagenet-rec", root=folder)
    assert dataset.labels.tolist() == [0, 1, 2, 3, -1, 5, 6, 7, 8, 9] and len(dataset.classes) == SIZE


def test_a_damaged_record_belongs_to_no_class(folder):
    write(folder, labels=[0, 1] * 5)
    damaged(folder, label(-1))
    held_out = data.get_dataset("imagenet-rec", "validation", root=folder, validation=1)
    assert sorted(held_out.labels.tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no record"),
        ("0\t0\nx\t5\n", "Line 2 of .*train.idx is 'x.t5', not a record's number"),
        ("0\t-8\n", "Line 1 of .*'0.t-8'"),
        ("0\n", "Line 1"),
        ("\0\xff" * 100, "Line 1"),
        ("1\t" + "9" * 400, "Line 1"),
    ],
)
def test_a_bad_index(folder, text, sentence):
    (folder / "train.idx").write_text(text)
    with pytest.raises(DataError, match=sentence):
        data.get_dataset("imagenet-rec", root=folder)


def test_nothing_readable(folder):
    (folder / "classes.txt").unlink()
    shutil.copy(folder / "train.idx", folder / "val.idx")
    (folder / "val.rec").write_bytes(b"")
    with pytest.raises(DataError, match="val.rec, record 0: .*behind the file's end|within the record"):
        data.get_dataset("imagenet-rec", "val", root=folder)
