"""Gaze on MPIIFaceGaze, leave-one-person-out: `python train_gaze.py --help`."""

from __future__ import annotations

import sys

from gluon_attn.tasks.gaze.script import main

if __name__ == "__main__":
    sys.exit(main())
