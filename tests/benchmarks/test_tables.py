"""Tables of benchmarks: which rows a new run replaces, and which rows a page shows."""

from __future__ import annotations

from types import SimpleNamespace

from benchmarks import common, plots, speed_page


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


def test_where_other_engines_had_more_cores_it_is_another_row():
    """The page showed the ratios of one run under the sentence about the other."""
    row = dict(network="a", batch="1", cores_of_mxnet="1", cores="2", engine="plain", images_per_second="3", target="")
    wide, _ = speed_page.engines_side_by_side([{**row, "threads": "default"}, {**row, "threads": "1"}])
    assert [one["cores_of_others"] for one in wide] == ["2", "1"]
