"""A file of weights as {name: numpy array}; the form is told by its first bytes, never by its name.

Nothing is unpickled: .params and .safetensors hold plain arrays, and PyTorch's files go only through torch's own
weights_only reader, where torch is installed.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from gluon_attn.errors import WeightsError
from gluon_attn.files import replacing
from gluon_attn.weights.container import LIST_MAGIC, read_params

LARGEST = 2 << 30  # bytes; no network here comes near it
SAFE_TORCH = (2, 6)  # before it, weights_only could be made to run code (CVE-2025-32434)


def read_file(path, member=None):
    """The bytes of a file of weights; of an archive's `member`, by default its only .params. Nothing is extracted."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"{path} is not a file: give the path of a .params, .safetensors or .pth file.")
    size = path.stat().st_size
    if size > LARGEST:
        raise WeightsError(f"{path} has {size} bytes; files of weights have at most {LARGEST}.")
    member = member or _only_params(path)
    if member is None or not zipfile.is_zipfile(path):
        return path.read_bytes()
    return read_member(path, member)


def _only_params(path):
    """The .params member of an archive as it was published (PyTorch's files are archives too, without one)."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".params")]
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return None
    return members[0] if len(members) == 1 else None


def read_member(path, member):
    """The bytes of the archive's `member`, asked for by its exact name: other members' names are never followed."""
    try:
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                raise WeightsError(f"{path} has no member {member!r}; it holds {archive.namelist()[:5]}.")
            with archive.open(member) as stream:
                data = stream.read(LARGEST + 1)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as problem:
        if isinstance(problem, WeightsError):
            raise
        raise WeightsError(f"{path} is a damaged zip archive ({problem}): fetch it again.") from None
    if len(data) > LARGEST:
        raise WeightsError(f"{member!r} in {path} unpacks to more than {LARGEST} bytes.")
    return data


def read_arrays(data, where="the file"):
    """{name: numpy array} from the bytes of a .params, .safetensors or PyTorch file; `where` is named in errors."""
    head = data[:16]
    if head[:8] == LIST_MAGIC.to_bytes(8, "little"):
        return read_params(data, where)
    if head[:2] in (b"PK", b"\x80\x02"):
        return _read_torch(data, where)
    if head[8:9] == b"{":
        return _read_safetensors(data, where)
    if head[:1] == b"\x80":
        raise WeightsError(f"{where} is a Python pickle, which can run any program when it is opened: it was not.")
    raise WeightsError(f"{where} is no MXNet .params, .safetensors or PyTorch file (it begins with {bytes(head)!r}).")


def write_parameters(path, net):
    """``net.save_parameters``, read back before it replaces ``path``: MXNet may not notice that the disk was full."""
    with replacing(path) as temporary:
        try:
            net.save_parameters(str(temporary))
            read_arrays(temporary.read_bytes(), where=str(temporary))
        except OSError:
            raise
        except Exception as error:  # MXNetError and WeightsError, neither of which says why
            raise OSError(f"{path} could not be written whole: is the disk full?") from error


def _read_safetensors(data, where):
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise WeightsError(f"{where} is a .safetensors file: `pip install safetensors` to read it.") from None
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as problem:
        raise WeightsError(f"{where} is a damaged .safetensors file or of a type numpy lacks ({problem!r}).") from None


def _read_torch(data, where):
    torch = _safe_torch(where)
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as problem:  # torch raises what its archive and unpickler happen to raise
        # Not the whole text: it goes on to advise weights_only=False.
        reason = str(problem).strip().partition("\n")[0].rpartition("error: ")[2][:200]
        raise WeightsError(f"{where} was refused by torch's weights_only reader, nothing ran: {reason}") from None
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise WeightsError(f"{where} holds no state_dict of tensors.")
    return {str(name): _numpy(tensor.detach(), torch) for name, tensor in loaded.items()}


def _numpy(tensor, torch):
    return (tensor.to(torch.float32) if tensor.is_floating_point() else tensor).numpy()  # numpy has no bfloat16


def _safe_torch(where):
    convert = "or convert it once with safetensors.torch.save_file(state_dict, ...) elsewhere"
    try:
        import torch
    except ImportError:
        raise WeightsError(
            f"{where} is a PyTorch file or another pickle, which only torch may open (weights_only): install torch, "
            f"{convert}."
        ) from None
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < SAFE_TORCH:
        raise WeightsError(
            f"{where} is a PyTorch file, and torch {torch.__version__} can be made to run code by one even with "
            f"weights_only: install torch>={SAFE_TORCH[0]}.{SAFE_TORCH[1]}, {convert}."
        )
    return torch
