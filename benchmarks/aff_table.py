"""AFF's comparison on ImageNet, printed again: parameters and MACs counted on this package's networks, errors as
published, with their source.

    python benchmarks/aff_table.py                       # writes results/aff_table.csv and docs/aff_table.md
    python benchmarks/aff_table.py --measured iaff_resnet50=20.25    # an error from `gluon-attn evaluate`, marked so
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from gluon_attn.files import write_csv, write_text

ROOT = Path(__file__).resolve().parent.parent
OPEN_AFF = "open-aff README"


@dataclass(frozen=True)
class Row:
    """A published error (top-1, percent) and parameter count (millions), and our network for it."""

    label: str
    model: str
    error: Optional[float]
    source: str
    parameters: Optional[float] = None
    variant: Optional[str] = None


WITHOUT_CLASSIFIER = "42.5 M there leaves out the classifier's 2.05 M"
ROWS = (
    Row("ResNet-101", "resnet101", 23.2, OPEN_AFF, 42.5),
    Row("ECA-Net-101", "eca_resnet101", 21.4, OPEN_AFF, 42.5, variant="ecanet"),
    Row("Attention-augmented-101", "aa_resnet101", 21.3, OPEN_AFF, 45.4),
    Row("SENet-101", "se_resnet101", 20.9, OPEN_AFF, 49.4),
    Row("Gather-Excite-theta-plus-101", "ge_resnet101", 20.7, OPEN_AFF, 58.4),
    Row("LIP-101", "lip_resnet101", 20.7, OPEN_AFF, 42.9),
    Row("AFF-ResNet-50", "aff_resnet50", 20.3, OPEN_AFF, 30.3),
    Row("iAFF-ResNet-50", "iaff_resnet50", 20.2, OPEN_AFF, 35.1),
    Row("iAFF-ResNeXt-50-32x4d", "iaff_resnext50_32x4d", 19.78, OPEN_AFF, 34.7),
)
MORE = (
    Row("ResNet-50", "resnet50", 24.56, "CBAM paper, table", 25.56),
    Row("ECA-Net-50", "eca_resnet50", 22.58, "ECANet README", variant="ecanet"),
    Row("ECA-Net-101", "eca_resnet101", 21.35, "ECANet README", variant="ecanet"),
    Row("Attention-augmented-50", "aa_resnet50", None, "not found in a source of the authors", 25.8),
    Row("SENet-50", "se_resnet50", 23.14, "CBAM paper, table", 28.09),
    Row("CBAM-50", "cbam_resnet50", 22.66, "CBAM paper, table", 28.09),
    Row("CBAM-101", "cbam_resnet101", 21.51, "CBAM paper, table", 49.33),
    Row("Gather-Excite-theta-plus-50", "ge_resnet50", None, "not found in a source of the authors"),
    Row("LIP-50", "lip_resnet50", 21.81, "LIP README", 23.9),
    Row("LIP-101", "lip_resnet101", 20.67, "LIP README", 42.9),
    Row("SKNet-50", "sk_resnext50_32x4d", 20.79, "SKNet README", 27.5),
    Row("SKNet-101", "sk_resnext101_32x4d", 20.19, "SKNet README", 48.9),
    Row("AFF-ResNeXt-50-32x4d", "aff_resnext50_32x4d", 20.28, "open-aff's logs"),
)
NOTES = (
    "ResNet-101 and ECA-Net-101: " + WITHOUT_CLASSIFIER + ".",
    "Gather-Excite, SENet-101: our count of the layers in the authors' files is 0.1 % below the published one.",
    "SKNet-101: our count of the authors' layers is 0.3 % below the published one.",
    "The AFF rows were trained with mixup, label smoothing and 240 epochs; the others as in their papers.",
    "The published counts of the AFF rows cut the second decimal off instead of rounding it.",
)
COLUMNS = ("label", "model", "parameters_millions", "macs_billions", "published_parameters", "top1_error")
COLUMNS += ("error_is", "source")


def describe(row, measured):
    """One line of the table."""
    from gluon_attn import get_model, zoo
    from gluon_attn.complexity import complexity

    cost = complexity(get_model(row.model, variant=row.variant), zoo.find(row.model).input_size)
    error, kind, source = row.error, "published" if row.error is not None else "", row.source
    if row.model in measured:
        error, kind, source = measured[row.model], "measured", "gluon-attn evaluate"
    counts = f"{cost.parameters / 1e6:.2f}", f"{cost.macs / 1e9:.2f}"
    return dict(zip(COLUMNS, (row.label, row.model, *counts, row.parameters, error, kind, source)))


def markdown(table):
    """The lines of a Markdown table."""
    heads = ("network", "name", "parameters (M)", "MACs (G)", "published (M)", "top-1 error (%)", "error is", "source")
    yield "| " + " | ".join(heads) + " |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |"
    for line in table:
        values = ["" if value is None else str(value) for value in line.values()]
        yield "| " + " | ".join([values[0], f"`{values[1]}`", *values[2:]]) + " |"


def document(tables):
    yield "# AFF's table, printed again"
    yield ""
    yield "Written by `python benchmarks/aff_table.py`. Parameters and MACs (224x224) are counted on this package's"
    yield "networks; errors are single-crop ImageNet errors as published, or measured where it says so. The plot is"
    yield "drawn from results/aff_table.csv by `python -m benchmarks.plots`: of two reported errors the first."
    yield ""
    yield "![error against MACs, and parameters, of the networks below](accuracy.png)"
    for title, table in tables:
        yield from ("", f"## {title}", "", *markdown(table))
    yield from ("", *(f"- {note}" for note in NOTES))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--measured", nargs="*", default=[], metavar="NAME=ERROR", help="top-1 errors that you measured"
    )
    parser.add_argument("--csv", type=Path, default=ROOT / "results" / "aff_table.csv")
    parser.add_argument("--markdown", type=Path, default=ROOT / "docs" / "aff_table.md")
    args = parser.parse_args(argv)
    measured = {name: float(error) for name, error in (pair.split("=") for pair in args.measured)}
    tables = [
        ("The table of AFF's README", [describe(row, measured) for row in ROWS]),
        ("The same mechanisms on ResNet-50, and their own papers' figures", [describe(row, measured) for row in MORE]),
    ]
    text = "\n".join(document(tables)) + "\n"
    print(text)
    write_text(args.markdown, text)
    write_csv(args.csv, [line for _, table in tables for line in table], COLUMNS)


if __name__ == "__main__":
    main()
