"""`gluon-attn export`: a network with its weights as ONNX, for PyTorch or MXNet's other languages, checked."""

from __future__ import annotations

import re

from gluon_attn.commands.loading import add_network_arguments, load_network, take_run
from gluon_attn.errors import unknown

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
    parser.add_argument("--dataset", metavar="NAME", help="whose class names and normalisation these are")
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
    from gluon_attn import data, deploy

    take_run(args)
    dataset = data.get_dataset(args.dataset, "test", root=args.data_root) if args.dataset else None
    loaded = load_network(args, dataset)
    export = getattr(deploy, f"export_{args.format}")
    output = written_as(args.output, args.format)
    found = export(loaded.net, output, loaded.card.input_size, card=loaded.card, tolerance=args.tolerance)
    name = output if SUFFIXES[args.format] else f"{output}-symbol.json"
    print(f"{name}: largest difference from Gluon {found:.2g} of the largest output")


def written_as(output, format):
    """-o with the suffix that --file and the Predictor know it by; symbol files: the prefix, without theirs.

    >>> written_as("out/net", "onnx"), written_as("net-symbol.json", "symbol")
    ('out/net.onnx', 'net')
    """
    suffix = SUFFIXES[format]
    if suffix:
        return output if output.endswith(suffix) else f"{output}{suffix}"
    return re.sub(r"(-symbol\.json|-\d{4}\.params|-card\.json)$", "", output)
