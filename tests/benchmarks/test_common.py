"""What all benchmarks share: which rows a run measures and replaces, and which rows a page shows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks import __main__ as everything
from benchmarks import attention_cost, attention_study, common, photographs_settings, plots, speed_page
from gluon_attn.cost import networks


def test_as_many_cores_are_the_same_place_however_they_were_asked_for(tmp_path, monkeypatch):
    """`--threads 1` and what MXNet takes of two cores stood beside each other, and a page showed the older."""
    for module in (common, plots):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    for asked, taken, value in ((2, 2, "a"), (1, 1, "b"), (0, 1, "c")):
        monkeypatch.setattr(common.threads, "taken", lambda taken=taken: taken)
        common.write("costs", [{"value": value}], SimpleNamespace(threads=asked, clock="wall"))
    rows = common.read(tmp_path / "costs.csv")
    assert [(row["value"], row["threads"], row["cores_of_mxnet"]) for row in rows] == [
        ("c", "default", "1"),
        ("a", "2", "2"),
    ]
    assert plots.rows_of("costs") == rows[:1]


def test_a_page_stays_of_its_cores_where_one_row_is_measured_with_more(tmp_path, monkeypatch):
    """It became a page of that row alone."""
    for module in (attention_cost, common, plots):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(attention_cost, "DOCS", tmp_path)
    row = dict(parameters_ratio="1", macs_ratio="1", time_ratio="1", memory_mib="", plain="cifar_resnet20")
    monkeypatch.setattr(networks, "measure", lambda names, mode, *_, **__: [dict(row, network=names[0], mode=mode)])
    for cores, only in ((1, "cifar_resnet20,cifar_se_resnet20"), (2, "cifar_se_resnet20")):
        monkeypatch.setattr(common.threads, "taken", lambda cores=cores: cores)
        attention_cost.main(["--only", only])
    page = (tmp_path / "attention_cost.md").read_text(encoding="utf-8")
    assert "with 1 of MXNet's threads" in page and page.count("| cifar_") == 2
    measured = [(row["network"], row["cores_of_mxnet"]) for row in common.read(tmp_path / "attention_cost.csv")]
    both = ["cifar_resnet20", "cifar_se_resnet20"]
    assert measured == [(name, "1") for name in 2 * both] + [("cifar_se_resnet20", "2")] * 2


def test_where_other_engines_had_more_cores_it_is_another_row():
    """The page showed the ratios of one run under the sentence about the other."""
    row = dict(network="a", batch="1", cores_of_mxnet="1", cores="2", engine="plain", images_per_second="3", target="")
    wide, _ = speed_page.engines_side_by_side([{**row, "threads": "default"}, {**row, "threads": "1"}])
    assert [one["cores_of_others"] for one in wide] == ["2", "1"]


def test_every_name_can_be_asked_for():
    """A name with a comma in it could not, and a pattern that fits nothing measured nothing."""
    for known in (list(photographs_settings.SETTINGS), list(attention_study.FORMS)):
        assert common.chosen("", known, "setting") == known
        assert [common.chosen(name, known, "setting") for name in known] == [[name] for name in known]
    assert common.chosen("stride *, recipe", ["ema", "recipe", "stride 4"], "setting") == ["recipe", "stride 4"]
    with pytest.raises(SystemExit, match="Unknown network 'cifar_x.'. Choices: cifar_resnet20"):
        attention_cost.main(["--only", "cifar_x*"])


def test_a_table_with_older_columns_is_gone_on_with(tmp_path, monkeypatch):
    """It was a ValueError after all had been measured."""
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    (tmp_path / "costs.csv").write_text("network,old,threads\na,1,default\nb,2,default\n")
    args = common.options("Costs.", [])
    common.write("costs", [{"network": "b", "new": 3}], args, unique=("network",))
    rows = common.read(tmp_path / "costs.csv")
    assert [(row["network"], row["new"]) for row in rows] == [("b", "3"), ("a", "")] and "old" not in rows[0]


def test_the_words_on_growth_are_those_of_the_figures():
    """They were what must be, whatever had been measured."""
    figures = {
        "batch": {1: (10, 100), 2: (20, 103), 4: (30, 110)},
        "size": {10: (30, 50), 20: (10, 350), 30: (5, 850)},
        "devices": {1: (10, ""), 2: (7, "")},
        "workers": {0: (10, ""), 1: (8, ""), 2: (12, "")},
    }
    rows = [
        dict(
            axis=axis,
            value=str(value),
            images_per_second=str(speed),
            memory_mib=str(memory),
            cores_of_mxnet="1",
            cores="2",
        )
        for axis, measured in figures.items()
        for value, (speed, memory) in measured.items()
    ]
    said = " ".join(speed_page.growth(rows).split())
    for words in (
        "from batch 1 to 4 images/s grow to 3.0 times, in the last doubling to 1.50 times",
        "From side 10 to 30, which has 9.0 times the pixels, they fall to 1/6.0; from 20 to 30, 2.25 times",
        "by 3.0 MiB an image at the first step of the batch and 3.5 at the last, and by 1000.0 and 1000.0 MiB",
        "2 give 0.70 of the images/s of one",
        "1 gives 0.80, 2 give 1.20 of the images/s of none. MXNet had 1 of 2 cores.",
    ):
        assert words in said


def test_benchmarks_are_run_by_name(capsys):
    with pytest.raises(SystemExit):
        everything.main(["--help"])
    assert "python -m benchmarks [NAME ...] [--threads N]" in capsys.readouterr().out
    assert "Unknown benchmark 'speed'. Did you mean 'speed_page'" in everything.main(["speed", "--threads", "1"])
