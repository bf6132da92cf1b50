"""`gluon-attn list`: names of the zoo; with --pretrained, every file of weights there is."""

from __future__ import annotations

from gluon_attn import plugins, zoo
from gluon_attn.catalogue import spellings
from gluon_attn.catalogue.names import SPECS
from gluon_attn.errors import GluonAttnError


def add_arguments(parser):
    parser.add_argument(
        "patterns", nargs="*", metavar="PATTERN", help="shell patterns ('cifar_*') or words of names (aff); any case"
    )
    parser.add_argument("--exclude", nargs="+", default=[], metavar="PATTERN", help="leave these out")
    parser.add_argument(
        "--pretrained", action="store_true", help="the files of weights: tag, source, errors, hash, licence"
    )


def run(args):
    plugins.load()
    names = zoo.list_models(_words(args.patterns) or "*", args.pretrained, _words(args.exclude))
    if not names:
        raise GluonAttnError(_nothing(args))
    print("\n".join(weights_table(names) if args.pretrained else names))


def _words(patterns):
    """Here a name is a word, too: `list resnet50` is asked for every network that is made of it."""
    return [found for word in patterns for found in (spellings.with_word(word, SPECS) or [word])]


def _nothing(args):
    given = " or ".join(map(repr, args.patterns)) or "this"
    more = " with weights" * args.pretrained + f" without {', '.join(args.exclude)}" * bool(args.exclude)
    near = [name for word in args.patterns for name in spellings.nearest(word, SPECS)]
    hint = f"Did you mean {' or '.join(near[:3])}?" if near else "Try `gluon-attn list '*resnet50*'`."
    return f"No name matches {given}{more}. {hint}"


def weights_table(names):
    """Lines of a table, a file of weights each."""
    from gluon_attn import weights

    rows = [("model", "tag", "source", "top-1 err", "top-5 err", "classes", "hash", "licence")]
    for name in names:
        for entry in weights.entries(name):
            errors = [_percent(entry.top1_error), _percent(entry.top5_error)]
            mark = f"{entry.hash_kind}:{entry.hash[:8]}" if entry.hash else "none: by hand"
            rows.append((name, entry.tag, entry.source, *errors, str(entry.classes), mark, entry.license))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _percent(error):
    return "-" if error is None else f"{error:.2f}"
