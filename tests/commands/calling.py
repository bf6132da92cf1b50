"""What the tests of commands share."""

from __future__ import annotations

from gluon_attn import cli

MODEL = "cifar_resnet20"


def call(capsys, *argv):
    """(exit status, standard output, standard error) of a command."""
    status = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err
