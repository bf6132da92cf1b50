"""The CIFAR readers on files in the true binary format, whole and damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import tarfile

import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.data import cifar
from gluon_attn.errors import DataError


@pytest.fixture
def small(monkeypatch):
    """The two archives with 20 records a file instead of 10,000."""

    def shrink(archive):
        files = {split: tuple((name, 20) for name, _ in parts) for split, parts in archive.files.items()}
        return dataclasses.replace(archive, files=files)

    for name in ("CIFAR10", "CIFAR100"):
        monkeypatch.setattr(cifar, name, shrink(getattr(cifar, name)))


def write(folder, archive):
    """Random files as the archive has them; returns {file: (labels, images HWC)}."""
    rng = np.random.RandomState(0)
    folder = folder / archive.folder
    folder.mkdir()
    content = {}
    for parts in archive.files.values():
        for name, count in parts:
            labels = rng.randint(0, 10, (count, archive.label_bytes)).astype(np.uint8)
            images = rng.randint(0, 256, (count, 32, 32, 3)).astype(np.uint8)
            with open(folder / name, "wb") as file:
                for label, image in zip(labels, images):
                    planes = b"".join(image[:, :, channel].tobytes() for channel in range(3))
                    file.write(label.tobytes() + planes)
            content[name] = labels, images
    return content


@pytest.mark.usefixtures("small")
def test_cifar10_reads_every_batch_in_order(tmp_path):
    content = write(tmp_path, cifar.CIFAR10)
    train = data.get_dataset("cifar10", root=tmp_path)
    assert len(train) == 100 and train.image_size == 32
    assert train.classes[:2] == ["airplane", "automobile"]
    for batch in range(5):
        labels, images = content[f"data_batch_{batch + 1}.bin"]
        image, label = train[batch * 20 + 7]
        assert label == labels[7, 0]
        np.testing.assert_array_equal(image, images[7])
    assert len(data.get_dataset("cifar10", "val", root=tmp_path / cifar.CIFAR10.folder)) == 20


@pytest.mark.usefixtures("small")
def test_cifar100_is_fine_by_default_and_coarse_on_request(tmp_path):
    labels, _ = write(tmp_path, cifar.CIFAR100)["train.bin"]
    fine = data.get_dataset("cifar100", root=tmp_path)
    coarse = data.get_dataset("cifar100", root=tmp_path, coarse=True)
    assert len(fine.classes) == 100 and len(coarse.classes) == 20
    np.testing.assert_array_equal(fine.labels, labels[:, 1])
    np.testing.assert_array_equal(coarse.labels, labels[:, 0])


@pytest.mark.usefixtures("small")
def test_the_archive_itself_is_verified_and_read(tmp_path, monkeypatch):
    content = write(tmp_path, cifar.CIFAR100)
    path = tmp_path / "cifar-100-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / cifar.CIFAR100.folder, cifar.CIFAR100.folder)
    with pytest.raises(DataError, match=r"its md5 is [0-9a-f]{32}.*https://.*03b5dce01913d631647c71ecec9e9cb8"):
        data.get_dataset("cifar100", root=path)
    true_md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(cifar.DATASETS, "cifar100", dataclasses.replace(cifar.DATASETS["cifar100"], md5=true_md5))
    test = data.get_dataset("cifar100", "test", root=path)
    np.testing.assert_array_equal(test.images, content["test.bin"][1])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("change", (-1, 1), ids=("truncated", "too long"))
def test_a_file_of_the_wrong_size_is_named(tmp_path, change):
    write(tmp_path, cifar.CIFAR10)
    path = tmp_path / cifar.CIFAR10.folder / "data_batch_3.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if change < 0 else whole + b"x")
    with pytest.raises(DataError, match=f"data_batch_3.bin.*{20 * 3073 + change} bytes instead of {20 * 3073}.*md5"):
        data.get_dataset("cifar10", root=tmp_path)


def test_missing_files_say_what_is_missing_and_where_it_comes_from(tmp_path):
    with pytest.raises(DataError, match="--data-root.*cifar-10-binary.tar.gz from https://.*c32a1d4ab5d03f1284b6"):
        data.get_dataset("cifar10")
    with pytest.raises(DataError, match=f"not in {tmp_path}.*cifar-100-binary/test.bin"):
        data.get_dataset("cifar100", root=tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"")
    with pytest.raises(DataError, match="data_batch_1.bin of cifar10 is missing in"):
        data.get_dataset("cifar10", root=tmp_path)


def test_true_record_counts():
    for archive, train in ((cifar.CIFAR10, 50000), (cifar.CIFAR100, 50000)):
        assert sum(count for _, count in archive.files["train"]) == train
        assert sum(count for _, count in archive.files["test"]) == 10000
    assert (cifar.CIFAR10.record, cifar.CIFAR100.record) == (3073, 3074)
