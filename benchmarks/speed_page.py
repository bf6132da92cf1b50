"""docs/speed.md: the tables of results/ that say how fast this is, as a page.

python -m benchmarks.speed_page
"""

from __future__ import annotations

import textwrap

from benchmarks.common import DOCS, RESULTS, processor_of, read
from gluon_attn.files import write_text

TOP = """# Speed

Written by `make bench`, and `python -m benchmarks training_speed deploy_speed bfloat16 --threads N` for the rows that
give N cores to everyone (1 and 2 here), by way of the files in results/ (`python -m benchmarks.speed_page`). Ratios
are medians of one run, in which all that is compared takes turns; images/s are of that machine ({cores} cores, no GPU)
and mean nothing elsewhere.

MXNet by itself takes half of the cores, and onnxruntime and OpenVINO all of them: the aims were set against MXNet as
it comes. The fair ratio is that of the rows in which `--threads` gave as many to everyone.

## A training step

Ours beside the plain formulation (GluonCV's own network; for AFF and iAFF the textbook block with GlobalAvgPool2D and
`x*w + y*(1-w)`), in the same MXNet. Same values, same parameters; `gluon_attn/cpu.py` says what differs.

{training}

## Deployed

Every engine on the same network and weights, beside the plain formulation, hybridized, in MXNet. The engine torch, and
"PyTorch's file", which is `torch.onnx.export` of the same network, are measured where torch is installed
(`GLUON_ATTN_TORCH=.venv-torch python -m benchmarks deploy_speed --threads 2`, or 1); channels last,
`torch.compile` with its default backend. Spreads are in results/deploy_speed.csv; where other work was on the machine,
they are large.

{deployment}

A step of training (SGD with momentum, float32):

{stepping}

Training in bfloat16 (`GLUON_ATTN_TORCH=.venv-torch python -m benchmarks bfloat16 --threads 2`), beside our float32 and,
where it was measured, beside PyTorch's bfloat16; "AMX" says whether matrix units were taken.

{bfloat16}

Where trainings end, in bfloat16 and float32 (`python -m benchmarks.bfloat16_losses`): the last epoch's training loss
and test accuracy, means over the seeds, with the least and the most; `within` counts the seeds in bfloat16 that end
within float32's, and t is the difference of the two means in its standard errors.

{losses}

## Accuracy in bfloat16 and int8

Top-1 of the stored networks in float32, bfloat16 and int8 (calibrated on training images), and how often float32 and
int8 agree, in percent; *lost* and *gained* count the images that only float32 has right, and only int8: where they are
n in all, a difference of sqrt(n) images is chance. bfloat16 is OpenVINO's where the CPU has it; elsewhere weights and
outputs are rounded to it.

{int8}

## Growth

![images per second and memory against batch, side, devices and workers](growth.png)

{growth}
"""

CPU = ("CPU", "cpu")
TRAINING = (
    ("network", "network"),
    ("batch", "batch"),
    ("pixels", "size"),
    ("MXNet's cores", "cores_of_mxnet"),
    CPU,
    ("plain, images/s", "plain_images_per_second"),
    ("ours", "images_per_second"),
    ("ratio", "ratio"),
    ("aimed at", "target"),
)
ENGINES = ("mxnet", "onnxruntime float32", "onnxruntime, PyTorch's file", "openvino float32", "torch", "torch.compile")
ENGINES += ("onnxruntime int8",)
BFLOAT16 = (
    ("network", "network"),
    ("what", "what"),
    ("batch", "batch"),
    ("pixels", "size"),
    ("MXNet's cores", "cores_of_mxnet"),
    CPU,
    ("AMX", "amx"),
    ("our float32, images/s", "float32_images_per_second"),
    ("our bfloat16", "images_per_second"),
    ("to our float32, ratio", "ratio"),
    ("to PyTorch's bfloat16, ratio", "ratio_to_torch"),
)
LOSSES = (
    ("recipe", "recipe"),
    ("network", "network"),
    CPU,
    ("seeds", "seeds"),
    ("float32, loss", "float32_loss"),
    ("least", "float32_least"),
    ("most", "float32_most"),
    ("bfloat16, loss", "bfloat16_loss"),
    ("least", "bfloat16_least"),
    ("most", "bfloat16_most"),
    ("within", "within"),
    ("t", "t"),
    ("float32, top-1 %", "float32_top1"),
    ("bfloat16", "bfloat16_top1"),
)
INT8 = (
    ("network", "network"),
    ("weights", "pretrained"),
    ("images", "images"),
    ("float32", "float32_top1"),
    ("bfloat16", "bfloat16_top1"),
    ("int8", "int8_top1"),
    ("lost", "int8_lost"),
    ("gained", "int8_gained"),
    ("int8 in OpenVINO", "openvino_int8_top1"),
    ("agreement", "agreement"),
)


