"""The picture of a network's block, as SVG: its slots from left to right, and in colour those that attention fills."""

from __future__ import annotations

from html import escape

from gluon_attn.catalogue.backbones import BACKBONES
from gluon_attn.catalogue.mechanism import SLOTS
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import Spec

HEIGHT, MIDDLE, BOX, GAP, LETTER = 130, 85, 34, 26, 7.4
PLAIN, FILLED, LINE = "#e8e8e8", "#f6b26b", "#666"
BODIES = {"basic": ("3x3", "3x3"), "wide": ("3x3", "3x3"), "biased": ("3x3", "3x3"), "preact": ("3x3", "3x3")}


def slots_of(spec: Spec) -> dict:
    """{slot: name} of the slots that hold a mechanism.

    >>> slots_of(SPECS["abn_se_resnet50"])
    {'gate': 'se', 'head': 'abn'}
    """
    filled = {slot: spec.arch.get(slot) for slot in SLOTS}
    return {slot: name for slot, name in filled.items() if name in MECHANISMS}


def svg(spec: Spec) -> str:
    """x -> body -> gate -> fuse -> ReLU, the shortcut above, and what stands after blocks and stages."""
    filled = slots_of(spec)
    residual = not BACKBONES[spec.backbone].slots  # densely connected, depthwise and plain networks have no sum
    parts, x = [], 40.0
    parts.append(_text(7, MIDDLE + 5, "x"))
    for label, colour in _inside(spec, filled, residual):
        x = _box(parts, x, label, colour)
    if residual:
        start, x = 30, _box(parts, x, filled.get("fuse", "+"), FILLED if "fuse" in filled else PLAIN)
        end = x - GAP - BOX / 2
        parts.append(f'<path d="M{start} {MIDDLE} V28 H{end:.0f} V{MIDDLE - BOX / 2 - 2:.0f}" class="line"/>')
        parts.append(_text((start + end) / 2, 20, "shortcut"))
        if spec.arch.get("block") != "preact":
            x = _box(parts, x, "ReLU", PLAIN)
    for slot, where in (("stage", "after stages"), ("head", "at the end")):
        if slot in filled:
            x = _box(parts, x, filled[slot], FILLED, under=where, dashed=True)
    parts.append(f'<path d="M{x - GAP:.0f} {MIDDLE} H{x - 6:.0f}" class="line"/>')
    parts.append(_text(x + 2, MIDDLE + 5, "y"))
    width = x + 14
    title = escape(f"{spec.name}: " + (", ".join(f"{slot} {name}" for slot, name in filled.items()) or "no attention"))
    style = f"<style>.line{{fill:none;stroke:{LINE};stroke-width:1.5}}text{{font:13px sans-serif}}</style>"
    return (
        f'<svg class="block" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {HEIGHT}" '
        f'style="max-width:{width:.0f}px;width:100%;background:#fff" role="img" aria-label="{title}">'
        f"<title>{title}</title>{style}{''.join(parts)}</svg>"
    )


def _inside(spec, filled, residual):
    """(label, colour) of the boxes on the residual branch."""
    if "block" in filled or spec.arch.get("block") in MECHANISMS:
        yield filled.get("block", spec.arch.get("block")) + " bottleneck", FILLED
    elif residual:
        conv = filled.get("conv", "3x3")
        colour = FILLED if "conv" in filled else PLAIN
        for layer in BODIES.get(spec.arch.get("block"), ("1x1", conv, "1x1")):
            yield layer, colour if layer == conv else PLAIN
    else:
        yield spec.family.rpartition(":")[2] + " layer", PLAIN
    if "gate" in filled:
        yield filled["gate"], FILLED


def _box(parts, x, label, colour, under="", dashed=False):
    """Draw a box with the arrow before it; returns where the next one begins."""
    width = max(BOX, LETTER * len(label) + 14)
    dash = ' stroke-dasharray="5 3"' if dashed else ""
    parts.append(f'<path d="M{x - GAP:.0f} {MIDDLE} H{x:.0f}" class="line"/>')
    parts.append(
        f'<rect x="{x:.0f}" y="{MIDDLE - BOX / 2:.0f}" width="{width:.0f}" height="{BOX}" rx="5" fill="{colour}" '
        f'stroke="{LINE}"{dash}/>'
    )
    parts.append(_text(x + width / 2, MIDDLE + 5, label))
    if under:
        parts.append(_text(x + width / 2, MIDDLE + BOX, under))
    return x + width + GAP


def _text(x, y, words):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" fill="#111">{escape(words)}</text>'
