"""What train_gaze.py does: leave-one-person-out on MPIIFaceGaze, one network a person left out."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import DataError, GluonAttnError, unknown
from gluon_attn.parser import Parser, exit_status, number


def main(argv=None):
    """Parse, train, write OUTPUT/errors.json; the exit status: 0, or 2 with one sentence for a user's mistake."""
    return exit_status("train_gaze.py", lambda: _train(_parse(argv)))


@mxnet_explained()
def _train(args):
    if args.dry_run:
        print(plan(args))
        return
    errors = run(args)
    print(f"mean of {len(errors)}: {sum(errors.values()) / len(errors):.2f} degrees")


def _parse(argv):
    parser = Parser(
        prog="train_gaze.py",
        description="Leave-one-person-out on MPIIFaceGaze: python train_gaze.py --data-root FOLDER. People whose error "
        "is in --output already are not trained again: the same command goes on where it was interrupted.",
    )
    add, count, from_0 = parser.add_option, number(least=1), number(least=0)
    parser.add_argument("--data-root", required=True, metavar="DIR", help="folder of the p*.mat files")
    parser.add_argument(
        "--people", nargs="*", metavar="P", help="leave out these alone, as in p00 p07; by default everybody in turn"
    )
    parser.add_argument(
        "--alexnet",
        metavar="FILE",
        help="start from this file of ImageNet AlexNet weights (GluonCV's or torchvision's); by default random ones",
    )
    add("--epochs", 15, "passes over the training faces", type=count, metavar="N")
    add(
        "--milestones",
        [10, 13],
        "epochs, from 0, at which the learning rate drops to a tenth",
        type=from_0,
        nargs="*",
        metavar="N",
    )
    add("--batch-size", 32, "faces an update", type=count, metavar="N")
    add("--lr", 0.01, "learning rate of the first epoch", type=number(float, above=0), metavar="X")
    add("--seed", 0, "of the initial weights and of the order of the faces", type=from_0, metavar="N")
    parser.add_argument("--device", default="", help="cpu:0 or gpu:0; by default a GPU, else the CPU")
    add("--output", Path("runs/gaze"), "folder of errors.json", type=Path, metavar="DIR")
    parser.add_argument(
        "--save-networks", action="store_true", help="keep each network as OUTPUT/pNN.params, of 0.8 GB (default: none)"
    )
    parser.add_argument("--dry-run", action="store_true", help="build everything, print the plan, train nothing")
    return parser.parse_args(argv)


