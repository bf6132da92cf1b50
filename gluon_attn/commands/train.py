"""`gluon-attn train`: the training scripts' flags, with --dataset to choose what on."""

from __future__ import annotations

from gluon_attn.train.arguments import add_arguments  # noqa: F401  (the command's interface)
from gluon_attn.train.script import run  # noqa: F401
