"""What the site generates: cards, pictures of blocks, the zoo's table, and docstrings as markup."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import stage_costs
from benchmarks.common import ROOT
from gluon_attn import _gluoncv, weights
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import OWN, SPECS
from tests.write_golden import GOLDEN
from tools.zoo_site import traps
from tools.zoo_site.__main__ import with_every_page
from tools.zoo_site.block_picture import FILLED, slots_of, svg
from tools.zoo_site.cards import card, total
from tools.zoo_site.docstrings import to_rst
from tools.zoo_site.reference import with_every_mechanism
from tools.zoo_site.zoo_page import page

STAGES = {"stem": [100_000, 10**6], "stage1": [200_000, 3 * 10**6], "head": [700_000, 6 * 10**6]}


@pytest.mark.parametrize("name", ["se_resnet50", "cifar_aff_preresnet32_w4", "abn_se_resnet50", "fullface_gaze"])
def test_a_card_says_it_all(name):
    text, spec = card(name, STAGES, STAGES), SPECS[name]
    for mechanism in slots_of(spec).values():
        assert MECHANISMS[mechanism].formula in text and MECHANISMS[mechanism].paper in text
    assert "<svg" in text and f'gluon_attn.get_model("{name}"' in text and "## Known traps" in text
    assert "| stage1 | 200,000 | 20.0% | 3,000,000 | 30.0% |" in text and "| parameters | 1,000,000" in text
    for entry in weights.entries(name):
        wanted = (entry.source, entry.hash, entry.license, entry.url, None if entry.path else entry.note)
        assert all(found in text for found in wanted if found)
        assert entry.top1_error is None or f"{entry.top1_error:g} %" in text


@pytest.mark.parametrize("name", SPECS)
def test_a_picture_shows_every_filled_slot(name):
    picture = ElementTree.fromstring(svg(SPECS[name]))
    words = [node.text for node in picture.iter() if node.tag.endswith("text")]
    boxes = [node for node in picture.iter() if node.tag.endswith("rect") and node.get("fill") == FILLED]
    filled = slots_of(SPECS[name])
    assert len(boxes) >= len(filled)
    assert all(any(mechanism in word for word in words) for mechanism in filled.values())
    assert bool(boxes) == bool(filled)


def test_every_mechanism_has_its_place_in_the_reference():
    text = with_every_mechanism((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    files = {block.partition(":")[0] for block in (MECHANISMS[name].block for name in OWN) if isinstance(block, str)}
    own = {file for file in files if ".attention." in file} - {"gluon_attn.attention.plain"}  # which is no attention
    assert len(own) > 10
    lost = [file for file in own if f"automodule:: {file}\n" not in text]
    assert not lost, f"{lost}: SHARED in tools/zoo_site/reference.py names the files that are no mechanism's"


def test_traps_name_what_bites():
    assert any("ResNet-D form" in text for text in traps.of(SPECS["aff_resnet50"], ()))
    assert any("map_size=" in text for text in traps.of(SPECS["aa_resnet50"], ()))
    coarse = weights.entries("cifar_aff_preresnet32_w4")
    assert any("cifar100-coarse" in text for text in traps.of(SPECS["cifar_aff_preresnet32_w4"], coarse))
    assert any("stride_in='1x1'" in text for text in traps.of(SPECS["se_resnet50"], weights.entries("se_resnet50")))
    assert set(traps.OF_GLUONCV) <= set(SPECS) and set(traps.OF_ATTENTION) <= set(MECHANISMS)


@pytest.mark.slow
def test_gluoncv_has_the_names_that_are_said_to_be_its_own():
    from gluoncv.model_zoo import model_zoo

    own = {name for name, made in model_zoo._models.items() if not _gluoncv._ours(made)}
    assert set(traps.OF_GLUONCV) == own & set(SPECS)


def test_the_zoo_has_a_row_and_a_point_for_every_network():
    names = ["se_resnet50", "cifar_aff_resnet20", "resnet50"]
    text = page(dict.fromkeys(names, STAGES))
    assert re.findall(r'<tr data-name="(\w+)">', text) == names
    assert re.findall(r'<a href="networks/\w+.html" data-name="(\w+)"><circle', text) == names
    assert "<option>aff</option>" in text and "http" not in text


def test_docstrings_become_markup():
    assert to_rst(["Gives `x * s(x)`s of *y_."])[0] == r"Gives \ ``x * s(x)``\ s of \*y\_."
    assert to_rst(["x     : a map,", "    of any size", "n : how many"])[:2] == [
        "- **x**: a map, of any size",
        "- **n**: how many",
    ]
    assert to_rst([">>> f(1)", "2"])[:3] == [".. code-block:: pycon", "", "   >>> f(1)"]
    assert to_rst(["Parameters", "----------", "a : b"])[:3] == ["**Parameters**", "", "- **a**: b"]


def test_costs_by_stage_add_up_to_those_of_the_network():
    known, golden = stage_costs.known(), json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(set(known) & set(golden)) > 500
    for name in set(known) & set(golden):
        assert total(known[name]) == (golden[name]["parameters"], golden[name]["macs"]), f"{name}: `make golden`"


def test_a_page_that_no_list_names_is_not_lost(tmp_path):
    for name in ("index", "train", "new_page"):
        (tmp_path / f"{name}.md").write_text("# A page")
    text = with_every_page("# Front\n\n```{toctree}\ntrain\n```\n", tmp_path)
    assert text == "# Front\n\n```{toctree}\ntrain\nnew_page\n```\n"
