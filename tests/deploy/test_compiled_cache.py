"""What OpenVINO compiled is read again only where it is as it was written."""

from __future__ import annotations

import subprocess

import numpy as np
import portalocker
import pytest

from gluon_attn.deploy import Predictor, export_onnx
from gluon_attn.deploy.run import compiled_cache, openvino_engine
from gluon_attn.errors import GluonAttnError
from tests.deploy.test_openvino import CARD, PICTURES
from tests.helpers import build

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnx")
numbered = pytest.mark.skipif(
    openvino.__version__ < "2025", reason="OpenVINO 2024 numbers nodes through a process: its second key is another"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "net.onnx"
    export_onnx(build("cifar_aff_resnet20", classes=10, layers=(1, 1, 1)), path, 32, card=CARD)
    return path


def _logits(file, cache, **options):
    options = {"engine": "openvino", "threads": 1, "batch_size": len(PICTURES), **options}
    return Predictor(file, cache=cache, **options).logits(PICTURES)


def _state(cache):
    """What was kept, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in cache.glob("*/*.blob*")}


@pytest.fixture
def kept(file, tmp_path):
    """A cache with one graph in it, and the network's answers."""
    return tmp_path / "cache", _logits(file, tmp_path / "cache")


@numbered
def test_the_cache_is_written_and_read(file, tmp_path):
    expected = Predictor(file, engine="onnxruntime").logits(PICTURES)
    for _ in range(2):
        found = Predictor(file, engine="openvino", cache=tmp_path / "cache", threads=1).logits(PICTURES)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        blobs = sorted((tmp_path / "cache").glob("**/*.blob"))
    assert len(blobs) == 2  # of 16 images, and of the last 4


@numbered
def test_it_is_read_by_the_next(kept, file, caplog):
    cache, expected = kept
    before = _state(cache)
    np.testing.assert_array_equal(_logits(file, cache), expected)
    assert _state(cache) == before and len(before) == 2 and not caplog.records


@numbered
@pytest.mark.parametrize("place", np.linspace(0, 0.9999, 12))
def test_one_flipped_bit_is_noticed(place, kept, file, caplog):
    cache, expected = kept
    (blob,) = cache.glob("*/*.blob")
    written = blob.read_bytes()
    damaged = bytearray(written)
    damaged[int(place * len(damaged))] ^= 4
    blob.write_bytes(damaged)
    np.testing.assert_array_equal(_logits(file, cache), expected)
    assert f"{blob} is not as it was written" in caplog.text
    assert blob.read_bytes() != damaged
    caplog.clear()
    np.testing.assert_array_equal(_logits(file, cache), expected)
    assert not caplog.records


@numbered
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"0" * 64])
def test_what_has_no_checksum_is_not_trusted(content, kept, file):
    """Its writer was stopped before, or it is of other origin."""
    cache, expected = kept
    before = _state(cache)
    (note,) = cache.glob("*/*.sha256")
    if content is None:
        note.unlink()
    else:
        note.write_bytes(content)
    np.testing.assert_array_equal(_logits(file, cache), expected)
    after = _state(cache)
    assert after.keys() == before.keys() and all(after[path] > before[path] for path in before)


def test_the_checksum_is_what_sha256sum_reads(kept):
    (note,) = kept[0].glob("*/*.sha256")
    subprocess.run(["sha256sum", "--check", note.name], cwd=note.parent, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("options", [{"precision": "bfloat16"}, {"threads": 2}, {"batch_size": 7}])
def test_other_options_are_other_graphs(options, kept, file):
    if options.get("precision") and Predictor(file, engine="openvino", **options).precision == "float32":
        pytest.skip("this CPU has no bfloat16")
    cache, _ = kept
    before = _state(cache)
    _logits(file, cache, **options)
    after = _state(cache)
    assert len(after) > len(before) and {path: after[path] for path in before} == before


def test_another_network_is_another_graph(kept, tmp_path):
    cache, expected = kept
    before = _state(cache)
    export_onnx(build("cifar_aff_resnet20", classes=10, layers=(1, 1, 1), seed=1), tmp_path / "b.onnx", 32, card=CARD)
    assert abs(_logits(tmp_path / "b.onnx", cache) - expected).max() > 1e-3
    assert len(_state(cache)) == 2 * len(before)


@numbered
@pytest.mark.parametrize("damaged", [False, True])
def test_where_nothing_can_be_written_sound_graphs_are_read(damaged, kept, file, caplog):
    cache, expected = kept
    (blob,) = cache.glob("*/*.blob")
    if damaged:
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    before = _state(cache)
    lock = blob.with_name(".lock")
    lock.unlink()
    lock.mkdir()  # stands for a folder that is read-only, which root could write to
    np.testing.assert_array_equal(_logits(file, cache), expected)
    assert _state(cache) == before
    assert ("cannot be kept in" in caplog.text) == damaged


def test_one_at_a_time_and_none_for_ever(kept, file, caplog, monkeypatch):
    cache, expected = kept
    (blob,) = cache.glob("*/*.blob")
    monkeypatch.setattr(compiled_cache, "PATIENCE", 0.2)
    with open(blob.with_name(".lock"), "a") as lock:
        portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")  # what another one is about to write
        np.testing.assert_array_equal(_logits(file, cache), expected)
    assert "cannot be kept in" in caplog.text and "another process is compiling there" in caplog.text
    assert blob.read_bytes().endswith(b"?")


@numbered
def test_what_cannot_be_removed_is_not_read(kept, file, monkeypatch):
    cache, expected = kept
    (blob,) = cache.glob("*/*.blob")
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    blob.with_name("zz.blob").mkdir()

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(blob), "unlink", refused)
    np.testing.assert_array_equal(_logits(file, cache), expected)


def test_a_full_disk_is_said(file, tmp_path, caplog, monkeypatch):
    """OpenVINO then removes what it could not write whole, and is silent."""

    def compiled(core, model, device, options):
        options.pop("CACHE_DIR")
        return compile_model(core, model, device, options)

    compile_model = openvino_engine.openvino.Core.compile_model
    monkeypatch.setattr(openvino_engine.openvino.Core, "compile_model", compiled)
    _logits(file, tmp_path / "cache")
    assert "kept nothing of what it compiled" in caplog.text


def test_the_folder_is_that_of_the_beginning(file, tmp_path, monkeypatch):
    """Graphs are compiled when they are needed, in whatever folder the process is then."""
    monkeypatch.chdir(tmp_path)
    predictor = Predictor(file, engine="openvino", cache="cache", threads=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    predictor.logits(PICTURES[:1])
    assert len(list(tmp_path.glob("cache/*/*.blob"))) == 2 and not list(tmp_path.glob("elsewhere/*"))


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_that_can_be_no_folder_is_refused(place, file, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(GluonAttnError, match=f"{place} was not written .* Give another place"):
        Predictor(file, engine="openvino", cache=tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("cache", [5, True, b"cache", "a\0b", "latin-\udce9"])
def test_a_cache_that_is_no_path_is_refused(cache, file):
    with pytest.raises(GluonAttnError, match="can be no folder: give the path of one"):
        Predictor(file, engine="openvino", cache=cache)
