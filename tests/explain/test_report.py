"""The HTML page: what is in it, and what a browser makes of it."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from gluon_attn.explain.methods import View
from gluon_attn.explain.report import data_uri, write
from gluon_attn.explain.subjects import Subject
from tests.explain import browser

NAMES = ["cat", "dog", "</script>&<b>bird"]


def view(probabilities, size=24, plane=True):
    rng = np.random.RandomState(0)
    heat = rng.uniform(size=(size, size)) if plane else None
    return View(rng.randint(0, 255, (size, size, 3)).astype("uint8"), np.array(probabilities), {"gradcam": heat})


@pytest.fixture
def page(tmp_path):
    """Three pictures, two networks: the second is wrong on the last picture."""
    sure = [[0.9, 0.08, 0.02], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]]
    rows = {"a": [view(p) for p in sure], "b": [view(p, plane=False) for p in [*sure[:2], [0.5, 0.1, 0.4]]]}
    subjects = [Subject(f"{i}.png", None, i) for i in range(3)]
    write(rows, tmp_path / "page.html", subjects, NAMES)
    return tmp_path / "page.html"


def test_content(page):
    text = page.read_text(encoding="utf-8")
    content = json.loads(re.search(r'<script id="content" type="application/json">(.*?)</script>', text, re.S).group(1))
    assert content["networks"] == ["a", "b"]
    assert [s["label"] for s in content["subjects"]] == NAMES
    assert content["subjects"][2]["views"][1] == {
        "predicted": "cat",
        "right": False,
        "top": [["cat", 0.5], [NAMES[2], 0.4], ["dog", 0.1]],
        "maps": [None],
    }
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and "http" not in text.replace("http-equiv", "")


def test_small_pictures_are_exact():
    image = np.random.RandomState(0).randint(0, 255, (8, 9, 3)).astype("uint8")
    content = base64.b64decode(data_uri(image).split(",")[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), image)


def boxed(box):
    """What two networks see of a picture, 20x40, and where the object is in it."""
    image, probabilities = np.zeros((20, 40, 3), "uint8"), np.array([0.6, 0.4, 0])
    maps = [{"gradcam": np.zeros((20, 40)), "attention": plane} for plane in (None, np.zeros((20, 40)))]
    return {name: [View(image, probabilities, m, box)] for name, m in zip("ab", maps)}, [Subject("0", None, 0)]


@pytest.mark.parametrize(("box", "shares"), [((10, 5, 30, 15), [0.25, 0.25, 0.5, 0.5]), (None, None)])
def test_the_box_of_the_object(tmp_path, box, shares):
    rows, subjects = boxed(box)
    write(rows, tmp_path / "page.html", subjects, NAMES)
    assert f'"box": {json.dumps(shares)}' in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.skipif(not browser.AVAILABLE, reason="needs chromium and chromedriver (apt-get install chromium-driver)")
def test_in_a_browser(page, tmp_path):
    visible = "return [...document.querySelectorAll('article')].filter(a => a.offsetParent).map(a => a.dataset.class)"
    choose = """const select = document.getElementById(arguments[0]);
        select.value = arguments[1]; select.dispatchEvent(new Event('change'));"""
    with browser.browser() as chromium:
        chromium.open(page.as_uri())
        assert chromium.script(visible) == NAMES
        broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
        assert chromium.script("return document.images.length") == 6 and chromium.script(broken) == 0
        chromium.script(choose, "class", "dog")
        assert chromium.script(visible) == ["dog"]
        assert chromium.script("return document.getElementById('count').textContent") == "1 of 3 pictures"
        chromium.script(choose, "class", "")
        chromium.script(choose, "result", "wrong")
        assert chromium.script(visible) == [NAMES[2]]
        chromium.script(choose, "result", "right")
        assert chromium.script(visible) == NAMES[:2]
        tip = "const f = document.querySelectorAll('figure')[1]; f.focus(); return f.querySelector('.tip').innerText"
        assert re.split(r"\s*\n\s*", chromium.script(tip)) == ["cat", "90 %", "dog", "8.0 %", NAMES[2], "2.0 %"]
        picture = Image.open(io.BytesIO(base64.b64decode(chromium.call("/screenshot"))))
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 500  # not a blank page
        assert [entry for entry in chromium.log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
        assert [url for url in chromium.requests() if not url.startswith(("file:", "data:"))] == []


ATTACKS = {
    "a comment that opens a script": "<!--<script>",
    "the end of the script": "</script><script>window.attacked = 1</script>",
    "a picture with a handler": "<img src=x onerror='window.attacked = 1'>",
    "the end of the title": "</title><svg onload='window.attacked = 1'>",
    "an entity": "&lt;b&gt; &amp;quot;",
    "placeholders": "@CONTENT@ @TITLE@",
    "backslashes": "\\u003c\\1 \\g<0>",
    "separators of lines": "\u2028 \u2029",
}


@pytest.mark.skipif(not browser.AVAILABLE, reason="needs chromium and chromedriver (apt-get install chromium-driver)")
def test_names_are_text_in_a_browser(tmp_path):
    """Networks, pictures and classes are called like attacks; each is read as it stands, and nothing runs."""
    attacks = list(ATTACKS.values())
    views = [view([float(i == number) for i in range(len(attacks))]) for number in range(len(attacks))]
    networks = ["@CONTENT@", "@TITLE@ <b>", *attacks]
    subjects = [Subject(name, None, number) for number, name in enumerate(attacks)]
    write(dict.fromkeys(networks, views), tmp_path / "page.html", subjects, attacks)
    with browser.browser() as chromium:
        chromium.open((tmp_path / "page.html").as_uri())
        assert chromium.script("return [...document.querySelectorAll('article')].map(a => a.dataset.class)") == attacks
        headings = "return [...document.querySelectorAll('h2')].map(h => h.firstChild.textContent)"
        assert chromium.script(headings) == attacks
        labels = "return [...document.querySelectorAll('article:first-child small')].map(s => s.textContent)"
        assert chromium.script(labels)[::2] == networks
        assert (
            chromium.script("return document.title.split(': ').slice(1).join(': ')").split()
            == " ".join(", ".join(networks).split()).split()
        )
        assert chromium.script("return window.attacked === undefined")
        assert [entry for entry in chromium.log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


@pytest.mark.skipif(not browser.AVAILABLE, reason="needs chromium and chromedriver (apt-get install chromium-driver)")
def test_probabilities_that_are_no_numbers_in_a_browser(tmp_path):
    """A broken network's page says so, where NaN in JSON would leave it blank."""
    write({"a": [view([np.nan] * 3)]}, tmp_path / "page.html", [Subject("0", None, 0)], NAMES)
    with browser.browser() as chromium:
        chromium.open((tmp_path / "page.html").as_uri())
        assert "no number" in chromium.script("return document.querySelector('figcaption b span').parentNode.innerText")


