"""Training in bfloat16 (MXNet's AMP, on matrix units where there are any) beside float32, and beside PyTorch's.

    GLUON_ATTN_TORCH=.venv-torch python -m benchmarks.bfloat16 --threads 2      # writes results/bfloat16.csv

A step of each network on random images; and a run from files (read, decode, pad, crop, mirror, update), of which the
second epoch counts, on JPEG files drawn for it. AMP and AMX cannot be switched off again: a process each, in turns.
PyTorch's is the same network, channels last, in bfloat16 by autocast, with as many threads (and --workers, processes
that read); without torch it is left out, and so is bfloat16 on a CPU that has none. --networks chooses; the rows of
--amx off stand beside the others.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import add_torch, options, read, show, write
from benchmarks.deploy_speed import chosen, step_of, updates_of

# network, keywords, batch, side, and whether the images come from files
TABLE = (
    ("resnet50", {}, 16, 224, False),
    ("resnext50_32x4d", {}, 16, 224, False),
    ("iaff_resnext50_32x4d", {}, 16, 224, False),
    ("cifar_aff_resnet20", {}, 64, 32, False),
    ("resnet18", {"widths": [32, 64, 128, 256]}, 128, 64, True),
)
ENGINES = ("float32", "bfloat16", "torch")
CLASSES = 10


def main(argv=None):
    given = dict(rounds=2, networks="", amx="auto", workers=1, images=6400, shrink=1, only="", engine="", folder="")
    args = options(__doc__, argv, **given)
    if args.engine:
        print(json.dumps(measured(*TABLE[int(args.only)], args)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index, (name, _, batch, size, from_files) in enumerate(TABLE):
            if chosen(name, args.networks):
                if from_files:
                    draw(Path(folder), args.images // args.shrink, size)
                turns = [(engine, _in_a_process(index, engine, folder, args)) for engine in ENGINES * args.rounds]
                what = "from files" if from_files else "step"
                rows.append(show({"network": name, "what": what, "batch": batch // args.shrink, **_row(size, turns)}))
    write("bfloat16", rows, args, unique=("network", "what", "amx"))


def _row(size, turns):
    """Of the turns (engine, what it found) the best of each engine; empty where it could not run."""
    speed = {e: max((f["images_per_second"] for engine, f in turns if engine == e and f), default=0) for e in ENGINES}
    ours, fp32, torch = (speed[engine] for engine in ("bfloat16", "float32", "torch"))
    amx = next((found["amx"] for engine, found in turns if engine == "bfloat16" and found), "")
    numbers = {
        "images_per_second": ours,
        "float32_images_per_second": fp32,
        "ratio": fp32 and ours / fp32,
        "torch_images_per_second": torch,
        "ratio_to_torch": torch and ours / torch,
    }
    return {"size": size, "amx": amx, **{key: f"{n:.2f}" if n else "" for key, n in numbers.items()}}


def _in_a_process(index, engine, folder, args):
    """What `measured` returns; None, said on the terminal, where the machine lacks something."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bfloat16", "--only", str(index), "--engine", engine]
    for name in ("threads", "clock", "amx", "workers", "shrink"):
        command += [f"--{name}", str(getattr(args, name))]
    run = subprocess.run([*command, "--folder", folder], check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout.splitlines()[-1])


def measured(name, arch, batch, size, from_files, args):
    """{'images_per_second', 'amx'} of one engine, in this process; None where it cannot run here."""
    from gluon_attn import matrix_units

    matrix_units.take(args.engine, args.amx)
    import mxnet as mx

    from gluon_attn.devices import prepare_arithmetic
    from gluon_attn.errors import GluonAttnError

    torch = add_torch() if args.engine == "torch" else None
    try:
        if args.engine != "torch":
            prepare_arithmetic(args.engine, [mx.cpu()])
        elif torch is None:
            raise GluonAttnError("There is no torch: name its environment, GLUON_ATTN_TORCH=.venv-torch.")
    except GluonAttnError as error:
        print(f"{name}, {args.engine}: {error}", file=sys.stderr)
        return None
    batch //= args.shrink
    run = {(False, False): ours, (False, True): theirs, (True, False): our_run, (True, True): their_run}
    speed = run[from_files, torch is not None](name, arch, batch, size, args, torch)
    return {"images_per_second": speed, "amx": matrix_units.words().partition(" AMX")[0]}


