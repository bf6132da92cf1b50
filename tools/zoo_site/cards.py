"""The card of a network, as a page of Markdown: what it is, costs and expects, its weights, and its traps."""

from __future__ import annotations

from gluon_attn import weights
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import SPECS, Spec
from tools.zoo_site import traps
from tools.zoo_site.block_picture import slots_of, svg


def card(name: str, stages: dict, plain: dict) -> str:
    """The page. stages, plain : {stage: [parameters, MACs]} of the network and of the one it is compared with."""
    spec, entries = SPECS[name], weights.entries(name)
    lines = ["---", "orphan: true", "hide-toc: true", "---", f"# {name}", "", *_what(spec), ""]
    lines += ["```{raw} html", svg(spec), "```", ""]
    lines += [*_facts(spec, stages, plain), "", "## Load it", "", *_code(spec, entries), ""]
    lines += ["## Cost by stage", "", *_stages(stages), "", "## Weights", "", *_weights(entries), ""]
    found = traps.of(spec, entries)
    lines += ["## Known traps", "", *(f"- {text}" for text in found or ["None but [MXNet's own](../mxnet.md)."]), ""]
    return "\n".join([*lines, "[All networks](../zoo.md)", ""])


def total(stages: dict) -> tuple:
    """(parameters, MACs) of the whole network."""
    return tuple(sum(values) for values in zip(*stages.values()))


def _what(spec: Spec):
    filled = slots_of(spec)
    for slot, name in filled.items():
        record = MECHANISMS[name]
        yield f"**{name}** in the slot *{slot}*: `{record.formula}` ({record.paper})."
    if not filled:
        yield f"A plain network, without attention: `{MECHANISMS['add'].formula}`." if not spec.attention else ""
    if spec.attention:
        other = "" if spec.plain == spec.backbone else f"; compared with [{spec.plain}]({spec.plain}.md)"
        places = _places(spec.arch)
        yield f"On the backbone [{spec.backbone}]({spec.backbone}.md){places}{other}."
    yield f"Paper: {spec.paper}" + (f", where it is called {spec.label}." if spec.label else ".")


def _places(arch):
    """Where the attention stands, if not everywhere."""
    if "stages" in arch:
        return f", in stages {', '.join(map(str, arch['stages']))}"
    after = arch.get("stage_after", {})
    words = [f"{', '.join(map(str, blocks))} of stage {stage}" for stage, blocks in after.items()]
    return f", after the blocks {'; '.join(words)} (counted from 0)" if words else ""


def _facts(spec, stages, plain):
    (parameters, macs), (base, base_macs) = total(stages), total(plain)
    mean, std = (", ".join(f"{value:g}" for value in spec.preprocessing[key]) for key in ("mean", "std"))
    more = spec.name != spec.plain
    yield "| | |"
    yield "| --- | --- |"
    yield f"| parameters | {parameters:,}" + (f" ({parameters / base:.3f} of {spec.plain})" if more else "") + " |"
    yield f"| MACs | {macs:,}" + (f" ({macs / base_macs:.3f} of {spec.plain})" if more else "") + " |"
    yield f"| input | RGB, {spec.input_size} x {spec.input_size}, mean {mean}, std {std} |"
    yield f"| centre crop, interpolation | {spec.preprocessing['crop_pct']:g}, {spec.preprocessing['interpolation']} |"
    yield f"| outputs | {spec.classes} |"


def _code(spec, entries):
    loaded = next((entry for entry in entries if not entry.by_hand and entry.usual_labels), None)
    yield "```python"
    yield "import gluon_attn"
    yield ""
    if loaded:
        yield f'net = gluon_attn.get_model("{spec.name}", pretrained="{loaded.tag}")'
    else:
        yield f'net = gluon_attn.get_model("{spec.name}")'
        yield "net.initialize()"
    yield "```"
    yield ""
    yield f"On the command line: `gluon-attn info {spec.name}`."


def _stages(stages):
    parameters, macs = total(stages)
    yield "| stage | parameters | of all | MACs | of all |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for stage, (own, own_macs) in stages.items():
        yield f"| {stage} | {own:,} | {own / parameters:.1%} | {own_macs:,} | {own_macs / max(macs, 1):.1%} |"


def _weights(entries):
    if not entries:
        yield "None are known: train it, or give the path of a file."
        return
    for entry in entries:
        errors = [f"{value:g} %" for value in (entry.top1_error, entry.top5_error) if value is not None]
        yield f"### {entry.tag}"
        yield ""
        yield f"- source: {entry.source}; {entry.classes} classes of {entry.dataset}; licence: {entry.license}"
        yield f"- error: {', '.join(errors)} (top-1, top-5)" if errors else "- error: none was published"
        if entry.url:
            yield f"- address: <{entry.url}>" + (f", in it {entry.member}" if entry.member else "")
        hashed = f"{entry.hash_kind} `{entry.hash}`, verified in full" if entry.hash else "none was published"
        yield f"- hash: {hashed}"
        caveat = _note(entry)
        if caveat:
            yield f"- caveat: {caveat}"
        yield f'- `gluon_attn.get_model("{entry.model}", pretrained={"PATH" if entry.by_hand else repr(entry.tag)})`'
        yield ""


def _note(entry):
    """Its note, without the folder of whoever builds the site."""
    return "trained here, by the command beside it in params/" if entry.path else entry.note
