"""Train segmentation networks on digits canvases, side by side: `python train_segmentation.py --help`."""

from __future__ import annotations

import sys

from gluon_attn.tasks.segmentation.script import main

if __name__ == "__main__":
    sys.exit(main())
