"""Boxes of detectors: overlap, suppression, matching, coding, as MXNet's operators mean them.

A box is (left, top, right, bottom), 'corner', or (x, y, width, height), 'center'. Only `box_nms` has a gradient; that
of the others is 0, as in MXNet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.numbers import only, several

_BLOCK = 512  # boxes that are compared with all others at once
_FORMATS = ("corner", "center")


def _corners(boxes, format):
    if format == "corner":
        return boxes
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([middle - half, middle + half], -1)


def _areas(boxes, format):
    """0 where a side is negative."""
    sides = boxes[..., 2:] - boxes[..., :2] if format == "corner" else boxes[..., 2:]
    return torch.where((sides < 0).any(-1), torch.zeros_like(sides[..., 0]), sides[..., 0] * sides[..., 1])


def _common_and_union(left, right, format):
    """Areas of what boxes (N, 4) share with boxes (M, 4), and of what either covers: (N, M) each."""
    a, b = _corners(left, format)[:, None], _corners(right, format)[None]
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    return common, _areas(left, format)[:, None] + _areas(right, format)[None] - common


@only(format=_FORMATS)
def box_iou(left, right, format="corner"):
    """What each box shares with each other one, of what both cover: the axes of `left`, then those of `right`."""
    common, union = _common_and_union(left.detach().reshape(-1, 4), right.detach().reshape(-1, 4), format)
    shares = torch.where(common > 0, common / union, torch.zeros_like(common))
    return shares.reshape(*left.shape[:-1], *right.shape[:-1])


# --- suppression ---------------------------------------------------------------------------------------------------


@only(in_format=_FORMATS, out_format=_FORMATS)
def box_nms(
    x,
    overlap_thresh=0.5,
    valid_thresh=0.0,
    topk=-1,
    coord_start=2,
    score_index=1,
    id_index=-1,
    background_id=-1,
    force_suppress=False,
    in_format="corner",
    out_format="corner",
):
    """Rows (..., boxes, values) by falling score without those that share too much with a better one of their class.

    Rows that are left out are -1, after all others. `topk=0` changes nothing. The gradient goes where a row came from,
    and through the change of format, which MXNet's leaves out.
    """
    limit = x.shape[-2] if topk < 0 else min(topk, x.shape[-2])
    if limit < 1:
        return x
    images = []
    for rows in x.reshape(-1, *x.shape[-2:]):
        with torch.no_grad():
            scores, valid = rows[:, score_index], rows[:, score_index] > valid_thresh
            if id_index >= 0:
                valid = valid & (rows[:, id_index] != background_id)
            candidates = valid.nonzero().squeeze(1)
            best = candidates[scores[candidates].argsort(descending=True, stable=True)][:limit]
            boxes = rows[best, coord_start : coord_start + 4]
            classes = None if force_suppress or id_index < 0 else rows[best, id_index].int()
            best = best[_survivors(boxes, classes, overlap_thresh, in_format)]
        images.append(F.pad(rows[best], (0, 0, 0, len(rows) - len(best)), value=-1.0))
    found = torch.stack(images).reshape(x.shape)
    return found if in_format == out_format else _converted(found, coord_start, out_format)


def _survivors(boxes, classes, threshold, format):
    """Which of the boxes, the best first, share at most `threshold` with every better one that survives."""
    alive = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(boxes), _BLOCK):
        end = min(start + _BLOCK, len(boxes))
        common, union = _common_and_union(boxes[start:end], boxes[start:], format)
        over = common / union > threshold
        if classes is not None:
            over &= classes[start:end, None] == classes[None, start:]
        among = over[:, : end - start].triu(1)
        before, now = None, alive[start:end]
        while before is None or not torch.equal(before, now):  # after n turns the first n boxes are decided
            before, now = now, alive[start:end] & ~(among & now[:, None]).any(0)
        alive[start:end] = now
        alive[end:] &= ~(over[:, end - start :] & now[:, None]).any(0)
    return alive


def _converted(x, start, format):
    """The boxes in the other format; those whose first number is negative stay as they are in MXNet, and so here."""
    boxes = x[..., start : start + 4]
    if format == "corner":
        other = _corners(boxes, "center")
    else:
        first, last = boxes[..., :2], boxes[..., 2:]
        other = torch.cat([(first + last) / 2, last - first], -1)
    other = torch.where(boxes[..., :1] < 0, boxes, other)
    return torch.cat([x[..., :start], other, x[..., start + 4 :]], -1)


# --- matching and coding -------------------------------------------------------------------------------------------


@several
def bipartite_matching(x, threshold, is_ascend=False, topk=-1):
    """(column of each row, row of each column) of scores (..., rows, columns), the best pairs first; -1 is none.

    A score not better than `threshold` matches nothing. A `topk` above 0 allows topk + 1 pairs, as in MXNet.
    """
    rows, columns = x.shape[-2:]
    scores = x.detach().reshape(-1, rows * columns)
    scores = (-scores if is_ascend else scores).clone()
    limit, lowest = (-threshold if is_ascend else threshold), -torch.inf
    of_rows, of_columns = x.new_full((len(scores), rows), -1.0), x.new_full((len(scores), columns), -1.0)
    image = torch.arange(len(scores), device=x.device)
    for _ in range(min(rows, columns, topk + 1 if topk > 0 else rows)):
        place = scores.argmax(1)
        row, column = place // columns, place % columns
        good = scores[image, place] > limit
        of_rows[image, row] = torch.where(good, column.to(x.dtype), of_rows[image, row])
        of_columns[image, column] = torch.where(good, row.to(x.dtype), of_columns[image, column])
        table = scores.reshape(-1, rows, columns)
        table[image, row], table[image, :, column] = lowest, lowest
    return of_rows.reshape(x.shape[:-1]), of_columns.reshape(*x.shape[:-2], columns)


@several
def box_encode(samples, matches, anchors, refs, means, stds):
    """(targets, mask): how each anchor's box, 'corner', becomes that of refs[matches]; 0 where samples is not 1."""
    match = matches.detach().long().clamp(0, refs.shape[1] - 1)
    wanted = refs.detach().gather(1, match.unsqueeze(-1).expand(-1, -1, 4))
    anchors = anchors.detach()
    sides, wanted_sides = anchors[..., 2:] - anchors[..., :2], wanted[..., 2:] - wanted[..., :2]
    shift = (wanted[..., :2] + wanted_sides * 0.5 - (anchors[..., :2] + sides * 0.5)) / sides
    targets = (torch.cat([shift, (wanted_sides / sides).log()], -1) - means.detach()) / stds.detach()
    positive = (samples.detach() > 0.5).unsqueeze(-1).expand_as(targets)
    return torch.where(positive, targets, torch.zeros_like(targets)), positive.to(targets.dtype)


@only(format=_FORMATS)
def box_decode(x, anchors, std0=1.0, std1=1.0, std2=1.0, std3=1.0, clip=-1.0, format="center"):
    """Boxes, 'corner', of what is predicted (N, boxes, 4) for anchors (1, boxes, 4) in `format`."""
    x, anchors = x.detach(), anchors.detach()
    middle, sides = anchors[..., :2], anchors[..., 2:]
    if format == "corner":
        sides = sides - middle
        middle = middle + sides * 0.5
    scale = x.new_tensor([std0, std1, std2, std3])
    logs = x[..., 2:] * scale[2:]
    half = (logs.clamp(max=clip) if clip > 0 else logs).exp() * sides * 0.5
    middle = x[..., :2] * scale[:2] * sides + middle
    return torch.cat([middle - half, middle + half], -1)


OPERATORS = {
    "_contrib_bipartite_matching": bipartite_matching,
    "_contrib_box_decode": box_decode,
    "_contrib_box_encode": box_encode,
    "_contrib_box_iou": box_iou,
    "_contrib_box_nms": box_nms,
}
