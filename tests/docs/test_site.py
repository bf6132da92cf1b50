"""The whole site, as `make docs` builds it: without a warning or a dead link, and alive in a browser."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from gluon_attn import list_models
from tests.explain import browser

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("furo", reason="pip install -c constraints.txt -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-W", "ignore", "-m", "tools.zoo_site", "--output", str(folder)]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    shutil.rmtree(folder / "source")  # the folder that opens is all that is needed
    return folder / "html"


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        self.targets += [found[key] for key in ("href", "src") if found.get(key)]


def test_every_network_has_its_card_and_no_link_is_dead(site):
    assert {path.stem for path in (site / "networks").glob("*.html")} == set(list_models())
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    dead = []
    for path, links in pages.items():
        for target in links.targets:
            address, anchor = urldefrag(target)
            if urlsplit(address).scheme:
                continue
            other = (path.parent / unquote(urlsplit(address).path)).resolve() if address else path
            if not other.exists() or (anchor and other in pages and anchor not in pages[other].ids):
                dead.append(f"{path.relative_to(site)}: {target}")
    assert not dead, dead[:20]


@pytest.mark.skipif(not browser.AVAILABLE, reason="needs chromium and chromedriver (apt-get install chromium-driver)")
def test_the_zoo_filters_and_sorts_in_a_browser(site):
    shown = "return [...document.querySelectorAll('#zoo tbody tr')].filter(r => !r.hidden).map(r => r.dataset.name)"
    points = "return [...document.querySelectorAll('#zoo-plot a')].filter(p => p.style.display !== 'none').length"
    fill = "const f = document.querySelector(arguments[0]); f.value = arguments[1]; f.dispatchEvent(new Event('input'))"
    press = "document.querySelectorAll('#zoo th button')[arguments[0]].click()"
    column = "return [...document.querySelectorAll('#zoo tbody tr')].map(r => r.cells[arguments[0]].textContent)"
    with browser.browser() as chromium:
        chromium.open((site / "zoo.html").as_uri())
        assert chromium.script(shown) == list_models()
        chromium.script(fill, "#zoo-words", "AFF resnet50 openaff")
        assert set(chromium.script(shown)) == {"aff_resnet50", "iaff_resnet50"}
        assert chromium.script(points) == 2
        chromium.script(fill, "#zoo-words", "")
        chromium.script(fill, "select[data-column=attention]", "sk")
        assert set(chromium.script(shown)) == {name for name in list_models() if "sk_" in name}
        chromium.script(fill, "select[data-column=attention]", "")
        for _ in range(2):
            chromium.script(press, 4)
        sizes = [float(value) for value in chromium.script(column, 4)]
        assert sizes == sorted(sizes, reverse=True) and len(sizes) == len(list_models())
        for page in ("index", "api", "networks/aff_resnet50"):
            chromium.open((site / f"{page}.html").as_uri())
        assert [entry for entry in chromium.log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
        assert [address for address in chromium.requests() if address.startswith("http")] == []
