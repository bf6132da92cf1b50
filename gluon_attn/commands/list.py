"""`gluon-attn list`: names of the zoo; with --pretrained, every file of weights there is."""

from __future__ import annotations

from gluon_attn import zoo
from gluon_attn.errors import GluonAttnError


def add_arguments(parser):
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern, as in 'cifar_*' (default: all)")
    parser.add_argument(
        "--pretrained", action="store_true", help="the files of weights: tag, source, errors, hash, licence"
    )


def run(args):
    names = zoo.list_models(args.pattern, pretrained=args.pretrained)
    if not names:
        raise GluonAttnError(f"No name matches {args.pattern!r}: try `gluon-attn list '*resnet50*'`.")
    print("\n".join(weights_table(names) if args.pretrained else names))


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
