"""Do attentions look at the object? Maps of the networks in params/tiny-imagenet against the true boxes.

    python -m benchmarks.photographs_maps --data-root $TINY      # results/photographs_maps.csv, photographs_gates.csv
    python -m benchmarks.photographs_maps --data-root $TINY --only cbam_resnet18     # the others' rows stay

On 1,000 official validation photographs (the first five of each class) the measures of `explain.score` for Grad-CAM,
Grad-CAM++ and the mechanisms' own maps. Two baselines make them honest: the centre of the picture, as a map that is the
same for every photograph, and the plain network of the first seed. Both are compared photograph by photograph, so that
a gap has a standard error of its own; other seeds have rows of their own: the plain network's gap to itself is what
training alone makes. The gates' second table asks whether what a gate takes away lies outside the box.

A network takes minutes: what was measured of its weights is kept in runs/photographs_maps, photograph by photograph,
and not measured again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT, options, show, write
from benchmarks.photographs import DATASET, PLAIN, asked
from gluon_attn.files import replacing

METHODS = ("gradcam", "gradcam_pp", "attention")
MEASURES = ("pointing", "energy", "deletion", "insertion", "similarity")
WEAKEST = 0.25  # share of the places that count as suppressed
BATCH = 50
KEPT = ROOT / "runs" / "photographs_maps"


def main(argv=None):
    args = options(__doc__, argv, data_root="", only="", images=1000, stage="")
    photographs = Photographs(args.data_root or None, args.images)
    rows, gates, reference = [], [], None
    wanted, beside = asked(args.only)
    reported = {label for label, _ in named(wanted)}
    for label, entry in named(beside):  # the first run of the plain network is the first
        if label not in {PLAIN, *reported}:
            continue
        values = {method: kept(entry, photographs, method, args.stage) for method in ("centre", *METHODS)}
        reference = values if label == PLAIN else reference
        if label not in reported:
            continue
        for method, found in values.items():
            if found is not None:
                of_plain = None if method == "centre" else (reference or {}).get(method)
                rows.append(show(row_of(label, method, found, values["centre"], of_plain)))
        gates += [show({"network": label, **row}) for row in gate_rows(loaded(entry), photographs)]
    for name, table, place in (("photographs_maps", rows, "method"), ("photographs_gates", gates, "stage")):
        if table:
            write(name, table, args, unique=("network", place) if args.only else ())
    return rows, gates


def named(groups):
    """(label, entry) of every run; of those after the first of a network with its seed: 'resnet18 seed 1'."""
    for label, runs in groups.items():
        for number, (entry, metrics) in enumerate(runs):
            yield (f"{label} seed {metrics['seed']}" if number else label), entry


class Photographs:
    """The first few test images of every class, as many of each: `x` (N, 3, H, W) numpy, `labels`, `boxes`."""

    def __init__(self, root, images):
        from gluon_attn import data

        test = data.get_dataset(DATASET, "test", root=root)
        each = max(1, images // len(test.classes))
        chosen = [np.flatnonzero(test.labels == label)[:each] for label in range(len(test.classes))]
        indices = np.sort(np.concatenate(chosen)).tolist()
        transform = data.eval_transform(test.image_size, test.mean, test.std)
        self.x = np.stack([transform(test.sample(index)[0]) for index in indices])
        self.labels, self.boxes = test.labels[indices], np.array([test.box(index) for index in indices])

    def __len__(self):
        return len(self.labels)

    def batches(self):
        """(x as NDArray, labels, boxes) of a few at a time."""
        import mxnet as mx

        for start in range(0, len(self), BATCH):
            part = slice(start, start + BATCH)
            yield mx.nd.array(self.x[part]), self.labels[part], self.boxes[part]


def loaded(entry):
    """The stored network, not hybridized: its gates are looked at."""
    from gluon_attn import zoo

    return zoo.get_model(entry.model, pretrained=entry.tag)


def centre(net, x, target=None):
    """(N, H, W): 1 in the middle of the picture, falling to 0 in its corners; the same for every picture."""
    count, _, height, width = x.shape
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((rows - (height - 1) / 2) / height, (columns - (width - 1) / 2) / width)
    return np.repeat((1 - distance / distance.max())[None].astype("float32"), count, axis=0)


def kept(entry, photographs, method, stage=""):
    """As `measured`, from the file of a run before where there is one of these weights and photographs."""
    measured_on = hashlib.sha256(Path(entry.path).read_bytes())
    for array in (photographs.x, photographs.boxes):
        measured_on.update(np.ascontiguousarray(array))
    path = KEPT / f"{'-'.join([entry.model, method, *filter(None, [stage]), measured_on.hexdigest()[:12]])}.npz"
    if path.is_file():
        with np.load(path) as arrays:
            return dict(arrays) or None
    found = measured(loaded(entry), photographs, method, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **(found or {}))
    return found


def measured(net, photographs, method, stage=""):
    """{measure: (N,)} of a method, explaining the true class; None where the network has no such map."""
    from gluon_attn.explain.methods import NoPlane, method_named
    from gluon_attn.explain.score import score

    compute = centre if method == "centre" else method_named(method, stage or None)
    parts = []
    for x, labels, boxes in photographs.batches():
        try:
            parts.append(score(net, x, labels, boxes, compute))
        except NoPlane:
            return None
    return {measure: np.concatenate([part[measure] for part in parts]) for measure in MEASURES}


def row_of(label, method, found, of_centre, of_plain):
    """Means over the photographs, and gaps to the two baselines with their standard errors ('3.1 +- 0.4' in text)."""
    row = {"network": label, "method": method, "images": len(found["pointing"])}
    for measure in MEASURES:
        row[measure] = f"{found[measure].mean():.4f}"
        baselines = {"centre": None if measure == "similarity" else of_centre, "plain": of_plain}
        for name, baseline in baselines.items():
            gap = None if baseline is None else found[measure] - baseline[measure]
            row[f"{measure}_over_{name}"] = "" if gap is None else f"{gap.mean():.4f}"
            row[f"{measure}_over_{name}_error"] = "" if gap is None else f"{standard_error(gap):.4f}"
    return row


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0


def gate_rows(net, photographs):
    """One row a stage with gates: where they take activation away.

    At a place (h, w), a gate y = gate(x) keeps the share sum_c |y| / sum_c |x|; this is defined alike for weights of
    channels (SE) and of places (CBAM).

    outside : share of the quarter of the picture where least is kept that lies outside of the box
    removed_outside : share of all that is taken away, sum_c |x| - |y|, that lies outside
    present_outside : share of the activation itself, sum_c |x|, that lies outside: what a gate without aim removes
    chance : the share of the picture that lies outside
    """
    sums = {}
    with watched(net) as seen:
        for x, _, boxes in photographs.batches():
            net(x).wait_to_read()
            for stage, kept, removed, present in shares(seen):
                sums.setdefault(stage, []).append(outside(kept, removed, present, boxes, x.shape[2:]))
            seen.clear()
    rows = []
    for stage in sorted(sums):
        values = {key: np.concatenate([part[key] for part in sums[stage]]) for key in sums[stage][0]}
        aim = values["removed_outside"] - values["present_outside"]
        rows.append(
            {
                "stage": stage,
                "images": len(aim),
                **{key: f"{value.mean():.4f}" for key, value in values.items()},
                "outside_over_chance_error": f"{standard_error(values['outside'] - values['chance']):.4f}",
                "removed_over_present": f"{aim.mean():.4f}",
                "removed_over_present_error": f"{standard_error(aim):.4f}",
            }
        )
    return rows


class watched:
    """Within it, every call of a gate in `net` appends (stage, x, y) to the list that it gives."""

    def __init__(self, net):
        from gluon_attn.attention.plain import Identity

        self.gates = [
            (number, block.gate)
            for number, stage in enumerate(net.stages, start=1)
            for block in stage
            if hasattr(block, "gate") and not isinstance(block.gate, Identity)
        ]

    def __enter__(self):
        self.seen = []
        self.handles = [gate.register_forward_hook(self._hook(number)) for number, gate in self.gates]
        return self.seen

    def _hook(self, number):
        return lambda block, inputs, output: self.seen.append((number, inputs[0], output))

    def __exit__(self, *_):
        for handle in self.handles:
            handle.detach()


def shares(seen):
    """(stage, kept, removed, present), each (N, h, w), of the last block of every stage that was seen."""
    last = {stage: (x, y) for stage, x, y in seen}
    for stage, (x, y) in last.items():
        present, left = (array.abs().sum(axis=1).asnumpy() for array in (x, y))
        yield stage, left / np.maximum(present, 1e-12), present - left, present


def outside(kept, removed, present, boxes, size):
    """{word: (N,)} for maps (N, h, w) at the size of the picture; see `gate_rows`."""
    from gluon_attn.explain.cam import enlarge
    from gluon_attn.explain.score import chance, energy, inside

    flat = enlarge(kept, size).reshape(len(kept), -1)
    count = round(WEAKEST * flat.shape[1])
    weakest = np.argsort(flat, axis=1, kind="stable")[:, :count]
    within = inside(boxes, size).reshape(len(kept), -1)
    return {
        "outside": 1 - np.take_along_axis(within, weakest, axis=1).mean(axis=1),
        "chance": 1 - chance(boxes, size),
        "removed_outside": 1 - energy(enlarge(np.maximum(removed, 0), size), boxes),
        "present_outside": 1 - energy(enlarge(present, size), boxes),
    }


if __name__ == "__main__":
    main()
