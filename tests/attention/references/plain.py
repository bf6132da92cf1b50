"""What stands in the slots of a plain network."""

from __future__ import annotations

from tests.attention.references import reference
from tests.attention.references.sk import grouped


@reference("identity")
def identity(x, p):
    return x


@reference("add")
def add(x, y, p):
    return x + y


@reference("plain", dict(stride=2), dict(groups=4, dilation=2), channels=8)
def plain(x, p, stride=1, groups=1, dilation=1):
    return grouped(x, p["weight"], groups, padding=dilation, stride=stride, dilation=dilation)


@reference("classifier")
def classifier(features, p):
    return {"logits": dense(features["stage3"].mean((2, 3)), p, "head.fc")}


def dense(x, p, path):
    return x @ p[f"{path}.weight"].T + p[f"{path}.bias"]
