"""`gluon-attn convert`: there and back again is the same file."""

from __future__ import annotations

from gluon_attn import cli, save_weights
from gluon_attn.train import fit
from gluon_attn.weights.files import read_arrays, read_file
from tests.helpers import build
from tests.train.tiny import tiny


def _read(path):
    return read_arrays(read_file(path), path)


def test_there_and_back(tmp_path, capsys):
    first, other, again = (str(tmp_path / name) for name in ("a.params", "b.params", "c.safetensors"))
    save_weights(build("cifar_se_resnet20", classes=7), first)
    words = ["--model", "cifar_se_resnet20"]
    assert cli.main(["convert", first, "--to", "imgclsmob", "-o", other, *words]) == 0
    assert "under the names of imgclsmob" in capsys.readouterr().out
    assert "features.1.0.se.conv1.weight" in _read(other)
    assert cli.main(["convert", other, "--to", "gluon", "-o", again, *words]) == 0
    before, after = _read(first), _read(again)
    assert set(before) == set(after) and all((before[name] == after[name]).all() for name in before)


def test_mistakes(tmp_path, capsys):
    path, out = str(tmp_path / "a.params"), str(tmp_path / "b.safetensors")
    save_weights(build("cifar_se_resnet20", classes=7), path)
    assert cli.main(["convert", path, "--to", "timm", "-o", out]) == 2
    assert "Give --model NAME" in capsys.readouterr().err
    assert cli.main(["convert", path, "--to", "timm", "-o", out, "--model", "cifar_se_resnet20"]) == 2
    assert "'timm' has no network with" in capsys.readouterr().err
    assert cli.main(["convert", path, "--to", "keras", "-o", out, "--model", "cifar_se_resnet20"]) == 2
    assert "Unknown format of weights 'keras'" in capsys.readouterr().err


def test_the_card_says_whose_weights_they_are(tmp_path):
    out = str(tmp_path / "aff.params")
    stored = "params/digits/cifar_aff_resnet20/digits/weights.params"
    assert cli.main(["convert", stored, "--to", "gluon", "-o", out]) == 0
    assert set(_read(out)) == set(_read(stored))


def test_a_model_written_otherwise_keeps_its_card(tmp_path, capsys):
    fit(tiny(tmp_path, model="cifar_se_resnet20", arch={"layers": [1, 1, 1], "gating": "reciprocal"}, epochs=1), False)
    words = ["convert", str(tmp_path / "last.params"), "-o", str(tmp_path / "a.params"), "--to", "imgclsmob"]
    for model in ("cifar_se_resnet20", "CIFAR_SE_ResNet20"):
        assert cli.main([*words, "--model", model]) == 2
        assert "'gating': 'reciprocal'" in capsys.readouterr().err
    assert not (tmp_path / "a.params").exists()


def test_what_a_file_tells_of_its_network_is_kept(tmp_path, capsys):
    """imgclsmob's bottlenecks stride in their 1x1: written as ours they would be other networks."""
    theirs, ours = str(tmp_path / "a.params"), str(tmp_path / "b.params")
    net = build("se_resnet50", classes=7, stride_in="1x1")
    save_weights(net, theirs, format="imgclsmob")
    words = ["--model", "se_resnet50"]
    assert cli.main(["convert", theirs, "--to", "timm", "-o", str(tmp_path / "c.safetensors"), *words]) == 2
    assert "'timm' has no network with" in capsys.readouterr().err
    assert cli.main(["convert", theirs, "--to", "gluon", "-o", ours, *words]) == 0
    assert cli.main(["convert", theirs, "--to", "timm", "-o", ours, *words, "--arch", "stride_in=3x3"]) == 0
