"""`gluon-attn benchmark`: speed and memory of any set of names, as ratios to their plain backbones."""

from __future__ import annotations

import os

from gluon_attn.commands.serving import PRECISIONS, demand_exported
from gluon_attn.files import write_csv
from gluon_attn.parser import number

MODES = ("training", "inference")
OF_FILES = ("file", "engine", "batch", "size", "images_per_second", "spread", "ratio")
COLUMNS = ("network", "mode", "device", "images_per_second", "spread", "macs_ratio", "time_ratio", "memory_mib")


def add_arguments(parser):
    count = number(least=1)
    parser.add_argument("models", nargs="*", metavar="NAME", help="names or patterns of `gluon-attn list`")
    parser.add_argument("--run", nargs="+", default=[], metavar="DIR", help="folders of trainings, in place of names")
    parser.add_argument("--file", nargs="+", metavar="FILE", help="files of `gluon-attn export`, in place of names")
    parser.add_argument("--engine", default="", metavar="A,B", help="of --file: each of these, the first counting as 1")
    parser.add_argument("--precision", default="", metavar="P", help=f"of --file: {PRECISIONS}")
    parser.add_argument("--threads", type=number(least=0), default=0, metavar="N", help="of --file (default: all)")
    parser.add_argument("--cache", metavar="DIR", help="where openvino keeps what it compiled")
    parser.add_argument("--mode", choices=(*MODES, "both"), default="both", help="(default: both)")
    parser.add_argument("--batch-size", type=count, default=16, metavar="N", help="(default: 16)")
    parser.add_argument("--image-size", type=count, metavar="N", help="side of the input (default: the network's)")
    parser.add_argument("--devices", default="", metavar="D,...", help="cpu:0,gpu:0 (default: all GPUs, else cpu:0)")
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="of which the median counts (default: 3)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: this process's work alone")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory (a process a network)")
    parser.add_argument("--results", metavar="CSV", help="write the table, with all its columns, here")


def run(args):
    rows, columns = (_of_files(args), OF_FILES) if args.file else (_of_names(args), COLUMNS)
    print(table(rows, columns))
    if args.results:
        write_csv(args.results, rows)


def _of_files(args):
    from gluon_attn.cost.engines import measure
    from gluon_attn.errors import GluonAttnError

    names = args.models or args.run
    if names or args.image_size or args.devices or args.no_memory or args.mode == "training":
        raise GluonAttnError(
            "--file is the speed of inference of that network: no names, --run, --image-size, --devices, --no-memory "
            "or --mode beside it."
        )
    for file in args.file:
        demand_exported(file)
    given = {"precision": args.precision, "cache": args.cache, "threads": args.threads}
    options = {key: value for key, value in given.items() if value}
    engines = args.engine.split(",") if args.engine else (None,)
    if "" in engines:
        raise GluonAttnError(f"--engine {args.engine!r} has an empty place: write names with one comma between.")
    return measure(args.file, engines, args.batch_size, args.rounds, args.clock, **options)


def _of_names(args):
    from gluon_attn.cost.networks import measure
    from gluon_attn.devices import parse_devices
    from gluon_attn.errors import GluonAttnError, unknown
    from gluon_attn.weights.origin import of_run
    from gluon_attn.zoo import list_models

    if not (args.models or args.run) or args.engine or args.precision or args.threads or args.cache:
        raise GluonAttnError(
            "Give names, --run DIR or --file FILE: --engine, --precision, --threads and --cache are for files."
        )
    for folder in args.run:
        of_run(folder)  # or a sentence on what is missing there
    names = [os.path.abspath(folder) for folder in args.run]
    for pattern in args.models:
        found = list_models(pattern)
        if not found:
            raise unknown("model", pattern, list_models())
        names += found
    rows = []
    for device in parse_devices(args.devices):
        for mode in MODES if args.mode == "both" else (args.mode,):
            text = f"{device.device_type}:{device.device_id}"
            rows += measure(
                names, mode, args.batch_size, args.image_size, text, args.rounds, args.clock, not args.no_memory
            )
    return rows


def table(rows, columns=COLUMNS):
    """The rows as a Markdown table."""
    lines = [columns, ["---"] * len(columns), *[[str(row[c]) for c in columns] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
