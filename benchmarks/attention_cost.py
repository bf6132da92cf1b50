"""What does each attention cost, on one backbone? MACs promise one ratio; the measured ones stand beside it.

python -m benchmarks.attention_cost      # writes results/attention_cost.csv and docs/attention_cost.md, .png
"""

from __future__ import annotations

from benchmarks import plots
from benchmarks.common import DOCS, options, write
from gluon_attn.files import write_text

# backbone, batch of a training step and of inference, and whether memory is measured (a process a network)
BACKBONES = (("cifar_resnet20", 64, 64, True), ("resnet50", 2, 2, False))
PAGE = """# What each attention costs

Written by `python -m benchmarks.attention_cost`: every attention of the zoo on two backbones, as ratios to the plain
network (of AFF and iAFF the ResNet-D that they are built on). The MACs promise one ratio; beside it is what one
training step and one inference take on this CPU, in MXNet, and the memory of a training step. An attention with few
MACs still reads and writes every activation, which is what a CPU waits for.

![bars: time of training and of inference of every attention, and its MACs](attention_cost.png)
"""
COLUMNS = ("network", "parameters", "MACs", "time of training", "of inference", "memory of training")


def main(argv=None):
    args = options(__doc__, argv, rounds=2, backbone="")
    from gluon_attn import zoo
    from gluon_attn.cost.networks import measure

    rows = []
    for backbone, *batches, memory in BACKBONES:
        if args.backbone not in ("", backbone):
            continue
        plain = (backbone, f"{backbone}d")
        names = [n for n in zoo.list_models() if zoo.find(n).plain in plain and n not in plain and _same(n, backbone)]
        for mode, batch in zip(("training", "inference"), batches):
            with_memory = memory and mode == "training"
            base = measure([backbone], mode, batch, rounds=args.rounds, clock=args.clock, memory=with_memory)
            rows += base + measure(names, mode, batch, rounds=args.rounds, clock=args.clock, memory=with_memory)
    write("attention_cost", rows, args)
    write_text(DOCS / "attention_cost.md", markdown(rows))
    plots.attention_cost(rows, DOCS / "attention_cost.png")


def _same(name, backbone):
    return name.endswith(backbone[len("cifar_") :] if backbone.startswith("cifar_") else backbone)


def markdown(rows):
    """A page with one line a network: ratios to its plain backbone."""
    lines = [PAGE, "| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    by = {(row["network"], row["mode"]): row for row in rows}
    for name in dict.fromkeys(row["network"] for row in rows):
        train, infer = by[name, "training"], by[name, "inference"]
        base = by.get((train["plain"], "training"), {}).get("memory_mib")
        memory = f"{train['memory_mib'] / base:.2f}" if base and train["memory_mib"] else ""
        cells = (name, train["parameters_ratio"], train["macs_ratio"], train["time_ratio"], infer["time_ratio"], memory)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
