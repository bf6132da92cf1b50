"""`gluon-attn benchmark`: speed and memory of any set of names, as ratios to their plain backbones."""

from __future__ import annotations

MODES = ("training", "inference")
COLUMNS = ("network", "mode", "device", "images_per_second", "spread", "macs_ratio", "time_ratio", "memory_mib")


def add_arguments(parser):
    parser.add_argument("models", nargs="+", metavar="NAME", help="names or patterns of `gluon-attn list`")
    parser.add_argument("--mode", choices=(*MODES, "both"), default="both", help="(default: both)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="(default: 16)")
    parser.add_argument("--image-size", type=int, metavar="N", help="side of the input (default: the network's)")
    parser.add_argument("--devices", default="", metavar="D,...", help="cpu:0,gpu:0 (default: all GPUs, else cpu:0)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the median counts (default: 3)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: this process's work alone")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory (a process a network)")
    parser.add_argument("--results", metavar="CSV", help="write the table, with all its columns, here")


def run(args):
    from gluon_attn.cost.networks import measure
    from gluon_attn.devices import parse_devices
    from gluon_attn.errors import unknown
    from gluon_attn.zoo import list_models

    names = []
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
    print(table(rows))
    if args.results:
        write(args.results, rows)


def table(rows, columns=COLUMNS):
    """The rows as a Markdown table."""
    lines = [columns, ["---"] * len(columns), *[[str(row[c]) for c in columns] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(path, rows):
    import csv
    from pathlib import Path

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
