"""`gluon-attn repeat`: the flags of `gluon-attn train`, and --runs."""

from __future__ import annotations

from gluon_attn.recipe import arguments
from gluon_attn.recipe.check import check_repeated


def add_arguments(parser):
    parser.add_argument(
        "--runs", type=int, default=3, help="trainings, with seeds --seed, --seed + 1, ... (default: 3)"
    )
    arguments.add_arguments(parser)


def run(args):
    recipe = arguments.recipe_from(args)
    check_repeated(recipe, args.runs)
    if args.dry_run:
        from gluon_attn.train.dry_run import plan

        print(f"{args.runs} runs of\n{plan(recipe)}")
        return
    from gluon_attn.train.repeat import in_words, repeat
    from gluon_attn.train.stop import leaving

    with leaving():
        print(in_words(repeat(recipe, args.runs)))
