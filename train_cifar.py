"""Train on digits, CIFAR-10 or CIFAR-100: `python train_cifar.py --help`. open-aff's command lines work too."""

from __future__ import annotations

import sys

from gluon_attn.commands.train import main

if __name__ == "__main__":
    sys.exit(main("cifar"))
