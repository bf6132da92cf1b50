"""Which reader a file gets, and that no file gets to run anything."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from gluon_attn.errors import WeightsError
from gluon_attn.weights import load_weights
from gluon_attn.weights.files import read_arrays, read_file
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


class FakeTensor:
    dtype = "float32"

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def is_floating_point(self):
        return True

    def to(self, dtype):
        return self

    def numpy(self):
        return self.array


def fake_torch(monkeypatch, content, version="2.6.0"):
    """A torch whose load records how it was called; the real one is tested where it is installed."""
    torch, calls = types.ModuleType("torch"), []
    torch.__version__, torch.Tensor, torch.float32 = version, FakeTensor, "float32"
    torch.load = lambda stream, **kwargs: calls.append(kwargs) or content
    monkeypatch.setitem(sys.modules, "torch", torch)
    return calls


@pytest.mark.parametrize("nest", [lambda d: d, lambda d: {"epoch": 3, "state_dict": d}, lambda d: {"model": d}])
def test_torch_files_are_read_with_weights_only(nest, monkeypatch):
    calls = fake_torch(monkeypatch, nest({"a": FakeTensor(ARRAYS["a"])}))
    np.testing.assert_array_equal(read_arrays(b"PK\3\4....")["a"], ARRAYS["a"])
    assert calls == [{"map_location": "cpu", "weights_only": True}]


def test_torch_that_can_be_tricked_is_not_used(monkeypatch):
    calls = fake_torch(monkeypatch, {}, version="2.5.1+cpu")
    with pytest.raises(WeightsError, match="torch 2.5.1.cpu can be made to run code .* install torch>=2.6"):
        read_arrays(b"\x80\x02....", "a.pth")
    assert not calls


def test_a_torch_file_that_is_no_state_dict_raises(monkeypatch):
    fake_torch(monkeypatch, [1, 2])
    with pytest.raises(WeightsError, match="holds no state_dict"):
        read_arrays(b"PK\3\4....", "a.pth")


def test_without_torch_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # import fails
    with pytest.raises(WeightsError, match=r"only torch may open .*: install torch, or convert it once"):
        read_arrays(b"PK\3\4....", "a.pth")


def test_a_real_torch_file():
    torch = pytest.importorskip("torch", minversion="2.6")
    stream = io.BytesIO()
    torch.save({"state_dict": {"a": torch.from_numpy(ARRAYS["a"]).to(torch.bfloat16)}, "epoch": 1}, stream)
    np.testing.assert_array_equal(read_arrays(stream.getvalue())["a"], ARRAYS["a"])


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


def test_files_and_members_that_are_too_large_raise(tmp_path, monkeypatch):
    monkeypatch.setattr("gluon_attn.weights.files.LARGEST", 1000)
    bomb = zipped(tmp_path / "a.zip", {})
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.params", b"0" * 100000)
    assert bomb.stat().st_size < 1000
    with pytest.raises(WeightsError, match="unpacks to more than 1000 bytes"):
        read_file(bomb, "w.params")
    (tmp_path / "big.params").write_bytes(b"0" * 1001)
    with pytest.raises(WeightsError, match="has 1001 bytes"):
        read_file(tmp_path / "big.params")
