"""`gluon-attn info NAME`: what a network costs and expects, and its weights."""

from __future__ import annotations


def add_arguments(parser):
    parser.add_argument("model", metavar="NAME", help="a name of `gluon-attn list`")


def run(args):
    from gluon_attn import zoo
    from gluon_attn.commands.list import weights_table

    info = zoo.model_info(args.model)
    print(f"{info.name} ({info.paper}" + (f", which calls it {info.label})" if info.label else ")"))
    print(f"  parameters  {info.parameters / 1e6:.3f} M")
    print(f"  MACs        {info.macs / 1e9:.3f} G at {info.input_size} x {info.input_size}")
    print(f"  input       RGB, mean {_numbers(info.mean)}, std {_numbers(info.std)}, centre crop {info.crop:g}")
    for line in _stages(info):
        print(f"    {line}")
    if not info.weights:
        print("  weights     none known")
        return
    print("  weights")
    for line in weights_table([info.name]):
        print(f"    {line}")
    for entry in info.weights:
        for text in filter(None, (entry.url, entry.note)):
            print(f"    {entry.tag}: {text}")


def _stages(info):
    """What each stage adds, for one image; memory as in complexity.Complexity."""
    yield f"{'':8} {'parameters':>10} {'MACs':>9} {'activations':>11} {'training':>9} {'peak':>9}"
    for name, cost in info.stages.items():
        yield (
            f"{name:8} {cost.parameters / 1e6:8.3f} M {cost.macs / 1e9:7.3f} G {cost.activations / 1e6:9.3f} M "
            f"{cost.training_bytes / 2**20:5.1f} MiB {cost.peak_bytes / 2**20:5.1f} MiB"
        )


def _numbers(values):
    return ", ".join(f"{value:g}" for value in values)
