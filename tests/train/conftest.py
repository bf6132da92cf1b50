from __future__ import annotations

import pytest

from gluon_attn.data import digits


@pytest.fixture(autouse=True)
def _fewer_digits_to_evaluate_on(request):
    """Evaluating on all 400 is half of a tiny run's time; a test that compares with another process wants them all."""
    whole = digits._enlarged
    with pytest.MonkeyPatch.context() as patch:  # not the test's own, which it may undo
        if request.node.get_closest_marker("all_digits") is None:
            patch.setattr(
                digits, "_enlarged", lambda split: whole(split) if split == "train" else _fourth(whole(split))
            )
        yield


def _fourth(arrays):
    return tuple(array[::4] for array in arrays)