def _speed(step, batch, args):
    from gluon_attn.cost.timing import interleaved

    return batch / interleaved({"step": step}, rounds=3, warm_up=1, clock=args.clock)["step"].median


def ours(name, arch, batch, size, args, torch):
    import gluon_attn
    from gluon_attn.cost.jobs import training_step

    return _speed(training_step(gluon_attn.get_model(name, **arch), batch, size), batch, args)


def theirs(name, arch, batch, size, args, torch):
    import numpy as np

    images = np.random.RandomState(0).uniform(-1, 1, (batch, 3, size, size)).astype("float32")
    return _speed(step_of(torch, twin(torch, name, arch, size), images, bfloat16=True), batch, args)


def twin(torch, name, arch, size):
    """The network as a module of PyTorch, channels last, on as many threads as MXNet has."""
    import mxnet as mx

    import gluon_attn
    from gluon_attn import deploy, threads

    torch.set_num_threads(threads.taken())
    net = gluon_attn.get_model(name, **arch)
    net.initialize()
    net(mx.nd.zeros((1, 3, size, size)))
    return deploy.to_torch(net).to(memory_format=torch.channels_last)


def our_run(name, arch, batch, size, args, torch):
    from gluon_attn.train import Recipe, fit

    with tempfile.TemporaryDirectory() as output:
        settings = dict(dataset="folder", data_root=args.folder, image_size=size, crop="pad", flip="on", epochs=2)
        settings.update(batch_size=batch, lr=1e-3, eval_every=2, workers=args.workers, output=output)
        fit(Recipe(model=name, arch=arch, dtype=args.engine, amx=args.amx, **settings), progress=False)
        return float(read(Path(output) / "history.csv")[-1]["images_per_second"])


def their_run(name, arch, batch, size, args, torch):
    update = updates_of(torch, twin(torch, name, {**arch, "classes": CLASSES}, size), bfloat16=True)
    pictures = Pictures(Path(args.folder) / "train", padding=size // 8)
    loader = torch.utils.data.DataLoader(
        pictures, batch, shuffle=True, num_workers=args.workers, persistent_workers=args.workers > 0
    )
    for _ in range(2):
        start = time.perf_counter()
        for x, labels in loader:
            update(x.to(memory_format=torch.channels_last), labels)
    return len(pictures) / (time.perf_counter() - start)


class Pictures:
    """What PyTorch reads: (3, H, W) float32 and a label; padded, cropped, mirrored, normalised."""

    def __init__(self, folder, padding):
        self.paths, self.padding = sorted(folder.glob("*/*.jpg")), padding

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        import numpy as np
        from PIL import Image

        x, pad = np.asarray(Image.open(self.paths[index]).convert("RGB"), "float32") / 255, self.padding
        top, left, mirrored = (np.random.randint(n) for n in (2 * pad + 1, 2 * pad + 1, 2))
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))[top : top + x.shape[0], left : left + x.shape[1]]
        x = (x[:, ::-1] if mirrored else x) - 0.45
        return np.ascontiguousarray(x.transpose(2, 0, 1) / 0.22, "float32"), int(self.paths[index].parent.name)


def draw(folder, images, size):
    """JPEG files of noise that a photograph's file is as large as: train/CLASS/*.jpg, and a few in val."""
    import numpy as np
    from PIL import Image

    rng = np.random.RandomState(0)
    for split, count in (("train", images), ("val", CLASSES)):
        for number in range(count):
            path = folder / split / str(number % CLASSES) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.randint(0, 256, (size // 4, size // 4, 3), dtype="uint8"))
            coarse.resize((size, size), Image.BICUBIC).save(path, quality=90)


if __name__ == "__main__":
    main()
