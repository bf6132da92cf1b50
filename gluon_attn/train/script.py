"""What train_cifar.py, train_imagenet.py and `gluon-attn train` have in common."""

from __future__ import annotations

import argparse
import sys

from gluon_attn.errors import GluonAttnError
from gluon_attn.train.arguments import add_arguments, recipe_from

# What a script takes where neither a recipe nor a flag says otherwise.
DEFAULTS = {
    "cifar": dict(dataset="cifar100"),
    "imagenet": dict(dataset="imagenet-folder", epochs=120, batch_size=256, lr_batch=256, warmup_epochs=5),
}


def main(kind, argv=None):
    """Parse, train; the exit status: 0, also after SIGTERM, or 2 with one sentence for a user's mistake."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"train_{kind}.py", description=f"Train a network ({kind} defaults).")
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv), **DEFAULTS[kind])
    except (GluonAttnError, FileNotFoundError) as error:
        print(f"train_{kind}.py: {error}", file=sys.stderr)
        return 2


def run(args, **defaults):
    """Train, or print the plan, as the parsed arguments say."""
    recipe = recipe_from(args, **defaults)
    if args.dry_run:
        from gluon_attn.train.plan import plan

        print(plan(recipe))
        return 0
    from gluon_attn.train.loop import fit
    from gluon_attn.train.stop import Stopped

    try:
        fit(recipe)
    except Stopped:
        return 0
    return 0
