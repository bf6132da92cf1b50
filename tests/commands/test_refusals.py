"""What commands refuse that they once did by half, or to another network than was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import gluon_attn
from gluon_attn import cli
from gluon_attn.commands import launch, store
from gluon_attn.errors import GluonAttnError, WeightsError
from gluon_attn.recipe.check import check_repeated
from gluon_attn.tasks.segmentation import script
from gluon_attn.tasks.segmentation.model import create
from gluon_attn.train import fit
from gluon_attn.weights import load_weights, save_weights
from gluon_attn.weights.download import without_password
from tests.helpers import build
from tests.train.tiny import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    fit(tiny(folder, model="cifar_se_resnet20", arch={"layers": [1, 1, 1], "gating": "reciprocal"}, epochs=1), False)
    return folder


def test_a_model_written_otherwise_keeps_its_card(run, tmp_path, capsys):
    words = ["convert", str(run / "last.params"), "-o", str(tmp_path / "a.params"), "--to", "imgclsmob"]
    for model in ("cifar_se_resnet20", "CIFAR_SE_ResNet20"):
        assert cli.main([*words, "--model", model]) == 2
        assert "'gating': 'reciprocal'" in capsys.readouterr().err
    assert not (tmp_path / "a.params").exists()


@pytest.mark.parametrize("tag", [".", "..", "v1.0", "a/b", "true", "False", "-x"])
def test_tags_that_nobody_can_ask_for(tag, run, tmp_path):
    (kept,) = [store.store(run, tmp_path, tag="first")]
    before = sorted(path.name for path in kept.parent.iterdir())
    with pytest.raises(WeightsError, match="cannot be asked for"):
        store.store(run, tmp_path, tag=tag)
    assert sorted(path.name for path in kept.parent.iterdir()) == before and (kept / "weights.params").is_file()


def test_two_runs_do_not_go_to_one_place(run, tmp_path, capsys):
    assert store.main([str(run), str(run), "--params", str(tmp_path)]) == 2
    assert "both go to" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_value_that_float32_cannot_hold(tmp_path):
    net = build("cifar_resnet20", classes=10)
    save_weights(net, tmp_path / "a.safetensors")
    arrays = {name: array.astype("float64") for name, array in load_file(str(tmp_path / "a.safetensors")).items()}
    name = next(iter(arrays))
    arrays[name].flat[0] = 1e300
    save_file(arrays, str(tmp_path / "b.safetensors"))
    with pytest.raises(WeightsError, match="NaN, infinite or impossible values"):
        load_weights(net, tmp_path / "b.safetensors")


@pytest.mark.parametrize("name", ["x\ty.jpg", "x\ny.jpg", "x\ry.jpg", "latin-\udce9.jpg"])
def test_names_that_a_list_of_im2rec_cannot_hold(name, tmp_path, capsys):
    for split in ("train", "val"):
        for label in ("a", "b"):
            (tmp_path / "set" / split / label).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "set" / split / label / "0.jpg")
    (tmp_path / "set" / "train" / "a" / "0.jpg").rename(tmp_path / "set" / "train" / "a" / name)
    assert cli.main(["pack", str(tmp_path / "set"), "--output", str(tmp_path / "rec")]) == 2
    assert "in its name: rename it" in capsys.readouterr().err
    assert not list((tmp_path / "rec").glob("*.rec"))


@pytest.mark.parametrize(
    "address, said",
    [
        ("http://user:SECRET@a.example/x", "http://a.example/x"),
        ("http://user:my SECRET@a.example/x", "http://a.example/x"),
        ("user:SECRET@a.example/x", "a.example/x"),
        ("/home/me@work/x", "/home/me@work/x"),
        ("not set", "not set"),
    ],
)
def test_no_password_is_shown(address, said, monkeypatch, capsys):
    assert without_password(address) == said
    monkeypatch.setenv("GLUON_ATTN_REPO", address)
    assert cli.main(["env"]) == 0
    assert "SECRET" not in capsys.readouterr().out


def test_no_machine_is_told_that_this_one_is_itself(monkeypatch, capsys):
    monkeypatch.delenv("DMLC_PS_ROOT_URI", raising=False)
    monkeypatch.setattr(launch.socket, "gethostbyname", lambda _: "127.0.1.1")
    host = launch.Host("no-such-machine.invalid", None)
    with pytest.raises(GluonAttnError, match="set DMLC_PS_ROOT_URI"):
        launch._own_address([host])
    assert launch._own_address([host], dry_run=True) == "UNKNOWN"
    assert "set DMLC_PS_ROOT_URI" in capsys.readouterr().err


@pytest.mark.parametrize("runs, resume, said", [(0, "", "trains nothing"), (3, "a.npz", "from the same one")])
def test_repetitions_that_are_none(runs, resume, said, tmp_path):
    with pytest.raises(GluonAttnError, match=said):
        check_repeated(tiny(tmp_path, resume=resume), runs)


def test_half_a_data_set_is_not_there(tmp_path, capsys):
    (tmp_path / "tiny-imagenet-200" / "train").mkdir(parents=True)
    assert cli.main(["data", "tiny-imagenet", "--output", str(tmp_path)]) == 2
    assert "is there, and not whole" in capsys.readouterr().err


def test_a_mirror_that_is_a_folder_is_looked_into(tmp_path, monkeypatch, capsys):
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("GLUON_ATTN_REPO", str(tmp_path / "mirror"))
    words = ["data", "cifar10", "--output", str(tmp_path / "out")]
    assert cli.main(words) == 2 and "put it there" in capsys.readouterr().err
    (tmp_path / "mirror" / "cifar-10-binary.tar.gz").write_bytes(b"other")
    assert cli.main([*words, "--dry-run"]) == 0
    name = capsys.readouterr().out.split(": ")[1].split()[0].rpartition("/")[2]
    (tmp_path / "mirror" / name).write_bytes(b"other")
    assert cli.main(words) == 2 and "is damaged or another file" in capsys.readouterr().err


def test_a_module_that_ends_the_program_is_a_sentence(tmp_path):
    (tmp_path / "exiter.py").write_text("import sys\nsys.exit(0)\n")
    for words in (["list", "--import", "exiter"], ["list"]):
        command = [sys.executable, "-m", "gluon_attn", *words]
        variables = {"GLUON_ATTN_IMPORT": "" if "--import" in words else "exiter"}
        env = {**os.environ, "PYTHONPATH": str(Path(gluon_attn.__file__).parents[1]), **variables}
        found = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert found.returncode == 2 and "'exiter'" in found.stderr and "SystemExit" in found.stderr


def test_a_branch_has_no_place_in_a_segmenter():
    with pytest.raises(GluonAttnError, match="looks through a branch"):
        create("fcn", "cifar_abn_resnet20", classes=3)


@pytest.mark.parametrize("features", [(), [], "", 1, {"stage1": 1}])
def test_features_that_name_no_stage(features):
    with pytest.raises(GluonAttnError, match="names no stage"):
        gluon_attn.get_model("cifar_resnet20", features=features)


def test_a_segmentation_that_diverges_is_not_scored(tmp_path):
    words = ["--methods", "fcn", "--train-images", "16", "--test-images", "2", "--epochs", "3", "--lr", "1e38"]
    assert script.main([*words, "--output", str(tmp_path)]) == 2
    assert not list(tmp_path.glob("*.csv"))
