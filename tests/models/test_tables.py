"""The printed tables name every mechanism and only networks that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

import gluon_attn
from benchmarks import aff_table, mechanism_table, stage_costs
from gluon_attn import zoo
from gluon_attn.catalogue.mechanisms import MECHANISMS
from tests import write_golden


def test_every_mechanism_has_its_formula():
    assert [name for name, record in MECHANISMS.items() if not record.formula] == []


def test_the_page_has_what_the_records_say():
    page = (Path(__file__).parents[2] / "docs" / "mechanisms.md").read_text(encoding="utf-8")
    for name, record in MECHANISMS.items():
        row = f"| {name} | {' + '.join(record.slots)} | {record.formula} | {record.paper} |"
        assert not record.on or row in page, f"{name}: run `python benchmarks/mechanism_table.py`"


@pytest.fixture
def somebodys():
    """A mechanism of an installed package, say: no fact of this repository."""
    gluon_attn.register_attention("somebodys", "gate", "gluon_attn.attention.simam:SimAM")
    yield
    gluon_attn.forget_attention("somebodys")


@pytest.mark.parametrize(("module", "file"), [(write_golden, "GOLDEN"), (stage_costs, "FILE")])
def test_what_is_written_here_has_our_names_alone(somebodys, module, file, tmp_path, monkeypatch):
    before = getattr(module, file).read_text(encoding="utf-8")
    monkeypatch.setattr(module, file, tmp_path / "written.json")
    (tmp_path / "written.json").write_text(before, encoding="utf-8")
    module.main(["--new"])
    assert (tmp_path / "written.json").read_text(encoding="utf-8") == before


def test_the_table_of_mechanisms_has_ours_alone(somebodys, monkeypatch):
    monkeypatch.setattr(mechanism_table, "cost", lambda label: ("", "", ""))
    labels = [row[0] for row in mechanism_table.rows()]
    assert "simam" in labels and "somebodys" not in labels


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