def test_names_that_are_no_unicode_are_written(tmp_path):
    """A file called in bytes that are no UTF-8 reaches Python with lone surrogates in its name."""
    write({"a\udcff.params": [view([1, 0, 0])]}, tmp_path / "page.html", [Subject("b\udcff.png", None, 0)], NAMES)
    assert "a&#56575;.params" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.skipif(not browser.AVAILABLE, reason="needs chromium and chromedriver (apt-get install chromium-driver)")
def test_boxes_and_missing_maps_in_a_browser(tmp_path):
    """The first network has no attention map of any picture: it gets no empty cell."""
    rows, subjects = boxed((10, 5, 30, 15))
    write(rows, tmp_path / "page.html", subjects, NAMES)
    captions = "return [...document.querySelectorAll('figcaption')].map(c => c.innerText.split(/\\s*\\n\\s*/))"
    inside = """const [box, image] = ['.box', '.frame img'].map(s => document.querySelector(s).getBoundingClientRect());
        return [(box.left - image.left) / image.width, box.width / image.width];"""
    with browser.browser() as chromium:
        chromium.open((tmp_path / "page.html").as_uri())
        maps = [["a", "gradcam"], ["b", "gradcam"], ["b", "attention"]]
        assert chromium.script(captions) == [["picture"], *[["✓ cat 60 %", *which] for which in maps]]
        assert chromium.script(inside) == pytest.approx([0.25, 0.5], abs=0.01)
        assert chromium.script("return document.getElementById('box-label').offsetParent !== null")
