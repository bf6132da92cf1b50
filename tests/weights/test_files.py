"""Which reader a file gets, and that no file gets to run anything."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections import OrderedDict

import mxnet as mx
import numpy as np
import pytest

from gluon_attn.errors import WeightsError
from gluon_attn.weights import identify, load_weights
from gluon_attn.weights.files import read_arrays, read_file
from tests.weights import torch_files
from tests.weights.published import save

ARRAYS = {"a": np.arange(6, dtype="float32").reshape(2, 3)}


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def torch_zip(pickled):
    """What torch.save writes since 1.6, as far as a reader looks before it unpickles."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".states", ".params", ".safetensors"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_malicious_pickle_runs_nothing(suffix, protocol, zipped, tmp_path):
    marker, path = tmp_path / "executed", tmp_path / f"evil{suffix}"
    pickled = pickle.dumps(Evil(marker), protocol=min(protocol, pickle.HIGHEST_PROTOCOL))
    path.write_bytes(torch_zip(pickled) if zipped else pickled)
    with pytest.raises(WeightsError):
        load_weights(None, path)
    assert not marker.exists()
    pickle.loads(pickled)  # the file is as bad as the test says
    assert marker.exists()


def test_the_form_is_told_by_content(tmp_path):
    for name in ("a.params", "b.safetensors"):
        path = save(tmp_path / name, ARRAYS)
        renamed = path.rename(tmp_path / "no_suffix")
        np.testing.assert_array_equal(read_arrays(read_file(renamed))["a"], ARRAYS["a"])
    with pytest.raises(WeightsError, match=r"is no MXNet .params, .safetensors or PyTorch file .*<html>"):
        read_arrays(b"<html>404</html>", "page.params")
    with pytest.raises(WeightsError, match="is not a file"):
        read_file(tmp_path)


def test_damaged_safetensors_raise(tmp_path):
    data = save(tmp_path / "a.safetensors", ARRAYS).read_bytes()
    rng = np.random.RandomState(0)
    for number in range(200):
        mutated = bytearray(data)
        mutated[rng.randint(len(data) - 24)] ^= 1 << rng.randint(8)  # the header; the rest is values
        mutated = mutated[: rng.randint(len(data))] if number % 4 == 0 else mutated
        try:
            read = read_arrays(bytes(mutated))
        except WeightsError:
            continue
        assert sum(array.nbytes for array in read.values()) <= len(data)


MORE = {
    **ARRAYS,
    "half": np.ones(3, "float16"),
    "double": np.arange(4.0),
    "count": np.asarray(7),
    "conv": np.ones((2, 3, 1, 1), "f4"),
}


@pytest.mark.parametrize("form", torch_files.FORMS)
@pytest.mark.parametrize(
    "nest",
    [
        lambda d: d,
        lambda d: {"epoch": 3, "lr": 0.1, "state_dict": OrderedDict(d)},
        lambda d: {"model": d, "x": [1, (2,)]},
    ],
)
def test_torch_files_are_read_without_torch(form, nest, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    read = read_arrays(torch_files.torch_file(MORE, form, nest))
    assert list(read) == list(MORE)
    for name, array in MORE.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].shape == array.shape
        assert read[name].dtype == ("float32" if array.dtype.kind == "f" else array.dtype)


@pytest.mark.parametrize("form", [True, False])
def test_torch_and_we_read_the_same(form):
    torch = pytest.importorskip("torch", minversion="2.6")
    first = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).state_dict()
    state = {
        **first,
        "turned": torch.randn(4, 5).t(),
        "cut": torch.randn(4, 5)[1:3, 2:],
        "b": torch.randn(3).bfloat16(),
    }
    stream = io.BytesIO()
    torch.save({"state_dict": state, "epoch": 1}, stream, _use_new_zipfile_serialization=form)
    read = read_arrays(stream.getvalue())
    for name, tensor in state.items():
        np.testing.assert_array_equal(read[name], tensor.float().numpy())


