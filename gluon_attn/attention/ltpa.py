"""Learn To Pay Attention (Jetley et al., ICLR 2018, arXiv 1804.02391)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.attention.announce import announce
from gluon_attn.errors import unknown
from gluon_attn.layers import GlobalAvgPool, conv, norm_relu, sequence

COMPATIBILITIES = ("pc", "dp")
COMBINATIONS = ("concat", "indep")


class GlobalAttention(nn.HybridBlock):
    r"""Local features l (N, C, H, W) and a global one g (N, D, 1, 1) -> (sum_i a_i l_i (N, C'), map a (N, 1, H, W)).

        a = softmax over the positions i of the compatibility c_i of l_i and g
        c_i = <u, l_i + g>  (compatibility 'pc', parametrised; u is learned)   or   <l_i, g>  ('dp', dot product)

    Where C and D differ, a linear map makes them equal: of g down to C (`project='global'`, the paper's ResNet) or of l
    up to D (`project='local'`, its VGG), and then it is the projected l that is summed. u = 0 is average pooling.

    With 'pc', <u, g> is one number for all positions and a softmax does not see it: as published, g does not change the
    map, and what computes g alone (the map of g here, the VGG's last stage) has a gradient of 0 but for rounding. With
    'dp' it has one.
    """

    def __init__(self, channels, global_channels, compatibility="pc", project="global", **kwargs):
        super().__init__(**kwargs)
        if compatibility not in COMPATIBILITIES:
            raise unknown("compatibility", compatibility, COMPATIBILITIES)
        if project not in ("global", "local"):
            raise unknown("project", project, ("global", "local"))
        self.local_map = self.global_map = self.score = None
        if channels != global_channels and project == "global":
            self.global_map = conv(global_channels, channels)
        elif channels != global_channels:
            self.local_map = conv(channels, global_channels)
            channels = global_channels
        if compatibility == "pc":
            self.score = conv(channels, 1)
        self.channels = channels

    def hybrid_forward(self, F, x, g):
        x = x if self.local_map is None else self.local_map(x)
        g = g if self.global_map is None else self.global_map(g)
        rows = F.reshape(x, (0, 0, -1))  # (N, C, positions)
        if self.score is None:
            c = F.batch_dot(F.reshape(g, (0, 0, -1)), rows, transpose_a=True)
        else:
            c = F.reshape(F.broadcast_add(self.score(x), self.score(g)), (0, 0, -1))  # <u, l> + <u, g>
        a = F.softmax(c, axis=-1)
        attended = F.flatten(F.batch_dot(rows, a, transpose_b=True))
        return attended, announce(self, F.reshape_like(a, F.slice_axis(x, axis=1, begin=0, end=1)))


class LTPAHead(nn.HybridBlock):
    """Local features of some stages and the last feature map -> (logits (N, classes), a map for each of those stages).

    g is the mean of the last map over its positions (after BN and ReLU with `normalise`). It is not classified itself:
    the attended features must suffice.

    dropout : of the attended features
    combine : 'concat', one Dense on all of them; or 'indep', a Dense each, and the mean of their probabilities. The
        logits are then the logarithm of that mean, whose softmax it is.
    """

    def __init__(self, channels, global_channels, classes, combine="concat", normalise=False, dropout=0.0, **attention):
        super().__init__()
        if combine not in COMBINATIONS:
            raise unknown("combine", combine, COMBINATIONS)
        self.combine = combine
        self.norm = norm_relu(global_channels, normalise) if normalise else None
        self.pool = GlobalAvgPool()
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.levels = sequence(*(GlobalAttention(c, global_channels, **attention) for c in channels))
        widths = [level.channels for level in self.levels]
        if combine == "concat":
            self.fc = nn.Dense(classes, in_units=sum(widths))
        else:
            self.fc = sequence(*(nn.Dense(classes, in_units=width) for width in widths))

    def hybrid_forward(self, F, *features):
        *local, last = features
        g = self.pool(last if self.norm is None else self.norm(last))
        attended, maps = zip(*(level(x, g) for level, x in zip(self.levels, local)))
        if self.dropout is not None:
            attended = [self.dropout(x) for x in attended]
        if self.combine == "concat":
            return (self.fc(F.concat(*attended, dim=1)), *maps)
        return (_log_mean_softmax(F, [fc(x) for fc, x in zip(self.fc, attended)]), *maps)


def _log_mean_softmax(F, logits):
    return F.log(sum(F.softmax(z) for z in logits) / len(logits))
