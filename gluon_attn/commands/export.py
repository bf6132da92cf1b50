"""`gluon-attn export`: a network with its weights as ONNX or as MXNet's symbol files, checked against Gluon."""

from __future__ import annotations

import re

from gluon_attn.commands.loading import add_network_arguments, load_network, take_run
from gluon_attn.errors import unknown

FORMATS = ("onnx", "symbol")


def add_arguments(parser):
    add_network_arguments(parser)
    parser.add_argument("--format", default="onnx", metavar="|".join(FORMATS), help="(default: onnx)")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="net (.onnx is added), or the prefix of symbol files"
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
    export = {"onnx": deploy.export_onnx, "symbol": deploy.export_symbol}[args.format]
    output = written_as(args.output, args.format)
    found = export(loaded.net, output, loaded.card.input_size, card=loaded.card, tolerance=args.tolerance)
    name = output if args.format == "onnx" else f"{output}-symbol.json"
    print(f"{name}: largest difference from Gluon {found:.2g} of the largest output")


def written_as(output, format):
    """-o with the suffix that --file and the Predictor know it by; symbol files: the prefix, without theirs.

    >>> written_as("out/net", "onnx"), written_as("net-symbol.json", "symbol")
    ('out/net.onnx', 'net')
    """
    if format == "onnx":
        return output if output.endswith(".onnx") else f"{output}.onnx"
    return re.sub(r"(-symbol\.json|-\d{4}\.params|-card\.json)$", "", output)
