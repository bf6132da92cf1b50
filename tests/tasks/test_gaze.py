"""Full-face gaze: geometry, network, a synthetic task that it must learn, leave-one-person-out."""

from __future__ import annotations

import functools
import json

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import DataError, GluonAttnError
from gluon_attn.attention.spatial_weights import SpatialWeights
from gluon_attn.complexity import complexity
from gluon_attn.data.gaze import leave_one_person_out
from gluon_attn.tasks.gaze import fit as gaze
from gluon_attn.tasks.gaze import script
from tests.helpers import build, images

TINY = dict(widths=(8, 8, 8, 8, 8), hidden=32, image_size=96, dropout=0.0)


def test_vectors_and_angles():
    straight, up, left = gaze.to_vectors([[0, 0], [np.pi / 2, 0], [0, np.pi / 2]])
    np.testing.assert_allclose([straight, up, left], [[0, 0, -1], [0, -1, 0], [-1, 0, 0]], atol=1e-12)
    true = np.array([[0.1, -0.2], [0.0, 0.0], [0.3, 0.3]])
    turned = true + [[0, 0], [np.radians(5), 0], [0, 0]]
    np.testing.assert_allclose(gaze.angular_error(turned, true), [0, 5, 0], atol=1e-9)
    yaw = gaze.angular_error([[0.5, 0.4]], [[0.5, 0.0]])[0]  # away from the equator a yaw is a shorter way
    cosine = np.sin(0.5) ** 2 + np.cos(0.5) ** 2 * np.cos(0.4)
    np.testing.assert_allclose(yaw, np.degrees(np.arccos(cosine)))


def test_the_published_size():
    net = gluon_attn.get_model("fullface_gaze")
    assert net.features_at(mx.sym.Variable("data"), ["stage3"])["stage3"].infer_shape(data=(2, 3, 448, 448))[1] == [
        (2, 256, 13, 13)
    ]
    convolutions = [(3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3)]
    expected = sum(a * b * k * k + b for a, b, k in convolutions)
    expected += 2 * (256 * 256 + 256) + 256 + 1  # the weight stream
    expected += (256 * 169 + 1) * 4096 + 4097 * 4096 + 4097 * 2
    assert complexity(net, 448).parameters == expected


def test_head_initialisation():
    net = gluon_attn.get_model("fullface_gaze", **TINY)
    net.initialize(mx.init.MSRAPrelu())
    first, second, third = (net.head[i] for i in (1, 3, 5))
    assert (first.bias.data().asnumpy() == 1).all() and not second.bias.data().asnumpy().any()
    assert abs(first.weight.data().asnumpy().std() / 0.005 - 1) < 0.1
    assert abs(third.weight.data().asnumpy()).max() < 1e-3


class Eyes:
    """A bright spot whose place says where a 'person' looks; every person has a skin colour of its own."""

    mean, std = (0.4,) * 3, (0.2,) * 3

    def __init__(self, people, count, seed):
        rng = np.random.RandomState(seed)
        self.labels = rng.uniform(-0.6, 0.6, (count * len(people), 2)).astype("float32")
        self.colours = np.repeat([60 + 10 * person for person in people], count)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        face = np.full((96, 96, 3), self.colours[index], np.uint8)
        y, x = (int(48 - 50 * angle) for angle in self.labels[index])  # up is a smaller row, left a smaller column
        face[y - 8 : y + 9, x - 8 : x + 9] = 250
        return face, self.labels[index]


@pytest.fixture(scope="module")
def people():
    return {f"p{i:02}": i for i in range(3)}


def tiny_network():
    mx.random.seed(0)
    np.random.seed(0)
    net = gluon_attn.get_model("fullface_gaze", **TINY)
    net.initialize(mx.init.MSRAPrelu())
    for layer in (net.head[1], net.head[3], net.head[5]):  # the paper's small values suit 4,096 units, not 32
        layer.weight.set_data(mx.nd.random.normal(scale=layer.weight.shape[1] ** -0.5, shape=layer.weight.shape))
    net.hybridize()
    return net


@pytest.mark.ci
def test_learns_and_leaves_one_person_out(people):
    def folds():
        for person, number in list(people.items())[:1]:
            others = [other for other in people.values() if other != number]
            yield person, Eyes(others, 150, seed=1), Eyes([number], 40, seed=2)

    options = dict(epochs=12, batch_size=20, lr=0.02, milestones=(9,))
    errors = gaze.leave_one_person_out(folds(), tiny_network, log=lambda text: None, **options)
    _, _, test = next(folds())
    constant = gaze.angular_error(np.zeros_like(test.labels), test.labels).mean()
    assert list(errors) == ["p00"] and errors["p00"] < 0.4 * constant, (errors, constant)