def main():
    names = ("training_speed", "deploy_speed", "bfloat16", "bfloat16_losses", "int8_accuracy")
    training, deployment, bfloat16, losses, int8 = (read(RESULTS / f"{name}.csv") for name in names)
    by_mode = {mode: [row for row in deployment if row["mode"] == mode] for mode in ("inference", "training")}
    page = TOP.format(
        cores=training[0]["cores"],
        training=table(training, TRAINING),
        deployment=table(*engines_side_by_side(by_mode["inference"])),
        stepping=table(*engines_side_by_side(by_mode["training"])) if by_mode["training"] else "Not measured yet.",
        bfloat16=table(bfloat16, BFLOAT16),
        losses=table(losses, LOSSES),
        int8=table(int8, INT8),
        growth=growth(read(RESULTS / "growth.csv")),
    )
    write_text(DOCS / "speed.md", page)


def growth(rows):
    """What the rows of results/growth.csv show, in words."""
    values, speeds, memories = {}, {}, {}
    for row in rows:
        for of, key in ((values, "value"), (speeds, "images_per_second"), (memories, "memory_mib")):
            of.setdefault(row["axis"], []).append(float(row[key] or "nan"))
    (small, *_, before, large), speed = values["size"], speeds["size"]
    images = [memory_slope(values["batch"], memories["batch"], at) for at in (0, -2)]
    pixels = [1000 * memory_slope([side**2 for side in values["size"]], memories["size"], at) for at in (0, -2)]
    text = (
        f"Training aff_resnet18, from batch {values['batch'][0]:g} to {values['batch'][-1]:g} images/s grow to "
        f"{speeds['batch'][-1] / speeds['batch'][0]:.1f} times, in the last doubling to "
        f"{speeds['batch'][-1] / speeds['batch'][-2]:.2f} times. From side {small:g} to {large:g}, which has "
        f"{(large / small) ** 2:.1f} times the pixels, they fall to 1/{speed[0] / speed[-1]:.1f}; from {before:g} to "
        f"{large:g}, {(large / before) ** 2:.2f} times the pixels, to 1/{speed[-2] / speed[-1]:.2f}. Memory grows by "
        f"{images[0]:.1f} MiB an image at the first step of the batch and {images[1]:.1f} at the last, and by "
        f"{pixels[0]:.1f} and {pixels[1]:.1f} MiB per 1,000 pixels of the side's square (a line has the same at both "
        f"ends). Devices cpu:0, cpu:1, ... share the same cores: {shares(values['devices'], speeds['devices'])} of the "
        "images/s of one. Workers that read digits hand over what they have read: "
        f"{shares(values['workers'], speeds['workers'])} of the images/s of none. MXNet had "
        f"{rows[0]['cores_of_mxnet']} of {rows[0]['cores']} cores. Columns: results/growth.csv."
    )
    return textwrap.fill(text, 120)


def memory_slope(x, y, at):
    """Of the step that begins at that place."""
    return (y[at + 1] - y[at]) / (x[at + 1] - x[at])


def shares(values, speeds):
    """Of the first speed, what each other gives: '2 give 0.75, 3 give 0.71'."""
    said = [
        f"{value:g} {'give' if value > 1 else 'gives'} {speed / speeds[0]:.2f}" for value, speed in zip(values, speeds)
    ]
    return ", ".join(said[1:])


def table(rows, columns):
    """Markdown of the (heading, key) columns; a cell that was not measured yet is empty."""
    lines = [[heading for heading, _ in columns], ["---"] + ["---:"] * (len(columns) - 1)]
    lines += [[processor_of(row) if key == "cpu" else row.get(key, "") for _, key in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def engines_side_by_side(rows):
    """One row a network, batch and `--threads`, and its columns."""
    columns = [("network", "network"), ("batch", "batch"), ("MXNet's cores", "cores_of_mxnet")]
    columns += [("the others'", "cores_of_others"), CPU, ("plain MXNet, images/s", "plain")]
    wide = {}
    for row in rows:
        others = row["cores"] if row["threads"] == "default" else row["threads"]
        key = row["network"], row["batch"], row["threads"]
        one = wide.setdefault(key, {**row, "cores_of_others": others})
        engine = row["engine"]
        aim = f" ({row['target']})" if row["target"] and row["threads"] == "default" else ""
        one[engine] = row["images_per_second"] if engine == "plain" else row["ratio"] + aim
    engines = [engine for engine in ENGINES if any(row["engine"] == engine for row in rows)]
    aimed = {row["engine"] for row in rows if row["target"]}
    headings = [f"{engine}, ratio" + " (aimed at)" * (engine in aimed) for engine in engines]
    return list(wide.values()), columns + list(zip(headings, engines))


if __name__ == "__main__":
    main()
