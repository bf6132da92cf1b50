"""The .params reader against MXNet's writer, and against damage of every kind."""

from __future__ import annotations

import struct
import tracemalloc

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_attn.errors import WeightsError
from gluon_attn.weights import all_published, find, load_weights
from gluon_attn.weights.container import read_params
from gluon_attn.weights.verify import digest
from tests.weights.published import entry_for


class Tiny(nn.HybridBlock):
    """Two parameters, head.fc.weight and head.fc.bias."""

    def __init__(self):
        super().__init__()
        self.head = nn.HybridSequential()
        self.head.fc = nn.Dense(2, in_units=3)


@pytest.fixture
def tiny(tmp_path):
    net = Tiny()
    net.initialize(mx.init.Normal(1))
    path = tmp_path / "tiny.params"
    net.save_parameters(str(path))
    return path


def test_reads_what_mxnet_writes(tmp_path):
    rng = np.random.RandomState(0)
    arrays = {
        "arg:half": rng.rand(2, 3).astype("float16"),
        "aux:single": rng.rand(4).astype("float32"),
        "double": rng.rand(1, 2, 3).astype("float64"),
        "whole": rng.randint(0, 9, (5,)).astype("int64"),
    }
    mx.nd.save(str(tmp_path / "a"), {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()})
    read = read_params((tmp_path / "a").read_bytes())
    assert list(read) == ["half", "single", "double", "whole"]
    for array, own in zip(arrays.values(), read.values()):
        assert own.dtype == array.dtype
        np.testing.assert_array_equal(own, array)


def test_reads_files_written_with_numpy_shapes(tmp_path):
    with mx.util.np_shape(True):
        mx.nd.save(str(tmp_path / "a"), {"scalar": mx.nd.ones(()) * 3, "none": mx.nd.ones((0, 2))})
    read = read_params((tmp_path / "a").read_bytes())
    assert read["scalar"].shape == () and read["scalar"] == 3
    assert read["none"].shape == (0, 2)


def test_a_list_without_names_and_sparse_arrays_are_refused(tmp_path):
    mx.nd.save(str(tmp_path / "list"), [mx.nd.ones(2)])
    with pytest.raises(WeightsError, match="1 arrays and 0 names"):
        read_params((tmp_path / "list").read_bytes())
    mx.nd.save(str(tmp_path / "sparse"), {"a": mx.nd.ones((2, 2)).tostype("csr")})
    with pytest.raises(WeightsError, match="sparse"):
        read_params((tmp_path / "sparse").read_bytes())


# offset, format and value of one field of a file with a single (2, 2) array named "a"
HEADER = {
    "list magic": (0, "<Q", 0x113, "not an MXNet .params"),
    "reserved": (8, "<Q", 1, "reserved field"),
    "count": (16, "<Q", 1 << 62, "number of arrays is"),
    "array magic": (24, "<I", 0xF993FAC0, "which no MXNet"),
    "storage type": (28, "<i", 1, "sparse"),
    "ndim": (32, "<i", 1 << 30, "ndim is"),
    "negative ndim": (32, "<i", -5, "ndim is"),
    "no dims": (32, "<i", 0, "is empty"),
    "huge dim": (36, "<q", 1 << 61, "needs"),
    "product past 64 bits": (36, "<q", 1 << 63 - 1, "needs"),
    "negative dim": (36, "<q", -2, "has the shape"),
    "device": (52, "<i", 77, "kind of device"),
    "a side that numpy cannot count": (36, "<qq", (0, 1 << 62), "has the shape"),
    "type": (60, "<i", 99, "unknown type 99"),
    "names": (80, "<Q", 2, "1 arrays and 2 names"),
    "name length": (88, "<Q", 1 << 60, "length of name 0"),
    "name": (96, "<B", 0xFF, "is not text"),
}


