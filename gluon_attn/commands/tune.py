"""`gluon-attn tune`: search for a better recipe; every trial is a run, the best one becomes a recipe file."""

from __future__ import annotations

from gluon_attn.errors import GluonAttnError
from gluon_attn.parser import number
from gluon_attn.recipe import arguments


def add_arguments(parser):
    parser.add_argument(
        "--search", default="lr,mixup", metavar="WORDS", help="as in lr,mixup=0|0.2,wd=1e-4..1e-3,attention,reduction"
    )
    parser.add_argument("--trials", type=number(least=1), metavar="N", help="at most so many runs")
    parser.add_argument("--minutes", type=number(float, above=0), metavar="X", help="start no run that would end later")
    parser.add_argument("--method", choices=("random", "grid"), default="random", help="default: random")
    arguments.add_arguments(parser)


def run(args):
    recipe = arguments.recipe_from(args)
    from gluon_attn.train.tune import parse_search, tune

    if args.trials is None and args.minutes is None:
        raise GluonAttnError("A search needs an end: give --trials, --minutes or both.")
    spaces = parse_search(args.search, recipe.model)
    if args.dry_run:
        from gluon_attn.train.dry_run import plan

        print(plan(recipe))
        for name, values in spaces.items():
            print(f"search    {name}: " + (" .. ".join(map(str, values)) if isinstance(values, tuple) else str(values)))
        return
    folder = recipe.folder
    best = tune(recipe, spaces, folder, args.trials, args.minutes, args.method).best
    print(
        f"best: trial {best['trial']}, {100 * best['accuracy']:.2f} % on held-out images; --recipe {folder}/best.yaml"
    )
