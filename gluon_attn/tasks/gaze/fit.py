"""Gaze estimation: angles and vectors, the error in degrees, training, and leave-one-person-out evaluation.

Angles are (pitch, yaw) in radians in the normalised camera's frame, as MPIIGaze gives them: (0, 0) looks into the
camera, a positive pitch looks up, a positive yaw to the left of the image.
"""

from __future__ import annotations

import re

import mxnet as mx
import numpy as np
from mxnet import gluon

from gluon_attn.data import random_state
from gluon_attn.errors import DataError
from gluon_attn.train.build import demand_finite
from gluon_attn.weights.files import read_arrays, read_file


def to_vectors(angles):
    """(pitch, yaw) (N, 2) -> unit vectors (N, 3): (-cos p sin y, -sin p, -cos p cos y)."""
    pitch, yaw = np.asarray(angles, "float64").T
    return np.stack([-np.cos(pitch) * np.sin(yaw), -np.sin(pitch), -np.cos(pitch) * np.cos(yaw)], axis=1)


def angular_error(predicted, true):
    """The angle in degrees between the two directions of every row, (N,)."""
    a, b = to_vectors(predicted), to_vectors(true)
    # From the sine as well as the cosine: the arccosine alone loses small angles to rounding.
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(1)))


def start_from_alexnet(net, path):
    """Give the five convolutions of a FullFaceGaze those of an ImageNet AlexNet file (GluonCV's or torchvision's)."""
    arrays = read_arrays(read_file(path), str(path))
    weights = [name for name, array in arrays.items() if array.ndim == 4]
    weights.sort(key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)])  # some formats sort by letters
    ours = [name for name in net._collect_params_with_prefix() if name.startswith(("stem.", "stages.0", "stages.1"))]
    ours = [name[: -len("weight")] for name in ours if name.endswith("weight")]
    if len(weights) != len(ours):
        raise DataError(
            f"{path} has {len(weights)} convolutions, AlexNet's features {len(ours)}: give an AlexNet file."
        )
    parameters = net._collect_params_with_prefix()
    for mine, theirs in zip(ours, weights):
        for key in ("weight", "bias"):
            name, parameter = theirs[: -len("weight")] + key, parameters[mine + key]
            if name not in arrays or arrays[name].shape != parameter.shape:
                found = f"shape {arrays[name].shape}" if name in arrays else "nothing"
                raise DataError(f"{path} has {found} for {name}, AlexNet {parameter.shape}: give an AlexNet file.")
            parameter.set_data(mx.nd.array(arrays[name]))


def batches(dataset, order, batch_size):
    """(images (N, 3, H, W) normalised float32, angles (N, 2)) of the data set's items, in that order."""
    for start in range(0, len(order), batch_size):
        images, angles = zip(*(dataset[int(i)] for i in order[start : start + batch_size]))
        images = (np.stack(images).astype("float32") / 255 - np.float32(dataset.mean)) / np.float32(dataset.std)
        yield mx.nd.array(images.transpose(0, 3, 1, 2)), mx.nd.array(np.stack(angles))


def learning_rate(lr, milestones, epoch):
    """That of an epoch (from 0): lr times 0.1 for each milestone that it has reached."""
    return lr * 0.1 ** sum(epoch >= milestone for milestone in milestones)


def fit(net, dataset, *, epochs, batch_size, lr, wd=1e-4, milestones=(), seed=0, device=None):
    """SGD (Nesterov 0.9) on the L1 distance of the two angles; lr times 0.1 at the milestones (epochs, from 0).

    dataset : items (uint8 (H, W, 3) image, (pitch, yaw)). Returns the mean loss of every epoch.
    """
    trainer = gluon.Trainer(net.collect_params(), "nag", {"learning_rate": lr, "momentum": 0.9, "wd": wd})
    loss_of, history, device = gluon.loss.L1Loss(), [], device or mx.cpu()
    for epoch in range(epochs):
        trainer.set_learning_rate(learning_rate(lr, milestones, epoch))
        order, total = random_state(seed, epoch, stream="order").permutation(len(dataset)), 0.0
        for images, angles in batches(dataset, order, batch_size):
            with mx.autograd.record():
                loss = loss_of(net(images.as_in_context(device)), angles.as_in_context(device))
            loss.backward()
            trainer.step(len(angles))
            total += float(loss.sum().asscalar())
        demand_finite(net, total, epoch)
        history.append(total / len(dataset))
    return history


def evaluate(net, dataset, batch_size=32, device=None):
    """Mean angular error in degrees."""
    device, errors = device or mx.cpu(), []
    for images, angles in batches(dataset, range(len(dataset)), batch_size):
        errors.append(angular_error(net(images.as_in_context(device)).asnumpy(), angles.asnumpy()))
    return float(np.concatenate(errors).mean())


def leave_one_person_out(folds, make_net, log=print, keep=None, **options):
    """{person: mean error in degrees of a network that never saw that person}: one network a person is trained.

    folds : (person, training set, test set), as gluon_attn.data.gaze.leave_one_person_out(root) yields them
    make_net : () -> an initialised network
    keep : called with (person, error, network) as soon as they are known
    options : of `fit`
    """
    errors = {}
    for person, train, test in folds:
        net = make_net()
        fit(net, train, **options)
        errors[person] = evaluate(net, test, device=options.get("device"))
        if keep:
            keep(person, errors[person], net)
        log(f"{person}: {errors[person]:.2f} degrees")
    return errors
