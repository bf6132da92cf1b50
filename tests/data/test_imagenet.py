"""ImageNet-like folders and RecordIO files, made here in their true format."""

from __future__ import annotations

import io

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from gluon_attn import data
from gluon_attn.errors import DataError

COLOURS = {"n01": (200, 30, 30), "n02": (30, 200, 30), "n03": (30, 30, 200)}


def jpeg(colour, size=(60, 50)):
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "JPEG", quality=95)
    return content.getvalue()


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 4), ("val", 2)):
        for name, colour in COLOURS.items():
            place = tmp_path / split / name
            place.mkdir(parents=True)
            for number in range(count):
                (place / f"{number}.JPEG").write_bytes(jpeg(colour))
    (tmp_path / "train" / "n01" / "notes.txt").write_text("no picture")
    return tmp_path


def write_records(place, name, labels):
    record = mx.recordio.MXIndexedRecordIO(str(place / f"{name}.idx"), str(place / f"{name}.rec"), "w")
    for i, label in enumerate(labels):
        header = mx.recordio.IRHeader(0, label, 100 + i, 0)
        record.write_idx(100 + i, mx.recordio.pack(header, jpeg(list(COLOURS.values())[i % 3])))
    record.close()


@pytest.fixture
def records(tmp_path):
    write_records(tmp_path, "train", [0.0, 1.0, 2.0] * 4)
    write_records(tmp_path, "val", [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0])
    return tmp_path


def test_folder(folder):
    train, val = (data.get_dataset("imagenet-folder", split, root=folder) for split in ("train", "val"))
    assert train.classes == val.classes == ["n01", "n02", "n03"]
    assert train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and len(val) == 6
    for index in (0, 5, 11):
        image, label = train[index]
        assert image.shape == (50, 60, 3) and image.dtype == np.uint8
        np.testing.assert_allclose(image.mean(axis=(0, 1)), list(COLOURS.values())[label], atol=3)


def test_a_folder_leaves_out_no_picture(tmp_path):
    (tmp_path / "val" / "a" / "more").mkdir(parents=True)
    (tmp_path / "val" / ".ipynb_checkpoints").mkdir()
    for number, name in enumerate(("0.tif", "1.gif", "2.ppm", "more/3.png", "more/4.JPEG")):
        Image.new("RGB", (9, 9), (50 * number, 0, 0)).save(tmp_path / "val" / "a" / name)
    (tmp_path / "val" / "a" / "._0.tif").write_bytes(b"no picture")
    val = data.get_dataset("imagenet-folder", "val", root=tmp_path)
    np.testing.assert_allclose([val[index][0][0, 0, 0] for index in range(len(val))], [0, 50, 100, 150, 200], atol=3)
    assert val.classes == ["a"]


def test_folder_with_a_validation_split(folder):
    held_out = data.get_dataset("imagenet-folder", "validation", root=folder, validation=1)
    assert held_out.labels.tolist() == [0, 1, 2]
    image, label = held_out.sample(2)
    assert image.name.endswith("JPEG") and "n03" in image.name and label == 2


def test_records(records):
    train = data.get_dataset("imagenet-rec", root=records)
    assert len(train) == 12 and train.labels.tolist() == [0, 1, 2] * 4 and train.classes == ["0", "1", "2"]
    image, label = train[5]
    assert label == 2
    np.testing.assert_allclose(image.mean(axis=(0, 1)), COLOURS["n03"], atol=3)
    (records / "classes.txt").write_text("cat\nred dog\nox\n")
    named = data.get_dataset("imagenet-rec", "val", rec_val=records / "val.rec", rec_val_idx=records / "val.idx")
    assert named.classes == ["cat", "red dog", "ox"] and len(named) == 7


