"""Damaged symbol files are sentences; MXNet's own reader would end the process at some of these."""

from __future__ import annotations

import json
import re

import mxnet as mx
import pytest

from gluon_attn.deploy import export_symbol
from gluon_attn.deploy.run.symbol_file import load_symbol
from gluon_attn.errors import GluonAttnError
from tests.helpers import build


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("symbol")
    export_symbol(build("cifar_resnet20", classes=4), folder / "net", 32)
    return folder


def copied(exported, folder):
    for path in exported.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / "net-symbol.json"


def changed(path, change):
    graph = json.loads(path.read_text())
    result = change(graph)
    path.write_text(result if isinstance(result, str) else json.dumps(graph))


def set_attribute(name, value):
    def change(graph):
        next(node for node in graph["nodes"] if name in node.get("attrs", {}))["attrs"][name] = value

    return change


DAMAGE = {
    "no JSON": lambda graph: "{",
    "a list": lambda graph: "[1, 2]",
    "nested": lambda graph: '{"nodes": ' + "[" * 100_000,
    "no nodes": lambda graph: graph.pop("nodes"),
    "no heads": lambda graph: graph["heads"].clear(),
    "a head that is not there": lambda graph: graph["heads"][0].__setitem__(0, 10**6),
    "an output that is not there": lambda graph: graph["heads"][0].__setitem__(1, 10**6),
    "an input behind": lambda graph: graph["nodes"][-1]["inputs"][0].__setitem__(0, len(graph["nodes"])),
    "itself as input": lambda graph: graph["nodes"][-1]["inputs"][0].__setitem__(0, len(graph["nodes"]) - 1),
    "a negative input": lambda graph: graph["nodes"][-1]["inputs"][0].__setitem__(0, -1),
    "an input of text": lambda graph: graph["nodes"][-1]["inputs"][0].__setitem__(0, "a"),
    "arguments that are not there": lambda graph: graph["arg_nodes"].append(10**9),
    "no operator of that name": lambda graph: graph["nodes"][-1].update(op="NoSuchOperator"),
    "a program of its own": lambda graph: graph["nodes"][-1].update(op="Custom"),
    "a stride of 0": set_attribute("stride", "(0, 0)"),
    "no groups": set_attribute("num_group", "0"),
    "a padding of a billion": set_attribute("pad", "(1000000000, 1000000000)"),
    "a padding of a million": set_attribute("pad", "(1000000, 1000000)"),
    "infinitely many filters": set_attribute("num_filter", "1e999"),
    "other filters": set_attribute("num_filter", "7"),
    "an attribute that is none": set_attribute("kernel", "hello"),
    "attributes that are no texts": set_attribute("kernel", 3),
    "a weight that the file lacks": lambda graph: graph["nodes"][1].update(name="other"),
    "another input": lambda graph: graph["nodes"][0].update(name="images"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_graph_is_a_sentence(case, exported, tmp_path, capsys):
    path = copied(exported, tmp_path)
    changed(path, DAMAGE[case])
    with pytest.raises(GluonAttnError, match="is no graph that MXNet can run|does not hold the weights of"):
        load_symbol(path)
    assert not capsys.readouterr().out


def test_damaged_weights_are_a_sentence(exported, tmp_path):
    path = copied(exported, tmp_path)
    weights = tmp_path / "net-0000.params"
    whole = weights.read_bytes()
    for content in (b"", whole[:-100], whole[:40] + b"\xff" * 8 + whole[48:], b"PK\3\4" + whole):
        weights.write_bytes(content)
        with pytest.raises(GluonAttnError, match="net-0000.params"):
            load_symbol(path)
    mx.nd.save(str(weights), {"arg:other": mx.nd.ones(3)})
    with pytest.raises(GluonAttnError, match="does not hold the weights of"):
        load_symbol(path)


def test_files_without_a_card_are_read(exported, tmp_path):
    block, metadata = load_symbol(copied(exported, tmp_path))
    assert metadata == {} and block(mx.nd.ones((1, 3, 32, 32))).shape == (1, 4)
    assert re.search("stride", (exported / "net-symbol.json").read_text())
