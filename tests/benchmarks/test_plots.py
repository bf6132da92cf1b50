"""The plots of the documentation are drawn from results/ alone, and show every row."""

from PIL import Image

from benchmarks import growth, plots


def test_labels_keep_apart_in_their_order():
    assert plots.spread([1.0, 1.1, 1.05], beside=[4, 4, 9], gap=0.5, near=1) == [1.0, 1.5, 1.05]
    assert plots.spread([3, 1, 2], beside=[0, 0, 0], gap=0.5, near=1) == [3, 1, 2]


def test_growth_is_redrawn_without_measuring(monkeypatch, tmp_path):
    monkeypatch.setattr(growth, "DOCS", tmp_path)
    monkeypatch.setattr(growth, "measure", None)
    growth.main(["--redraw"])
    with Image.open(tmp_path / "growth.png") as picture:
        assert picture.width > picture.height


def test_every_attention_has_its_bars(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, *_, **__: figures.append(figure))
    rows = plots.rows_of("attention_cost")
    plots.attention_cost(rows, "unused")
    (figure,) = figures
    shown = {axes.get_title(): [text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes}
    for plain, labels in shown.items():
        assert len(labels) == len({row["network"] for row in rows if row["plain"] in (plain, f"{plain}d")})
        assert {"(none)", "aff", "inv_cbam"} <= set(labels)
        assert not any(plain.replace("cifar_", "") in label for label in labels)
    bars = {round(bar.get_width(), 2) for axes in figure.axes for bar in axes.patches}
    assert {float(row["time_ratio"]) for row in rows} == bars
