"""The printed tables name every mechanism and only networks that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import aff_table
from gluon_attn import zoo
from gluon_attn.catalogue.mechanisms import MECHANISMS


def test_every_mechanism_has_its_formula():
    assert [name for name, record in MECHANISMS.items() if not record.formula] == []


def test_the_page_has_what_the_records_say():
    page = (Path(__file__).parents[2] / "docs" / "mechanisms.md").read_text(encoding="utf-8")
    for name, record in MECHANISMS.items():
        row = f"| {name} | {' + '.join(record.slots)} | {record.formula} | {record.paper} |"
        assert not record.on or row in page, f"{name}: run `python benchmarks/mechanism_table.py`"


@pytest.mark.parametrize("row", [*aff_table.ROWS, *aff_table.MORE], ids=lambda row: f"{row.model}-{row.source}")
def test_rows_name_networks_and_say_where_an_error_is_from(row):
    zoo.find(row.model)
    assert row.source and (row.error is None) == row.source.startswith("not found")


def test_a_measured_error_is_marked():
    row = aff_table.Row("tiny", "cifar_resnet20", 30.0, "a paper", 0.27)
    published, measured = aff_table.describe(row, {}), aff_table.describe(row, {"cifar_resnet20": 31.5})
    assert (published["top1_error"], published["error_is"], published["source"]) == (30.0, "published", "a paper")
    assert (measured["top1_error"], measured["error_is"]) == (31.5, "measured")
    assert published["parameters_millions"] == "0.28" and measured["macs_billions"] == "0.04"