@pytest.mark.parametrize("end", ("", "\n", "\n\n", "\r\n"))
@pytest.mark.parametrize("names", (["cat", "red dog", "ox"], ["cat"]))
def test_a_file_of_classes_written_by_hand(records, names, end):
    write_records(records, "train", np.arange(6.0) % len(names))
    (records / "classes.txt").write_bytes(("\n".join(names) + end).encode())
    dataset = data.get_dataset("imagenet-rec", root=records)
    assert dataset.classes == names and dataset.labels.tolist() == [i % len(names) for i in range(6)]


def test_a_file_of_classes_in_another_encoding(records):
    (records / "classes.txt").write_bytes("chien\nâne\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"classes.txt cannot be read \(it is not in UTF-8\): give the names"):
        data.get_dataset("imagenet-rec", root=records)


def test_records_with_several_labels_give_the_first(tmp_path):
    write_records(tmp_path, "train", [np.array([label, 9.0]) for label in (2, 0, 1)])
    train = data.get_dataset("imagenet-rec", root=tmp_path)
    assert train.labels.tolist() == [train[i][1] for i in range(3)] == [2, 0, 1]


@pytest.mark.parametrize("name", ("imagenet-folder", "imagenet-rec"))
def test_any_number_of_workers_gives_the_same_batches(name, folder, records):
    dataset = data.get_dataset(name, root=folder)
    transform = data.train_transform(32, dataset.mean, dataset.std, crop="resized", auto_aug="imagenet", jitter=0.4)
    results = []
    for workers in (0, 1, 3):
        loader = data.Loader(dataset, 5, transform, train=True, workers=workers)
        results.append([(x.asnumpy(), y.asnumpy()) for x, y in loader.epoch(1)])
    for other in results[1:]:
        for (x, a), (y, b) in zip(results[0], other):
            np.testing.assert_array_equal(x, y)
            np.testing.assert_array_equal(a, b)


def test_bad_files_are_named(folder, records):
    path = folder / "train" / "n02" / "1.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    dataset = data.get_dataset("imagenet-folder", root=folder)
    with pytest.raises(data.BadImage, match="n02/1.JPEG"):
        dataset[5]
    loader = data.Loader(
        dataset, 12, data.eval_transform(16, dataset.mean, dataset.std), train=False, on_bad_image="skip"
    )
    ((_, labels),) = loader.epoch()
    assert labels.asnumpy().tolist() == [0] * 4 + [1] * 3 + [2] * 4
    assert list(loader.skipped) == [str(path)]
    path.unlink()
    with pytest.raises(data.BadImage, match="n02/1.JPEG: No such file"):
        dataset[5]
    record = data.get_dataset("imagenet-rec", root=records)
    image, _ = record.sample(3)
    assert image.name == f"{records / 'train.rec'}, record 103"


def test_missing_parts(folder, tmp_path_factory):
    with pytest.raises(DataError, match="--data-root.*train/<class>"):
        data.get_dataset("imagenet-folder")
    with pytest.raises(DataError, match="/nowhere is no folder"):
        data.get_dataset("imagenet-folder", root="/nowhere")
    with pytest.raises(DataError, match="train.rec is missing.*gluon-attn pack"):
        data.get_dataset("imagenet-rec", root=folder)
    (folder / "val" / "n09").mkdir()
    with pytest.raises(DataError, match="1 class.* that .*train has not: n09"):
        data.get_dataset("imagenet-folder", "val", root=folder)
    bare = tmp_path_factory.mktemp("bare")
    (bare / "val").mkdir()
    with pytest.raises(DataError, match="val has no folders"):
        data.get_dataset("imagenet-folder", "val", root=bare)


def native(records, split, batch_size, **options):
    dataset = data.get_dataset("imagenet-rec", split, root=records, image_size=32)
    return data.NativeLoader(dataset, batch_size, train=split == "train", workers=1, **options)


@pytest.mark.parametrize(
    "own",
    [{}, dict(mean=(0.485, 0.456, 0.406), std=[0.229, 0.224, 0.225]), dict(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))],
)
def test_native_reader_normalises_and_counts_no_padding(records, own):
    loader = native(records, "val", 4, resize=36, **own)
    batches = list(loader.epoch())
    assert [len(y) for _, y in batches] == [4, 3] and len(loader) == 2
    labels = np.concatenate([y.asnumpy() for _, y in batches])
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0] and labels.dtype == np.int32
    images = np.concatenate([x.asnumpy() for x, _ in batches])
    mean, std = np.array([123.68, 116.779, 103.939]), np.array([58.393, 57.12, 57.375])
    if own.get("mean", (0,))[0] == 0.5:
        mean, std = 255 * np.array(own["mean"]), 255 * np.array(own["std"])
    else:
        assert loader._settings["mean_r"] == mean[0] and loader._settings["std_r"] == std[0], "as the published runs"
    for image, label in zip(images, labels):
        expected = (np.array(list(COLOURS.values())[label]) - mean) / std
        np.testing.assert_allclose(image.mean(axis=(1, 2)), expected, atol=0.06)


