"""What does each attention cost, on one backbone? MACs promise one ratio; the measured ones stand beside it.

python -m benchmarks.attention_cost      # writes results/attention_cost.csv and .md
"""

from __future__ import annotations

from benchmarks.common import RESULTS, options, write

# backbone, batch of a training step and of inference, and whether memory is measured (a process a network)
BACKBONES = (("cifar_resnet20", 64, 64, True), ("resnet50", 4, 4, False))
COLUMNS = ("network", "parameters", "MACs", "training time", "inference time", "training memory")


def main(argv=None):
    args = options(__doc__, argv, rounds=2, backbone="")
    from gluon_attn import zoo
    from gluon_attn.deploy.cost import measure, plain_backbone

    rows = []
    for backbone, *batches, memory in BACKBONES:
        if args.backbone not in ("", backbone):
            continue
        plain = (backbone, f"{backbone}d")
        names = [n for n in zoo.list_models() if plain_backbone(n) in plain and n not in plain and _same(n, backbone)]
        for mode, batch in zip(("training", "inference"), batches):
            with_memory = memory and mode == "training"
            base = measure([backbone], mode, batch, rounds=args.rounds, clock=args.clock, memory=with_memory)
            rows += base + measure(names, mode, batch, rounds=args.rounds, clock=args.clock, memory=with_memory)
    write("attention_cost", rows, args)
    (RESULTS / "attention_cost.md").write_text(markdown(rows), encoding="utf-8")


def _same(name, backbone):
    return name.endswith(backbone[len("cifar_") :] if backbone.startswith("cifar_") else backbone)


def markdown(rows):
    """One line a network: ratios to its plain backbone."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
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
