"""Attention Branch Network (Fukui et al., CVPR 2019, arXiv 1812.10025)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.announce import announce
from gluon_attn.errors import unknown
from gluon_attn.layers import GlobalAvgPool, batch_norm, conv, relu, sequence


class AttentionBranch(nn.HybridBlock):
    r"""x -> (x M + x, attention logits (N, K), map M (N, 1, H, W)), before the last stage of a network.

        a = relu(bn(conv1x1(norm(stage(x)))))       C channels -> K = classes
        M = sigmoid(bn(conv3x3(a)))                 K -> 1
        attention logits = conv1x1(mean over H, W of a)

    stage : an independent copy of the network's last stage with stride 1, giving `channels` channels.
    attention_map : 'conv' (above), or 'log_sum': M = sum over the classes of log(a + 1), unbounded and without
        parameters, as in the authors' SENet code.
    branch_norm : False keeps the parameters of `norm`, as `unused_norm`, and does not apply it, as in their ResNeXt
        and so in its published weights.

    The paper's figure draws a 1x1 convolution for the map and no BatchNorm; the released code and weights have what
    stands above, which the authors confirm. Trained with CE(attention logits) + CE(logits); gradients reach the branch
    through M as well. The code convolves before it pools, over a fixed size; the mean commutes with the convolution,
    takes any size, and saves K^2 H W multiplications.
    """

    gives = ("attention_logits", "map")

    def __init__(self, stage, channels, classes, attention_map="conv", branch_norm=True, **kwargs):
        super().__init__(**kwargs)
        if attention_map not in ("conv", "log_sum"):
            raise unknown("attention_map", attention_map, ("conv", "log_sum"))
        self.stage = stage
        self.norm = self.unused_norm = None
        if branch_norm:
            self.norm = batch_norm(channels)
        else:
            self.unused_norm = UnusedBatchNorm(channels)
        self.evidence = sequence(conv(channels, classes), batch_norm(classes), relu())
        self.map = None
        if attention_map == "conv":
            self.map = sequence(conv(classes, 1, 3), batch_norm(1), nn.Activation("sigmoid"))
        self.score = sequence(GlobalAvgPool(), conv(classes, classes), nn.Flatten())

    def hybrid_forward(self, F, x):
        y = (self.norm or self.unused_norm)(self.stage(x))
        evidence = self.evidence(cpu.fence(F, y) if cpu.trains_on_cpu(self) else y)
        if self.map is None:
            weight = F.sum(F.log(evidence + 1), axis=1, keepdims=True)
        else:
            weight = self.map(evidence)
        attended = x + cpu.broadcast(F, self, "mul", x, announce(self, weight), over="channels")
        return attended, self.score(evidence), weight


class UnusedBatchNorm(nn.HybridBlock):
    """x -> x with the parameters of a BatchNorm: counted, saved and loaded, never applied.

    Their gradient is an exact 0 rather than absent, so that a Trainer steps over them without an error.
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        for name, init in (("gamma", "ones"), ("beta", "zeros"), ("running_mean", "zeros"), ("running_var", "ones")):
            trained = "write" if name in ("gamma", "beta") else "null"
            setattr(self, name, self.params.get(name, shape=(channels,), init=init, grad_req=trained))

    def hybrid_forward(self, F, x, **parameters):
        nothing = 0 * sum(F.sum(value) for _, value in sorted(parameters.items()))
        return F.broadcast_add(x, F.reshape(nothing, (1, 1, 1, 1)))
