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
    subprocess.run([*command, "--workers", "2", "--output", str(tmp_path)], check=True, timeout=300)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["epochs"] == 1 and metrics["last_accuracy"] > 0.2


def test_importing_is_light():
    code = "import gluon_attn, sys; print('mxnet' in sys.modules, 'gluoncv' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert answer.stdout.split() == ["False", "False"]