def test_the_same_seed_gives_the_same_bits():
    def folds():
        for person in range(2):
            yield f"p{person:02}", Eyes([1 - person], 20, seed=person), Eyes([person], 20, seed=5)

    runs = [gaze.leave_one_person_out(folds(), tiny_network, log=str, epochs=3, batch_size=5, lr=0.02) for _ in "ab"]
    assert runs[0] == runs[1] and len(set(runs[0].values())) == 2


def test_the_map_can_be_left_out():
    with_map, without = build("fullface_gaze", **TINY), gluon_attn.get_model("fullface_gaze", attention=False, **TINY)
    assert isinstance(with_map.stages[2][0], SpatialWeights) and len(without.stages) == 2
    assert with_map(mx.nd.array(images(2, 3, 96, 96))).shape == (2, 2)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(outputs="all"), ["outputs='all'", "nothing but logits"]),
        (dict(outputs="both"), ["'both'", "logits"]),
        (dict(gate="se"), ["argument of fullface_gaze 'gate'", "scale_gradient"]),
    ],
)
def test_what_it_does_not_take_is_refused_in_a_sentence(arguments, words):
    with pytest.raises(GluonAttnError) as error:
        gluon_attn.get_model("fullface_gaze", **arguments)
    assert all(word in str(error.value) for word in words), error.value
    assert gluon_attn.get_model("fullface_gaze", outputs="logits").outputs == "logits"


def test_starts_from_alexnet_weights(tmp_path):
    source = gluon_attn.get_model("fullface_gaze", attention=False, **TINY)
    source.initialize(mx.init.Normal(1))
    convolutions = [source.stem[0], source.stages[0][0], *(source.stages[1][i] for i in range(3))]
    file = {}
    for position, layer in zip((10, 0, 3, 6, 8), [convolutions[4], *convolutions[:4]]):  # as a sorted file has them
        file[f"features.{position}.weight"], file[f"features.{position}.bias"] = layer.weight.data(), layer.bias.data()
    file["classifier.weight"] = mx.nd.zeros((5, 4))
    mx.nd.save(str(tmp_path / "alexnet.params"), file)
    net = tiny_network()
    gaze.start_from_alexnet(net, tmp_path / "alexnet.params")
    for mine, theirs in ((net.stem[0], source.stem[0]), (net.stages[1][2], source.stages[1][2])):
        np.testing.assert_array_equal(mine.weight.data().asnumpy(), theirs.weight.data().asnumpy())
    mx.nd.save(str(tmp_path / "other.params"), {"a.weight": mx.nd.zeros((1, 1, 1, 1))})
    with pytest.raises(DataError, match="1 convolutions"):
        gaze.start_from_alexnet(net, tmp_path / "other.params")
    del file["features.6.bias"]
    mx.nd.save(str(tmp_path / "other.params"), file)
    with pytest.raises(DataError, match="has nothing for features.6.bias, AlexNet .8,.: give an AlexNet file"):
        gaze.start_from_alexnet(net, tmp_path / "other.params")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--batch-size 0", "'0' cannot be: give a whole number from 1"),
        ("--lr nan", "'nan' cannot be: give a number above 0"),
        ("--device cpu:0,cpu:1", "names 2: gaze is trained on one"),
        ("--device ,", "names none"),
    ],
)
def test_mistakes_on_the_command_line(capsys, words, sentence):
    assert script.main(["--data-root", "nowhere", *words.split()]) == 2
    assert sentence in capsys.readouterr().err


@pytest.fixture
def files(tmp_path, monkeypatch):
    """What starts the command on three people, a few 96x96 faces each, with the tiny network."""
    h5py = pytest.importorskip("h5py")

    rng = np.random.RandomState(0)
    for person in ("p00", "p04", "p07"):
        with h5py.File(tmp_path / f"{person}.mat", "w") as file:
            file["Data/data"] = rng.randint(0, 256, (4, 3, 96, 96)).astype("float32")
            file["Data/label"] = rng.uniform(-0.3, 0.3, (4, 16)).astype("float32")
    monkeypatch.setattr(script, "network", lambda args, ctx: tiny_network())
    monkeypatch.setattr("gluon_attn.zoo.get_model", functools.partial(gluon_attn.get_model, **TINY))
    return ["--data-root", str(tmp_path), "--epochs", "1", "--batch-size", "2", "--output", str(tmp_path / "out")]


def errors_in(folder):
    found = json.loads((folder / "out" / "errors.json").read_text())
    mean = found.pop("mean")
    assert mean == pytest.approx(sum(found.values()) / len(found)) and list(found) == sorted(found)
    return found


def test_the_command_reads_files_in_the_true_format(files, tmp_path, capsys):
    assert script.main(files) == 0
    assert set(errors_in(tmp_path)) == {"p00", "p04", "p07"}
    assert "degrees" in capsys.readouterr().out and not list(tmp_path.glob("out/*.params"))
    assert script.main([*files[:1], str(tmp_path / "nowhere")]) == 2 and "p00.mat" in capsys.readouterr().err
    assert script.main([*files, "--people", "p01"]) == 2 and "'p01'" in capsys.readouterr().err


