"""What train_gaze.py does: leave-one-person-out on MPIIFaceGaze, one network a person left out."""

from __future__ import annotations

import json
from pathlib import Path

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.files import write_text
from gluon_attn.parser import Parser, exit_status, number


def main(argv=None):
    """Parse, train, write OUTPUT/errors.json; the exit status: 0, or 2 with one sentence for a user's mistake."""
    return exit_status("train_gaze.py", lambda: _train(_parse(argv)))


def _train(args):
    if args.dry_run:
        for path in filter(None, (args.data_root, args.alexnet)):
            print(f"model fullface_gaze; {path}: {'there' if Path(path).exists() else 'MISSING'}")
        return
    errors = run(args)
    mean = sum(errors.values()) / len(errors)
    print(f"mean of {len(errors)}: {mean:.2f} degrees")
    write_text(args.output / "errors.json", json.dumps({"mean": mean, **errors}, indent=2) + "\n")


def _parse(argv):
    parser = Parser(
        prog="train_gaze.py",
        description="Leave-one-person-out on MPIIFaceGaze: python train_gaze.py --data-root FOLDER",
    )
    parser.add_argument("--data-root", required=True, help="folder of the p*.mat files")
    parser.add_argument(
        "--people", nargs="*", help="leave out these alone, as in p00 p07; by default everybody in turn"
    )
    parser.add_argument(
        "--alexnet", help="start from this file of ImageNet AlexNet weights (GluonCV's or torchvision's)"
    )
    parser.add_argument("--epochs", type=number(least=1), default=15)
    parser.add_argument("--milestones", type=number(least=0), nargs="*", default=[10, 13])
    parser.add_argument("--batch-size", type=number(least=1), default=32)
    parser.add_argument("--lr", type=number(float, above=0), default=0.01)
    parser.add_argument("--seed", type=number(least=0), default=0)
    parser.add_argument("--device", default="", help="cpu:0 or gpu:0; by default a GPU, else the CPU")
    parser.add_argument("--output", type=Path, default=Path("runs/gaze"))
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained, and what is missing")
    return parser.parse_args(argv)


@mxnet_explained()
def run(args):
    """{person: error in degrees}."""
    from gluon_attn.data.gaze import leave_one_person_out, people_in
    from gluon_attn.devices import parse_devices
    from gluon_attn.tasks.gaze import fit as gaze

    devices = parse_devices(args.device)
    if args.device and len(devices) > 1:
        raise GluonAttnError(f"--device {args.device} names {len(devices)}: gaze is trained on one, as in gpu:0.")
    device = devices[0]
    folds = leave_one_person_out(args.data_root)
    if args.people:
        present = people_in(args.data_root)
        for person in args.people:
            if person not in present:
                raise unknown("person in --people", person, present)
        folds = (fold for fold in folds if fold[0] in args.people)
    options = dict(epochs=args.epochs, milestones=args.milestones, batch_size=args.batch_size, lr=args.lr)
    return gaze.leave_one_person_out(folds, lambda: network(args, device), seed=args.seed, device=device, **options)


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
