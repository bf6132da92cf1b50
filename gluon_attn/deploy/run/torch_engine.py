"""Files of `gluon-attn export --format torch` in PyTorch, on the CPU or a GPU."""

from __future__ import annotations

import json

import numpy as np
import torch

from gluon_attn.deploy.run.engines import place_of_logits
from gluon_attn.deploy.run.torch_graph import load_torch
from gluon_attn.errors import GluonAttnError


class TorchEngine:
    """source: the path of a .safetensors file with its graph, or (module, names of its outputs).

    precision : 'float32', or 'bfloat16' by autocast
    cache : nothing is kept
    threads : of the whole process, as torch has it; 0 leaves them as they are
    device : 'cpu', 'cuda', 'cuda:1', 'mps', ... (torch.device)
    """

    def __init__(self, source, threads=0, precision="float32", cache=None, device="cpu"):
        if threads:
            torch.set_num_threads(threads)
        if isinstance(source, tuple):
            (module, names), self.metadata = source, {}
        else:
            module = load_torch(source)
            self.metadata = module.metadata
            names = json.loads(self.metadata["outputs"]) if "outputs" in self.metadata else ["logits"]
        self.place, self.precision = place_of_logits(names, "The file"), precision
        self.device = _device(device)
        # Channels last is what convolutions are fastest in, on CPUs and GPUs.
        self.module = module.eval().to(self.device, memory_format=torch.channels_last)

    def quantize(self, batches):
        raise GluonAttnError("engine='torch' has no int8: engine='openvino' and 'onnxruntime' have.")

    def prepare(self, size, batch_size):
        """Nothing is left to do."""

    def __call__(self, images):
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
        ):
            outputs = self.module(x)
        output = outputs[self.place] if isinstance(outputs, (tuple, list)) else outputs
        return output.float().cpu().numpy()


def _device(name):
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).strip().splitlines()[0][:200]
        raise GluonAttnError(f"device={name!r} cannot be used by torch {torch.__version__}: {reason}") from None
    return device