@pytest.mark.parametrize("field", HEADER)
def test_every_damaged_field_raises_and_allocates_nothing(field, tmp_path):
    mx.nd.save(str(tmp_path / "a"), {"a": mx.nd.ones((2, 2))})
    data = bytearray((tmp_path / "a").read_bytes())
    assert len(data) == 97
    offset, form, value, message = HEADER[field]
    struct.pack_into(form, data, offset, *(value if isinstance(value, tuple) else (value,)))
    tracemalloc.start()
    with pytest.raises(WeightsError, match=message):
        read_params(bytes(data))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_every_truncation_and_a_longer_file_raise(tiny):
    data = tiny.read_bytes()
    for length in range(len(data)):
        with pytest.raises(WeightsError):
            read_params(data[:length])
    with pytest.raises(WeightsError, match="1 bytes follow"):
        read_params(data + b"\0")


def mutations(data, count=200, seed=0):
    """Flipped bits (one or several) and truncations."""
    rng = np.random.RandomState(seed)
    for number in range(count):
        mutated = bytearray(data)
        if number % 4 == 3:
            yield bytes(mutated[: rng.randint(len(data))])
            continue
        for _ in range(1 + number % 3):
            mutated[rng.randint(len(data))] ^= 1 << rng.randint(8)
        if mutated != data:
            yield bytes(mutated)


def test_no_mutated_file_is_opened_where_the_hash_is_known(tiny, tmp_path, monkeypatch):
    data = tiny.read_bytes()
    entry = entry_for("cifar_resnet20", data, path=str(tmp_path / "mutated.params"))
    assert find.verified_bytes(entry_for("cifar_resnet20", data, path=str(tiny)))[0] == data
    for mutated in mutations(data):
        (tmp_path / "mutated.params").write_bytes(mutated)
        with pytest.raises(WeightsError, match="is not the published file"):
            find.verified_bytes(entry)


def test_a_mutated_file_at_a_bare_path_raises_or_changes_only_values(tiny, tmp_path):
    data, original = tiny.read_bytes(), read_params(tiny.read_bytes())
    path, loaded = tmp_path / "mutated.params", 0
    for mutated in mutations(data):
        path.write_bytes(mutated)
        net = Tiny()
        try:
            load_weights(net, path)
        except WeightsError:
            continue
        loaded += 1
        for name, parameter in net._collect_params_with_prefix().items():
            assert parameter.shape == original[name].shape
            assert np.isfinite(parameter.data().asnumpy()).all()
    assert 0 < loaded < 100  # flips within the numbers, or the device's number


@pytest.mark.parametrize("value,name", [(np.nan, "head.fc.weight"), (np.inf, "head.fc.bias")])
def test_values_that_are_not_finite_are_named(value, name, tmp_path):
    arrays = {"head.fc.weight": mx.nd.ones((2, 3)), "head.fc.bias": mx.nd.ones(2)}
    arrays[name][0] = value
    mx.nd.save(str(tmp_path / "a"), arrays)
    with pytest.raises(WeightsError, match=f"NaN, infinite or impossible values in {name}:"):
        load_weights(Tiny(), tmp_path / "a")


def test_integers_are_no_weights(tmp_path):
    mx.nd.save(
        str(tmp_path / "a"), {"head.fc.weight": mx.nd.ones((2, 3), dtype="int32"), "head.fc.bias": mx.nd.ones(2)}
    )
    with pytest.raises(WeightsError, match=r"no floating-point numbers: head.fc.weight \(int32\)"):
        load_weights(Tiny(), tmp_path / "a")


def test_digests_are_those_of_git_and_sha():
    # git hash-object of a file with "hello\n"; the others from RFC 3174's and FIPS 180's "abc"
    assert digest("git-blob-sha1", b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert digest("sha1", b"abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert digest("sha256", b"abc").startswith("ba7816bf8f01cfea")
    with pytest.raises(WeightsError, match="Unknown kind of hash 'crc32'"):
        digest("crc32", b"")


def test_published_hashes_have_the_length_of_their_kind():
    for entry in all_published():
        assert entry.hash is None or len(entry.hash) == 40