def tensor(shape=(2, 3), strides=None, offset=0, count=None):
    record = torch_files.Record(ARRAYS["a"], "0", count)
    return {"a": torch_files.Tensor(record, shape, strides, offset)}, [record]


HOSTILE_TENSORS = {
    "more numbers than the record has": tensor((100,), count=100),
    "a count of a terabyte": tensor((1 << 38,), count=1 << 38),
    "behind its numbers": tensor((2, 3), offset=1),
    "one number a million times": tensor((1 << 20,), (0,)),
    "one number 2^60 times": tensor((1 << 30, 1 << 30), (0, 0)),
    "an empty tensor with a side that nobody can count": tensor((0, 1 << 62)),
    "a negative stride": tensor((2, 3), (-3, 1), 3),
    "a negative shape": tensor((-2, -3)),
    "a shape of text": tensor(("a",), (1,)),
    "a shape within a shape": tensor(((1,),), (1,)),
}


@pytest.mark.parametrize("form", torch_files.FORMS)
@pytest.mark.parametrize("case", HOSTILE_TENSORS)
def test_a_tensor_lies_within_its_record(case, form):
    described, records = HOSTILE_TENSORS[case]
    with pytest.raises(WeightsError, match="no file of weights by PyTorch, or damaged: .*Nothing in it ran"):
        read_arrays(torch_files.FORMS[form](torch_files.pickled(described), records))


@pytest.mark.parametrize("value", [[1, 2], {}, {"a": 1}, {"state_dict": {}}])
def test_a_torch_file_that_is_no_state_dict_raises(value):
    with pytest.raises(WeightsError, match="holds no state_dict"):
        read_arrays(torch_files.archive(torch_files.pickled(value), []), "a.pth")


def deep(instruction, times):
    return b"\x80\x02" + instruction * times + b"."


