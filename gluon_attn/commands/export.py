"""`gluon-attn export`: a network with its weights as ONNX, for PyTorch or MXNet's other languages, checked."""

from __future__ import annotations

import os
import re
import tempfile

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
    words = "of the numbers in a file of --format onnx (default: float32)"
    parser.add_argument("--precision", default="float32", metavar="float32|int8", help=words)
    words = "for int8: a few hundred pictures of the kind that will be classified, a folder or a file"
    parser.add_argument("--calibration", metavar="PATH", help=words)
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
    _check_precision(args)
    from gluon_attn import deploy

    take_run(args)
    output = written_as(args.output, args.format)
    loaded = load_network(args, named_dataset(args))
    export = getattr(deploy, f"export_{args.format}")

    def exported(path):
        return export(loaded.net, path, loaded.card.input_size, card=loaded.card, tolerance=args.tolerance)

    if args.precision == "int8":
        found, said = _in_int8(exported, output, args.calibration)
    else:
        found, said = exported(output), ""
    name = output if SUFFIXES[args.format] else f"{output}-symbol.json"
    print(f"{name}: largest difference from Gluon {found:.2g} of the largest output{said}")


def _check_precision(args):
    if args.precision not in ("float32", "int8"):
        raise unknown("precision", args.precision, ("float32", "int8"))
    if args.precision == "int8" and args.format != "onnx":
        raise GluonAttnError(f"--precision int8 is for --format onnx; this is {args.format}.")
    if args.precision == "int8" and not args.calibration:
        raise GluonAttnError("--precision int8 needs --calibration PATH: pictures of the kind that will be classified.")
    if args.precision != "int8" and args.calibration:
        raise GluonAttnError("--calibration is for --precision int8.")


def _in_int8(exported, output, calibration):
    """Write `output`, of what `exported` writes: (the float file's difference from Gluon, what rounding changed)."""
    from gluon_attn.deploy.run.predictor import Predictor, calibration_images
    from gluon_attn.files import write_bytes

    pictures = calibration_images(calibration)
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "plain.onnx")
        found = exported(plain)
        exact = Predictor(plain, engine="onnxruntime")
        rounded = Predictor(plain, engine="onnxruntime", precision="int8", calibration=pictures)
    answers = (predictor.logits(pictures).argmax(axis=1) for predictor in (exact, rounded))
    same = sum(one == other for one, other in zip(*answers))
    write_bytes(output, rounded.engine.source.source)
    return found, f"; in int8 it answers {same} of the {len(pictures)} pictures as before"


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