def plan(args):
    """The plan as text: mistakes are refused as `run` refuses them, and what is missing, or taken, is reported."""
    from gluon_attn.complexity import check_size, complexity
    from gluon_attn.data.gaze import PEOPLE
    from gluon_attn.tasks.gaze import fit as gaze
    from gluon_attn.zoo import find, get_model

    net, size, updates = get_model("fullface_gaze"), find("fullface_gaze").input_size, "as yet unknown"
    device, notes = _device_or_why_not(args), _alexnet_or_why_not(net, args)
    try:
        faces, people = _faces(args)
        _, train, _ = next(_folds(args, people))
        size, updates = faces.image_size, -(-len(train) // args.batch_size)
        data = f"{len(faces)} faces of {len(faces.people)} people; left out in turn: {' '.join(people)}"
        check_size(net, size)
        notes += _there(args, faces, people) if not notes else []
    except (DataError, OSError) as error:
        _refuse_unknown(args.people, PEOPLE)
        data = f"MISSING: {error}"
    cost = complexity(net, size)
    points = {"start": 0, "middle": args.epochs // 2, "end": args.epochs - 1}
    rates = (f"{name} {gaze.learning_rate(args.lr, args.milestones, epoch):.4g}" for name, epoch in points.items())
    lines = [
        f"model     fullface_gaze: {cost.parameters:,} parameters, {cost.macs / 1e6:,.1f} M MACs at {size}x{size}",
        f"data      {data}",
        f"schedule  {args.epochs} epochs of {updates} updates of {args.batch_size}; learning rate {', '.join(rates)}",
        f"run       on {device}, seed {args.seed}, into {args.output}",
        *notes,
    ]
    return "\n".join(lines)


def run(args):
    """{person: error in degrees} of everybody whose error the folder then has."""
    from gluon_attn.tasks.gaze import fit as gaze
    from gluon_attn.tasks.gaze.results import Results
    from gluon_attn.train.folder import claimed, refuse_another_run

    device = _device(args)
    faces, people = _faces(args)
    refuse_another_run(args.output, resume="")
    with claimed(args.output):
        results = Results(args.output, _settings(args, faces), args.save_networks)
        for person in filter(results.has, people):
            print(f"{person}: {results.errors[person]:.2f} degrees, in {args.output} already: not trained again")
        options = dict(epochs=args.epochs, milestones=args.milestones, batch_size=args.batch_size, lr=args.lr)
        options.update(seed=args.seed, device=device, log=results.log, keep=results.add)
        folds = _folds(args, [person for person in people if not results.has(person)])
        gaze.leave_one_person_out(folds, lambda: network(args, device), **options)
    return results.errors


def _device(args):
    from gluon_attn.devices import parse_devices

    devices = parse_devices(args.device)
    if args.device and len(devices) > 1:
        raise GluonAttnError(f"--device {args.device} names {len(devices)}: gaze is trained on one, as in gpu:0.")
    return devices[0]


def _faces(args):
    """(everybody's faces, the people to leave out)."""
    from gluon_attn.data.gaze import GazeDataset, people_in

    present = people_in(args.data_root)
    _refuse_unknown(args.people, present)
    return GazeDataset(Path(args.data_root).expanduser(), present), args.people or present


def _refuse_unknown(people, present):
    for person in people or ():
        if person not in present:
            raise unknown("person in --people", person, present)


def _folds(args, people):
    from gluon_attn.data.gaze import leave_one_person_out

    return (fold for fold in leave_one_person_out(args.data_root) if fold[0] in people)


def _settings(args, faces):
    """What an error depends on; files by what they hold, wherever they lie."""
    from gluon_attn.weights.files import read_file

    alexnet = hashlib.sha256(read_file(args.alexnet)).hexdigest() if args.alexnet else ""
    said = {name: getattr(args, name) for name in ("epochs", "milestones", "batch_size", "lr", "seed")}
    return {**said, "alexnet": alexnet, "data_root": faces.identity()}


def network(args, device):
    """The network before training: seeded random weights, and AlexNet's convolutions where a file of them is given."""
    import mxnet as mx

    from gluon_attn.tasks.gaze import fit as gaze
    from gluon_attn.zoo import get_model

    mx.random.seed(args.seed)
    net = get_model("fullface_gaze")
    net.initialize(mx.init.MSRAPrelu(), ctx=device)
    if args.alexnet:
        gaze.start_from_alexnet(net, args.alexnet)
    net.hybridize(static_alloc=True)
    return net


def _device_or_why_not(args):
    from gluon_attn.devices import parse_devices

    try:
        parse_devices(args.device)
    except GluonAttnError as error:
        return f"{args.device} (MISSING: {error})"
    return _device(args)


def _alexnet_or_why_not(net, args):
    """The plan's line for a file that the network cannot start from."""
    from gluon_attn.tasks.gaze import fit as gaze

    try:
        if args.alexnet:
            for part in (net.stem, net.stages):  # the rest of the network is 0.8 GB of random numbers
                part.initialize()
            gaze.start_from_alexnet(net, args.alexnet)
    except (GluonAttnError, OSError) as error:
        return [f"weights   MISSING: {error}"]
    return []


def _there(args, faces, people):
    """The plan's lines for what is in the folder already."""
    from gluon_attn.tasks.gaze.results import Results

    try:
        results = Results(args.output, _settings(args, faces), args.save_networks)
    except GluonAttnError as error:
        return [f"output    TAKEN: {error}"]
    known = list(filter(results.has, people))
    return [f"output    has {' '.join(known)} already: not trained again"] if known else []