PROGRAMS = {
    "a tuple in a tuple, 10^5 times": b"\x80\x02)" + b"\x85" * 10**5 + b".",
    "a dictionary in itself": b"\x80\x02}q\0X\1\0\0\0ah\0s.",
    "no end": b"\x80\x02N",
    "nothing": b"\x80\x02.",
    "marks alone": deep(b"(", 1000),
    "a long text": b"\x80\x02X\xff\xff\xff\xff.",
    "too many instructions": deep(b"N0", 200000),
    "a name without an end": b"\x80\x02c" + b"x" * 5000 + b".",
    "a key that is a list": b"\x80\x02}]Ns.",
    "a call of a number": b"\x80\x02K\1)R.",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_that_describe_no_weights_raise(program):
    for data in (torch_files.archive(PROGRAMS[program], []), torch_files.legacy(PROGRAMS[program], [])):
        with pytest.raises(WeightsError):
            read_arrays(data, "a.pth")


def test_damaged_torch_files_raise():
    for form in torch_files.FORMS:
        data = torch_files.torch_file(ARRAYS, form)
        for length in range(0, len(data), 3):
            with pytest.raises(WeightsError):
                read_arrays(data[:length])
    rng = np.random.RandomState(0)
    described, records = torch_files.tensors(ARRAYS)
    program = torch_files.pickled(described)
    for _ in range(300):
        mutated = bytearray(program)
        mutated[rng.randint(len(program))] = rng.randint(256)
        try:
            read = read_arrays(torch_files.archive(bytes(mutated), records))
        except WeightsError:
            continue
        assert sum(array.nbytes for array in read.values()) <= 200


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_member_is_read_by_name_only(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = zipped(folder / "a.zip", {"../evil.params": b"evil", "w.params": b"good", "/etc/evil": b"evil"})
    assert read_file(path, "w.params") == b"good"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "folder"]
    with pytest.raises(WeightsError, match=r"has no member 'v.params'; it holds \['../evil.params'"):
        read_file(path, "v.params")


def test_an_archive_as_published_can_be_given_as_a_path(tmp_path):
    assert read_file(zipped(tmp_path / "a.zip", {"w.params": b"good"})) == b"good"


def test_damaged_archives_raise(tmp_path):
    data = bytearray(zipped(tmp_path / "a.zip", {"w.params": b"0123456789"}).read_bytes())
    data[data.index(b"0123")] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(WeightsError, match="damaged zip archive .*CRC"):
        read_file(tmp_path / "a.zip", "w.params")


@pytest.mark.parametrize("compression", ["ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA"])
def test_every_damaged_byte_of_an_archive_is_a_sentence(compression, tmp_path):
    path, content = tmp_path / "a.zip", np.random.RandomState(0).bytes(300)
    with zipfile.ZipFile(path, "w", getattr(zipfile, compression)) as archive:
        archive.writestr("w.params", content)
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            read = read_file(path, "w.params")
        except WeightsError:
            continue
        assert read in (content, path.read_bytes())  # a date or a comment; or it is an archive no more


def test_two_files_of_weights_in_an_archive_are_not_guessed_between(tmp_path):
    with pytest.raises(WeightsError, match="holds 2 files of weights"):
        read_file(zipped(tmp_path / "a.zip", {"v.params": b"1", "w.params": b"2"}))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("w.params", b"1")
        archive.writestr("w.params", b"2")
    with pytest.raises(WeightsError, match="holds 'w.params' twice"):
        read_file(tmp_path / "b.zip")


@contextlib.contextmanager
def traced(most):
    """Python and numpy never hold more than `most` bytes within."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def bomb(path, size, compression=zipfile.ZIP_DEFLATED):
    """A .params.zip of one array of `size` zeros."""
    with zipfile.ZipFile(path, "w", compression) as archive, archive.open("w.params", "w") as member:
        member.write(struct.pack("<QQQIiiqiii", 0x112, 0, 1, 0xF993FAC9, 0, 1, size // 4, 1, 0, 0))
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
        member.write(struct.pack("<QQ", 1, 6) + b"weight")
    return path


@pytest.mark.parametrize("compression", ["ZIP_DEFLATED", "ZIP_BZIP2"])
def test_a_bomb_is_not_unpacked(compression, tmp_path):
    path = bomb(tmp_path / "a.zip", 64 << 20, getattr(zipfile, compression))
    assert path.stat().st_size < 100_000
    with traced(4 << 20), pytest.raises(WeightsError, match="unpacks to 671.* it was not unpacked"):
        load_weights(None, path)


def test_a_network_of_zeros_may_have_been_deflated(tmp_path):
    path = bomb(tmp_path / "a.zip", 16 << 20)
    assert len(read_file(path, elements=4 << 20)) > 16 << 20


def test_a_bomb_that_understates_its_size_is_not_unpacked_either(tmp_path):
    path = bomb(tmp_path / "a.zip", 16 << 20)
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("w.params").file_size
    data = path.read_bytes()
    assert struct.pack("<I", size) in data
    path.write_bytes(data.replace(struct.pack("<I", size), struct.pack("<I", 1000)))
    with pytest.raises(WeightsError, match="damaged zip archive"):
        read_file(path)


def test_compressed_records_of_a_torch_file_are_refused():
    described, records = torch_files.tensors({"a": np.zeros(1 << 20, "f4")})
    data = torch_files.archive(torch_files.pickled(described), records, zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="its records are compressed"):
        read_arrays(data, "a.pth")


def test_files_that_are_too_large_for_the_network_are_not_read(tmp_path):
    path = tmp_path / "big.params"
    with open(path, "wb") as file:
        file.truncate(1 << 30)  # without a byte on the disk
    net = mx.gluon.nn.Dense(2, in_units=3)
    with traced(1 << 20), pytest.raises(
        WeightsError, match="has 1073741824 bytes; weights of this network have at most"
    ):
        load_weights(net, path)
    assert identify(path) is None
    with open(path, "wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(WeightsError, match="files of weights have at most"):
        read_file(path)
