"""The flags of a recipe, and the recipe that a command line means."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

from gluon_attn import matrix_units, threads
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.check import check_numbers
from gluon_attn.recipe.files import list_recipes, merged, read_file
from gluon_attn.recipe.recipe import IN_RUN, Recipe


def add_arguments(parser):
    """Every field of `Recipe` as a flag, `--recipe` for a file of them, and `--dry-run`."""
    names = ", ".join(list_recipes())
    parser.add_argument("--recipe", help=f"a recipe file, or one of: {names}; flags override it", metavar="NAME|FILE")
    parser.add_argument("--dry-run", action="store_true", help="build everything, print the plan, train nothing")
    groups = {}
    for spec in dataclasses.fields(Recipe):
        title = spec.metadata["group"]
        group = groups.setdefault(title, parser.add_argument_group(title))
        group.add_argument(f"--{spec.name.replace('_', '-')}", default=argparse.SUPPRESS, **_shape(spec))


def recipe_from(args, **defaults):
    """The recipe of parsed arguments: the recipe file, then the flags.

    defaults : of the script, where there is no recipe file, but for the data set: one recipe is one training, whichever
        command it is given to

    The CPU cores and matrix units that it asks for are taken here: every command that trains comes by before MXNet is
    imported.
    """
    flags = {spec.name for spec in dataclasses.fields(Recipe)}
    given = {name: value for name, value in vars(args).items() if name in flags}
    known = underlying(args)
    below = {name: value for name, value in defaults.items() if name == "dataset"} if known else defaults
    recipe = Recipe.of(merged({**below, **known}, given))
    for name in ("model", "dataset"):
        if not getattr(recipe, name):
            raise GluonAttnError(f"No {name}: give --{name}, or a --recipe that names one.")
    check_numbers(recipe)
    threads.take(recipe.threads)
    matrix_units.take(recipe.dtype, recipe.amx)
    return recipe


def underlying(args):
    """The recipe file that flags go over: --recipe, or that of the run which --resume goes on with."""
    if args.recipe:
        return read_file(args.recipe)
    resume, output = (getattr(args, name, "") for name in ("resume", "output"))
    kept = Path(os.path.expanduser(output)) / IN_RUN
    if not (resume and output and kept.is_file()):
        return {}
    return {**Recipe().as_dict(), **read_file(kept)}  # an earlier version wrote no value that is the default


def _shape(spec):
    """How argparse shows a flag; the value itself is read by `Recipe.of`, in one place for files and flags."""
    help, choices = spec.metadata["help"].replace("%", "%%"), spec.metadata["choices"]
    default = "" if spec.default is dataclasses.MISSING or spec.default == "" else f" (default: {_shown(spec.default)})"
    if spec.metadata["kind"] is bool:
        return dict(nargs="?", const=True, metavar="true|false", help=help)
    if choices:
        return dict(metavar="|".join(c for c in choices if c), help=help + default)
    if spec.name == "resume":
        return dict(nargs="?", const="auto", metavar="auto|FILE", help=help)
    return dict(metavar=_METAVARS.get(spec.metadata["kind"], "X"), help=help + default)


_METAVARS = {int: "N", float: "X", str: "WORD", dict: "K=V,..."}


def _shown(default):
    return str(default).lower() if isinstance(default, bool) else default