def test_native_reader_repeats_itself_and_resumes(records):
    def seen(loader, *args):
        return [(x.asnumpy(), y.asnumpy().tolist()) for x, y in loader.epoch(*args)]

    loader, again = (native(records, "train", 4) for _ in range(2))
    first = seen(loader, 1)
    assert sorted(label for _, labels in first for label in labels) == [0] * 4 + [1] * 4 + [2] * 4
    for (x, a), (y, b) in zip(first, seen(again, 1)):
        assert a == b
        np.testing.assert_array_equal(x, y)
    assert [labels for _, labels in seen(loader, 1, 2)] == [first[2][1]]
    assert [labels for _, labels in seen(loader, 2)] != [labels for _, labels in first]


def test_native_reader_asks_before_each_batch_whether_it_shall_go_on(records):
    seen = []

    def meanwhile():
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for batch in native(records, "train", 4).epoch(meanwhile=meanwhile):
            seen.append(batch)
    assert len(seen) == 2


def test_native_shards_keep_step(records):
    """Four parts of eleven records: one is an image short."""
    write_records(records, "train", [0.0] * 11)
    lengths = [len(list(native(records, "train", 1, shard=(rank, 4)).epoch())) for rank in range(4)]
    assert lengths == [3] * 4


@pytest.mark.parametrize(("last_batch", "lengths"), [("keep", [5, 5, 1]), ("discard", [5, 5])])
def test_native_reader_keeps_the_last_batch_or_not(records, last_batch, lengths):
    """As the other reader; of two shards each has a part of every whole batch."""
    write_records(records, "train", [0.0] * 11)
    loader = native(records, "train", 5, last_batch=last_batch)
    assert [len(y) for _, y in loader.epoch()] == lengths and len(loader) == len(lengths)
    shards = [native(records, "train", 2, last_batch=last_batch, shard=(rank, 2)) for rank in range(2)]
    assert [len(list(shard.epoch())) for shard in shards] == [len(shard) for shard in shards] == [len(lengths)] * 2
    if last_batch == "discard":
        assert {len(y) for shard in shards for _, y in shard.epoch()} == {2}
        with pytest.raises(DataError, match="11 images, which make no batch of 12"):
            native(records, "train", 12, last_batch=last_batch)


def test_native_reader_refuses_what_it_cannot_do(records, folder):
    with pytest.raises(DataError, match="no AutoAugment \\('imagenet'\\).*reader='pil'"):
        native(records, "train", 4, auto_aug="imagenet")
    with pytest.raises(DataError, match="no random erasing"):
        native(records, "train", 4, erasing=0.5)
    with pytest.raises(DataError, match="not 'imagenet-folder'"):
        data.NativeLoader(data.get_dataset("imagenet-folder", root=folder), 4, train=True)
    with pytest.raises(DataError, match="mean='0.5' cannot normalise"):
        native(records, "train", 4, mean="0.5")
