"""A file of weights as {name: numpy array}; the form is told by its first bytes, never by its name.

Nothing is unpickled: .params and .safetensors hold plain arrays, and PyTorch's files are read by torch_file.py.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from gluon_attn import cpu
from gluon_attn.errors import WeightsError
from gluon_attn.files import replacing
from gluon_attn.weights.archive import LARGEST, Archive
from gluon_attn.weights.container import LIST_MAGIC, read_params
from gluon_attn.weights.torch_file import read_torch


def read_file(path, member=None, elements=None):
    """The bytes of a file of weights; of an archive's `member`, by default its only .params. Nothing is extracted.

    elements : how many numbers the network has, where it is known. A file of weights has at most 16 bytes for each
        (those of Adam and two copies among them) and 64 MiB for a head that will not be used; larger ones are not read.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"{path} is not a file: give the path of a .params, .safetensors or .pth file.")
    size, most = path.stat().st_size, LARGEST if elements is None else min(LARGEST, 16 * elements + (64 << 20))
    if size > most:
        what = "files of weights" if elements is None else "weights of this network"
        raise WeightsError(f"{path} has {size} bytes; {what} have at most {most}. It was not read.")
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with Archive(path, path) as archive:
        member = member or _only_params(archive)
        if member is not None:
            return archive.read(member, 0 if elements is None else 8 * elements + (1 << 20))
    return path.read_bytes()


def _only_params(archive):
    """The .params member of an archive as it was published; None for PyTorch's files, archives too, without one."""
    members = [name for name in archive.names if name.endswith(".params")]
    if len(members) > 1:
        raise WeightsError(
            f"{archive.where} holds {len(members)} files of weights ({members[:3]}): unpack one of them."
        )
    return members[0] if members else None


def read_arrays(data, where="the file"):
    """{name: numpy array} from the bytes of a .params, .safetensors or PyTorch file; `where` is named in errors."""
    head = data[:16]
    if head[:8] == LIST_MAGIC.to_bytes(8, "little"):
        return read_params(data, where)
    if head[:2] in (b"PK", b"\x80\x02"):
        return read_torch(data, where)
    if head[8:9] == b"{":
        return _read_safetensors(data, where)
    if head[:1] == b"\x80":
        raise WeightsError(f"{where} is a Python pickle, which can run any program when it is opened: it was not.")
    raise WeightsError(f"{where} is no MXNet .params, .safetensors or PyTorch file (it begins with {bytes(head)!r}).")


def write_parameters(path, net):
    """`net.save_parameters`, whole or not at all, and to the bit where all devices hold the same."""
    import mxnet as mx

    values = values_of(net)
    write_checked(path, lambda name: mx.nd.save(name, values))


def values_of(net):
    """{name: array on the CPU} of a network, the mean over its devices where they differ: running statistics do."""
    import mxnet as mx

    cpu.finish_relaying()
    parameters = net._collect_params_with_prefix()
    for name, parameter in parameters.items():
        if parameter._data is None:
            raise WeightsError(f"{name} has no values: load weights, or call net.initialize(), before saving.")
    return {name: _value(parameter, mx.cpu()) for name, parameter in parameters.items()}


def _value(parameter, ctx):
    """Its array on the CPU. Gluon takes the mean over devices, which for three equal numbers may be another one."""
    copies = [copy.as_in_context(ctx) for copy in parameter.list_data()]
    same = all((copy == copies[0]).min().asscalar() for copy in copies[1:])
    return copies[0] if same else sum(copies[1:], copies[0]) / len(copies)


def write_checked(path, save):
    """`save(a name)`, read back before it replaces `path`: MXNet may not notice that the disk was full."""
    with replacing(path) as temporary:
        try:
            save(str(temporary))
            read_arrays(temporary.read_bytes(), where=str(temporary))
        except OSError:
            raise
        except Exception as error:  # MXNetError and WeightsError, neither of which says why
            raise OSError("it could not be written whole: is the disk full?") from error


def _read_safetensors(data, where):
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise WeightsError(f"{where} is a .safetensors file: `pip install safetensors` to read it.") from None
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OverflowError) as problem:
        raise WeightsError(f"{where} is a damaged .safetensors file or of a type numpy lacks ({problem!r}).") from None
