"""The table of training in bfloat16: what stands in it, and that both sides read the same pictures."""

from __future__ import annotations

import numpy as np

from benchmarks import bfloat16, common
from gluon_attn import data

SPEEDS = {"float32": [4.0, 5.0], "bfloat16": [8.0, 10.0], "torch": [2.0, 2.5]}


def test_the_best_turn_of_each_engine_counts_and_an_engine_that_is_not_there_stays_empty(tmp_path, monkeypatch):
    asked = []

    def found(index, engine, folder, args):
        asked.append((bfloat16.TABLE[index][0], engine))
        name, turn = asked[-1][0], asked.count(asked[-1]) - 1
        if name == "resnext50_32x4d" and engine == "torch":
            return None
        return {"images_per_second": SPEEDS[engine][turn], "amx": "with" if engine == "bfloat16" else ""}

    monkeypatch.setattr(bfloat16, "_in_a_process", found)
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    bfloat16.main(["--networks", "resnet50,resnext50_32x4d", "--rounds", "2"])
    first, second = common.read(tmp_path / "bfloat16.csv")
    assert asked[:6] == [("resnet50", engine) for engine in ("float32", "bfloat16", "torch") * 2]
    keys = ("network", "what", "batch", "size", "amx", "images_per_second", "ratio", "ratio_to_torch")
    assert [first[key] for key in keys] == ["resnet50", "step", "16", "224", "with", "10.00", "2.00", "4.00"]
    assert (second["network"], second["ratio"], second["torch_images_per_second"]) == ("resnext50_32x4d", "2.00", "")


def test_the_drawn_pictures_are_a_folder_for_both(tmp_path):
    bfloat16.draw(tmp_path, 20, 16)
    theirs = bfloat16.Pictures(tmp_path / "train", padding=2)
    ours = data.get_dataset("folder", "train", root=tmp_path)
    assert len(theirs) == len(ours) == 20 and len(ours.classes) == bfloat16.CLASSES
    x, label = theirs[3]
    assert (x.shape, x.dtype, label) == ((3, 16, 16), np.float32, ours.sample(3)[1])
