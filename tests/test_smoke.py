"""Import and train: what every supported Python must do, in under a minute."""

from __future__ import annotations

import json
import subprocess
import sys

import mxnet as mx
import numpy as np

import gluon_attn
from tests.helpers import images


def test_import_and_one_training_step():
    net = gluon_attn.get_model("cifar_iaff_resnet20", classes=10)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    x, y = mx.nd.array(images(8, 3, 32, 32)), mx.nd.array(np.arange(8))
    criterion, losses = mx.gluon.loss.SoftmaxCrossEntropyLoss(), []
    for _ in range(8):
        with mx.autograd.record():
            loss = criterion(net(x), y)
        loss.backward()
        trainer.step(8)
        losses.append(loss.mean().asscalar())
    assert losses[-1] < losses[0]


def test_a_run_on_digits(tmp_path):
    """Through the command line and two data workers, so that the forks are tried on this Python too."""
    command = [sys.executable, "train_cifar.py", "--recipe", "digits", "--model", "cifar_resnet20", "--epochs", "1"]
    small = ["--arch", "layers=[1,1,1]", "--image-size", "16", "--batch-size", "16", "--workers", "2"]
    few = ["--dataset-options", "per_class=100"]
    subprocess.run([*command, *small, *few, "--output", str(tmp_path)], check=True, timeout=300)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["epochs"] == 1 and metrics["last_accuracy"] > 0.4


def test_importing_is_light():
    code = "import gluon_attn, sys; print('mxnet' in sys.modules, 'gluoncv' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert answer.stdout.split() == ["False", "False"]


WITHOUT_MXNET = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mxnet":
            raise ModuleNotFoundError("No module named 'mxnet'", name="mxnet")

sys.meta_path.insert(0, Blocker())
import gluon_attn
"""


def without_mxnet(code):
    command = [sys.executable, "-c", WITHOUT_MXNET + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_missing_mxnet_is_one_sentence():
    answer = without_mxnet("""
for use in (
    lambda: gluon_attn.get_model("cifar_se_resnet20"),
    lambda: gluon_attn.model_info("cifar_se_resnet20"),
    lambda: gluon_attn.create_gate("se", 8),
    lambda: gluon_attn.explain,
):
    try:
        use()
    except ImportError as error:
        print(error)
print(gluon_attn.list_models("cifar_se_resnet20"))
""")
    *sentences, names = answer.stdout.splitlines()
    assert len(sentences) == 4 and set(sentences) == {sentences[0]}, answer
    assert "pip install 'gluon_attn[cpu]'" in sentences[0] and names == "['cifar_se_resnet20']"


def test_commands_without_mxnet():
    lines = ["cli.main(['evaluate', '--model', 'cifar_se_resnet20', '--dataset', 'digits'])"]
    lines += ["cli.main(['train', '--model', 'cifar_se_resnet20', '--dataset', 'digits'])"]
    lines += ["script.main('cifar', ['--model', 'cifar_se_resnet20'])", "segmentation.main([])"]
    lines += ["gaze.main(['--data-root', '.'])"]
    answer = without_mxnet(
        "from gluon_attn import cli\nfrom gluon_attn.commands import train as script\n"
        "from gluon_attn.tasks.gaze import script as gaze\n"
        "from gluon_attn.tasks.segmentation import script as segmentation\n"
        + "".join(f"print({line})\n" for line in lines)
    )
    assert answer.stdout.split() == ["2"] * len(lines), answer
    sentences = answer.stderr.splitlines()
    assert len(sentences) == len(lines) and all("MXNet is not installed: run" in line for line in sentences), answer
