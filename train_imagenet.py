"""Train on ImageNet folders or RecordIO: `python train_imagenet.py --help`. open-aff's command lines work too."""

from __future__ import annotations

import sys

from gluon_attn.commands.train import main

if __name__ == "__main__":
    sys.exit(main("imagenet"))
