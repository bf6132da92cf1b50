"""`gluon-attn export`: a network with its weights as ONNX, for PyTorch or MXNet's other languages, checked."""

from __future__ import annotations

import os
import re

from gluon_attn.commands.loading import add_network_arguments, load_network, named_dataset, take_run
from gluon_attn.errors import GluonAttnError, unknown

SUFFIXES = {"onnx": ".onnx", "symbol": "", "torch": ".safetensors"}  # of the file that -o means
FORMATS = tuple(SUFFIXES)


def add_arguments(parser):
    add_network_arguments(parser)
    parser.add_argument("--format", default="onnx", metavar="|".join(FORMATS), help="(default: onnx)")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="net (.onnx or .safetensors is added), or the prefix of symbol files",
    )
    parser.add_argument("--devices", default="cpu:0", metavar="D", help="where it is checked (default: %(default)s)")
    words = "whose class names and normalisation these are, where the weights do not say"
    parser.add_argument("--dataset", metavar="NAME", help=words)
    parser.add_argument("--data-root", metavar="DIR", help="folder of that data set")
    parser.add_argument("--classes-file", metavar="FILE", help="the classes' names, one a line")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="X",
        help="largest difference from Gluon, relative to the largest output (default: %(default)g)",
    )


def run(args):
    if args.format not in FORMATS:
        raise unknown("format", args.format, FORMATS)
    from gluon_attn import deploy

    take_run(args)
    output = written_as(args.output, args.format)
    loaded = load_network(args, named_dataset(args))
    export = getattr(deploy, f"export_{args.format}")
    found = export(loaded.net, output, loaded.card.input_size, card=loaded.card, tolerance=args.tolerance)
    name = output if SUFFIXES[args.format] else f"{output}-symbol.json"
    print(f"{name}: largest difference from Gluon {found:.2g} of the largest output")


def written_as(output, format):
    """-o with the suffix that --file and the Predictor know it by; symbol files: the prefix, without theirs.

    >>> written_as("out/net", "onnx"), written_as("net-symbol.json", "symbol")
    ('out/net.onnx', 'net')
    """
    suffix = SUFFIXES[format]
    stem = re.sub(re.escape(suffix) + "$" if suffix else r"(-symbol\.json|-\d{4}\.params|-card\.json)$", "", output)
    if os.path.basename(stem) in ("", ".", ".."):
        raise GluonAttnError(f"-o {output} names no file: give one, as in {os.path.join(stem, 'net')}{suffix}.")
    return f"{stem}{suffix}"