def test_an_interruption_loses_one_person_at_most(files, tmp_path, monkeypatch, capsys):
    seen = []

    def network(args, ctx):
        seen.append(len(seen))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return tiny_network()

    monkeypatch.setattr(script, "network", network)
    assert script.main(files) == 130 and set(errors_in(tmp_path)) == {"p00"}
    before = errors_in(tmp_path)["p00"]
    assert script.main([*files, "--dry-run"]) == 0
    assert "output    has p00 already: not trained again" in capsys.readouterr().out
    assert script.main([*files, "--people", "p07"]) == 0 and set(errors_in(tmp_path)) == {"p00", "p07"}
    assert "mean of 2: " in capsys.readouterr().out
    assert script.main(files) == 0 and len(seen) == 4  # that of p04 alone
    said = capsys.readouterr().out
    assert f"p00: {before:.2f} degrees, in {tmp_path / 'out'} already: not trained again" in said
    assert errors_in(tmp_path)["p00"] == before and len(errors_in(tmp_path)) == 3
    log = (tmp_path / "out" / "train.log").read_text().splitlines()
    assert [line.partition(":")[0] for line in log] == ["p00", "p07", "p04"]


def test_errors_of_other_settings_are_not_averaged(files, tmp_path, capsys):
    assert script.main([*files, "--people", "p00"]) == 0
    capsys.readouterr()
    sentence = "holds errors.json of other settings (--epochs 1 and not 2, --milestones 10 13 and not 1): take another"
    other = [*files, "--people", "p04", "--epochs", "2", "--milestones", "1"]
    assert script.main(other) == 2 and sentence in capsys.readouterr().err
    assert script.main([*other, "--dry-run"]) == 0 and f"output    TAKEN: '{tmp_path}" in capsys.readouterr().out
    (tmp_path / "p07.mat").unlink()
    assert script.main(files) == 2 and "other settings (--data-root (sha256 " in capsys.readouterr().err
    (tmp_path / "out" / "settings.json").unlink()
    assert script.main(files) == 2 and "does not say of which settings" in capsys.readouterr().err
    (tmp_path / "out" / "errors.json").write_text("[1")
    assert script.main(files) == 2 and "is not what train_gaze.py wrote" in capsys.readouterr().err


def test_networks_are_kept_where_they_are_asked_for(files, tmp_path):
    words = [*files, "--people", "p00"]
    assert script.main(words) == 0 and errors_in(tmp_path)
    assert script.main([*words, "--save-networks"]) == 0  # the error is there, and the network is not
    net = tiny_network()
    net.load_parameters(str(tmp_path / "out" / "p00.params"))
    test = leave_one_person_out(tmp_path)
    assert gaze.evaluate(net, next(test)[2]) == pytest.approx(errors_in(tmp_path)["p00"], rel=1e-5)


def test_the_plan_says_what_the_run_says(files, tmp_path, monkeypatch, capsys):
    def planned(*words, status=0):
        assert script.main([*files, *words, "--dry-run"]) == status
        return "".join(capsys.readouterr())

    said = planned("--epochs", "15", "--milestones", "10", "60")  # the last is never reached, as in gluon-attn train
    assert said.startswith("model     fullface_gaze: ") and " MACs at 96x96\n" in said
    assert "data      12 faces of 3 people; left out in turn: p00 p04 p07\n" in said
    assert "15 epochs of 4 updates of 2; learning rate start 0.01, middle 0.01, end 0.001\n" in said
    assert "Unknown person in --people 'p01'. Did you mean" in planned("--people", "p01", status=2)
    assert "weights   MISSING: nowhere.params is not a file" in planned("--alexnet", "nowhere.params")
    assert "cpu:0,cpu:1 names 2: gaze is trained on one" in planned("--device", "cpu:0,cpu:1", status=2)
    assert "on gpu:63 (MISSING: There is no gpu:63" in planned("--device", "gpu:63")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()  # without faces the plan is that of the published size
    (tmp_path / "p04.mat").unlink(), (tmp_path / "p07.mat").unlink()
    assert "data      MISSING: " in planned() and "holds p00.mat alone" in planned()
    (tmp_path / "p00.mat").unlink()
    assert "holds none of p00.mat to p14.mat" in planned() and "updates of 2" in planned()
    assert "Unknown person in --people 'p15'" in planned("--people", "p15", status=2)


def test_help_says_the_defaults(capsys):
    with pytest.raises(SystemExit):
        script.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"(default: {value})" in said for value in ("15", "[10, 13]", "32", "0.01", "0", "runs/gaze"))
