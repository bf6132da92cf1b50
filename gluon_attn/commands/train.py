"""`gluon-attn train`, and what train_cifar.py and train_imagenet.py run."""

from __future__ import annotations

import shlex
import sys

from gluon_attn._compat import mxnet_explained
from gluon_attn.parser import Parser, exit_status
from gluon_attn.recipe import gluoncv, legacy
from gluon_attn.recipe.arguments import add_arguments, recipe_from

# What a script takes without a recipe, where no flag says otherwise; of a recipe that names none, the data set.
DEFAULTS = {
    "cifar": dict(dataset="cifar100"),
    "imagenet": dict(dataset="imagenet-folder", epochs=120, batch_size=256, lr_batch=256, warmup_epochs=5),
}


def main(kind, argv=None):
    """Parse, train; the exit status: 0, also after SIGTERM, or 2 with one sentence for a user's mistake."""
    argv = sys.argv[1:] if argv is None else list(argv)
    script = f"train_{kind}.py"
    parser = Parser(prog=script, description=f"Train a network ({kind} defaults).", allow_abbrev=False)
    add_arguments(parser)
    return exit_status(script, lambda: run(parser.parse_args(_in_our_words(kind, script, argv)), **DEFAULTS[kind]))


def _in_our_words(kind, script, argv):
    """open-aff's and GluonCV's command lines run as they stand, and say what they are called here."""
    whose = "open-aff" if legacy.is_legacy(argv) else "GluonCV" if gluoncv.is_gluoncv(kind, argv) else ""
    if not whose:
        return argv
    words, notes = {"open-aff": legacy, "GluonCV": gluoncv}[whose].translate(kind, argv)
    print(f"{whose}'s words; in ours:\n  python {script} {shlex.join(words)}")
    for note in notes:
        print(f"  {note}")
    return words


@mxnet_explained()
def run(args, **defaults):
    """Train, or print the plan, as the parsed arguments say."""
    recipe = recipe_from(args, **defaults)
    if args.dry_run:
        from gluon_attn.train.dry_run import plan

        print(plan(recipe))
        return 0
    from gluon_attn.train.loop import fit
    from gluon_attn.train.stop import leaving

    with leaving():
        fit(recipe)
    return 0
