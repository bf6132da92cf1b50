"""The MPIIFaceGaze reader on small files in the true format (MATLAB v7.3 is HDF5)."""

from __future__ import annotations

import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.data.gaze import leave_one_person_out
from gluon_attn.errors import DataError

h5py = pytest.importorskip("h5py")

SIDE, FACES = 12, 5


def write(folder, person, faces, labels):
    """`faces` (H, W, 3, N) as MATLAB has them in memory: HDF5 holds the axes in reverse order."""
    with h5py.File(folder / f"{person}.mat", "w", userblock_size=512) as file:
        file["Data/data"] = faces.transpose(3, 2, 1, 0).astype(np.float32)
        file["Data/label"] = labels.astype(np.float32)


@pytest.fixture
def people(tmp_path):
    """{person: (faces as MATLAB has them, labels)} of three persons."""
    rng = np.random.RandomState(0)
    content = {}
    for number, person in enumerate(("p00", "p03", "p14")):
        count = FACES + number
        content[person] = rng.randint(0, 256, (SIDE, SIDE, 3, count)), rng.uniform(-1, 1, (count, 16))
        write(tmp_path, person, *content[person])
    return tmp_path, content


def test_what_are_no_faces_of_numbers_up_to_255_are_refused(tmp_path):
    faces, labels = np.random.RandomState(0).rand(SIDE, SIDE, 3, FACES), np.zeros((FACES, 16))
    for values in (faces, faces / faces.max()):
        write(tmp_path, "p00", values, labels)
        with pytest.raises(DataError, match="has faces of values up to .*, not up to 255"):
            data.get_dataset("mpiifacegaze", "test", root=tmp_path, person="p00")
    write(tmp_path, "p00", np.round(255 * faces) * (np.arange(FACES) > 0), labels)  # the first one is black
    assert not data.get_dataset("mpiifacegaze", "test", root=tmp_path, person="p00")[0][0].any()
    labels[1, 0] = np.nan
    write(tmp_path, "p00", np.round(255 * faces), labels)
    with pytest.raises(DataError, match="labels that are no finite numbers"):
        data.get_dataset("mpiifacegaze", "test", root=tmp_path, person="p00")


def as_the_authors_say(face):
    """new = original(:,:,[3 2 1]); new = flip(new, 2); new = imrotate(new, 90)"""
    return np.rot90(np.fliplr(face[:, :, [2, 1, 0]]))


def test_faces_are_upright_rgb_and_labels_pitch_and_yaw(people):
    root, content = people
    test = data.get_dataset("mpiifacegaze", "test", root=root, person="p03")
    faces, labels = content["p03"]
    assert len(test) == FACES + 1 and test.image_size == SIDE
    for index in range(len(test)):
        face, gaze = test[index]
        assert face.dtype == np.uint8 and gaze.dtype == np.float32
        np.testing.assert_array_equal(face, as_the_authors_say(faces[..., index]))
        np.testing.assert_allclose(gaze, labels[index, :2], rtol=1e-6)
    np.testing.assert_allclose(test.head_poses, labels[:, 2:4], rtol=1e-6)


def test_leave_one_person_out(people):
    root, content = people
    seen = []
    for person, train, test in leave_one_person_out(root):
        seen.append(person)
        assert test.people == (person,) and set(train.people) == set(content) - {person}
        assert set(train.person_of) == set(train.people)
        faces, labels = content[train.people[1]]
        np.testing.assert_array_equal(train[-1][0], as_the_authors_say(faces[..., -1]))
        np.testing.assert_allclose(train.labels[-1], labels[-1, :2], rtol=1e-6)
    assert seen == ["p00", "p03", "p14"]


def test_two_workers_read_what_one_does(people):
    root, _ = people
    dataset = data.get_dataset("mpiifacegaze", root=root, person="p14")
    transform = data.eval_transform(SIDE, dataset.mean, dataset.std)
    batches = []
    for workers in (0, 2):
        loader = data.Loader(dataset, 4, transform, train=True, workers=workers)
        batches.append([(x.asnumpy(), y.asnumpy()) for x, y in loader.epoch(0)])
    for (x, a), (y, b) in zip(*batches):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(a, b)
    assert batches[0][0][1].shape == (4, 2) and batches[0][0][1].dtype == np.float32


def test_mistakes_and_damage(people):
    root, content = people
    faces, labels = content["p00"]

    def get(person="p00", split="test", root=root):
        return data.get_dataset("mpiifacegaze", split, root=root, person=person)

    for arguments, message in (
        (dict(person="p15"), "Unknown person 'p15'"),
        (dict(person="p01"), "p01.mat is missing in .*https://"),
        (dict(root=None), "--data-root"),
        (dict(root=root / "none"), "none of p00.mat to p14.mat"),
    ):
        with pytest.raises(DataError, match=message):
            get(**arguments)
    with pytest.raises(DataError, match="no classes to draw from"):
        data.get_dataset("mpiifacegaze", root=root, validation=3)
    write(root, "p00", faces, labels[:-1])
    with pytest.raises(DataError, match="p00.mat is damaged: 5 faces but 4 labels"):
        get()
    write(root, "p00", faces[:, :, :2], labels)
    with pytest.raises(DataError, match=r"p00.mat is no normalised.*\(5, 2, 12, 12\) instead of \(N, 3, H, W\)"):
        get()
    whole = (root / "p03.mat").read_bytes()
    (root / "p03.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="p03.mat is no readable HDF5 file"):
        get("p03")
    with h5py.File(root / "p14.mat", "w") as file:
        file["Data/label"] = labels
    with pytest.raises(DataError, match="p14.mat has no Data/data"):
        get("p14")


def test_one_person_alone_cannot_be_left_out(tmp_path):
    write(tmp_path, "p02", np.zeros((SIDE, SIDE, 3, 2)), np.zeros((2, 16)))
    with pytest.raises(DataError, match="p02.mat alone"):
        data.get_dataset("mpiifacegaze", root=tmp_path, person="p02")
