"""What does each attention cost, on one backbone? MACs promise one ratio; the measured ones stand beside it.

python -m benchmarks.attention_cost      # writes results/attention_cost.csv and docs/attention_cost.md, .png
python -m benchmarks.attention_cost --mode training --only "cifar_c*"      # those rows alone; the others stay
"""

from __future__ import annotations

from benchmarks import plots
from benchmarks.common import DOCS, RESULTS, chosen, options, processor, processor_of, read, show, write
from gluon_attn import threads
from gluon_attn.files import write_text

# backbone, batch of a training step and of inference, and whether memory is measured (a process a network)
BACKBONES = (("cifar_resnet20", 64, 64, True), ("resnet50", 2, 2, False))
PAGE = """# What each attention costs

Written by `python -m benchmarks.attention_cost`: every attention of the zoo on two backbones, as ratios to the plain
network (of AFF and iAFF the ResNet-D that they are built on). The MACs promise one ratio; beside it is what one
training step and one inference take on this CPU, in MXNet, and the memory of a training step. An attention with few
MACs still reads and writes every activation, which is what a CPU waits for.

Measured on {processor} with {cores} of MXNet's threads, by the clock "{clock}" (cpu: what the process itself computes,
whatever else the machine does), batches of 64 (CIFAR) and 2; a network and its plain one take turns. Inference is that
of a graph traced within `gluon_attn.cpu.inference_graphs("forward")`, for networks that are not trained any more.

![bars: time of training and of inference of every attention, and its MACs](attention_cost.png)
"""
COLUMNS = ("network", "parameters", "MACs", "time of training", "of inference", "memory of training")


def main(argv=None):
    args = options(__doc__, argv, rounds=10, only="", mode="", clock="cpu")
    from gluon_attn.cost.networks import measure

    order = {}
    fresh = []
    networks = {backbone: [backbone, *_names(backbone)] for backbone, *_ in BACKBONES}
    wanted = chosen(args.only, [name for names in networks.values() for name in names], "network")
    for backbone, *batches, memory in BACKBONES:
        for mode, batch in zip(("training", "inference"), batches):
            order.update({(name, mode): len(order) + i for i, name in enumerate(networks[backbone])})
            if args.mode in ("", mode):
                with_memory = memory and mode == "training"
                for name in (name for name in networks[backbone] if name in wanted):
                    rows = measure([name], mode, batch, rounds=args.rounds, clock=args.clock, memory=with_memory)
                    fresh += [show(row) for row in rows]
    write("attention_cost", _with_known(fresh, order), args)
    rows = plots.rows_of("attention_cost")
    measured = {(row["network"], row["mode"]) for row in rows}
    rows = [row for row in rows if {(row["network"], mode) for mode in ("training", "inference")} <= measured]
    if not rows:
        return
    write_text(DOCS / "attention_cost.md", markdown(rows))
    plots.attention_cost(rows, DOCS / "attention_cost.png")


def _names(backbone):
    """The attentions on that backbone."""
    from gluon_attn import zoo
    from gluon_attn.catalogue.names import is_own

    names = filter(is_own, zoo.list_models())
    plain = (backbone, f"{backbone}d")
    return [n for n in names if zoo.find(n).plain in plain and n not in plain and _same(n, backbone)]


def _with_known(fresh, order):
    """The rows measured now and the file's others, of this processor and as many cores; in the order of a whole run."""
    rows = list(fresh)
    now = {(row["network"], row["mode"]) for row in rows}
    here = {**processor(), "cores_of_mxnet": str(threads.taken())}.items()
    for row in read(RESULTS / "attention_cost.csv"):
        key = (row["network"], row["mode"])
        if key in order and key not in now and here <= row.items():
            rows.append({column: row[column] for column in rows[0]})
    return sorted(rows, key=lambda row: order[row["network"], row["mode"]])


def _same(name, backbone):
    return name.endswith(backbone[len("cifar_") :] if backbone.startswith("cifar_") else backbone)


def markdown(rows):
    """A page with one line a network: ratios to its plain backbone."""
    how = dict(processor=processor_of(rows[0]), cores=rows[0]["cores_of_mxnet"], clock=rows[0]["clock"])
    lines = [PAGE.format(**how), "| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    by = {(row["network"], row["mode"]): row for row in rows}
    for name in dict.fromkeys(row["network"] for row in rows):
        train, infer = by[name, "training"], by[name, "inference"]
        base = by.get((train["plain"], "training"), {}).get("memory_mib")
        memory = f"{float(train['memory_mib']) / float(base):.2f}" if base and train["memory_mib"] else ""
        cells = (name, train["parameters_ratio"], train["macs_ratio"], train["time_ratio"], infer["time_ratio"], memory)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
