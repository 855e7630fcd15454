"""Trained weights in the module of their architecture, recognised by keys and shapes."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from cwda.errors import CwdaError, SourceError
from cwda.loading import load, load_model
from cwda.models import Images, accuracy, build, cifar_resnet, initialise
from tests.models.public_networks import VGG, ListedResNet, ResNet, settled

LINEAR = nn.Linear


def three(first=1):
    """The head of three linear layers as torchvision has it, with or without dropout first."""
    parts = [LINEAR(16, 20), nn.ReLU(), nn.Dropout(), LINEAR(20, 20), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*[nn.Dropout()][:first], *parts[: 6 - first], LINEAR(20, 5))


NETWORKS = {
    "padding": lambda: ResNet((3, 3, 3), 8, 10, "padding", "linear"),
    "padding, one block": lambda: ResNet((1, 1, 1), 4, 10, "padding", "fc"),
    "none": lambda: ResNet((3, 3, 3), 8, 10, "none", "linear"),
    "none, one block": lambda: ResNet((1, 1, 1), 8, 10, "none", "linear"),
    "shortcut": lambda: ResNet((2, 2, 2), 8, 10, "shortcut", "linear"),
    "downsample": lambda: ResNet((2, 2, 2), 6, 100, "downsample", "fc"),
    "four stages": lambda: ResNet((2, 2, 2, 2), 4, 10, "shortcut", "linear"),
    "bottlenecks": lambda: ResNet(
        (3, 4, 2, 2), 4, 9, "shortcut", "linear", bottleneck=True, wide=4
    ),
    "grouped": lambda: ResNet(
        (2, 2, 2), 8, 10, "shortcut", "linear", bottleneck=True, wide=2, groups=4
    ),
    "three stages of bottlenecks": lambda: ResNet(
        (2, 2, 2), 4, 10, "downsample", "fc", bottleneck=True, wide=4
    ),
    "listed": ListedResNet,
    "vgg11, one head": lambda: VGG((1, 1, 2, 2, 2), True, True, classifier=LINEAR(16, 5)),
    "vgg16 without BatchNorm": lambda: VGG((2, 2, 3, 3, 3), False, True, classifier=three()),
    "vgg13, three linear layers": lambda: VGG((2, 2, 2, 2, 2), True, True, classifier=three(0)),
    "vgg19, no biases, average": lambda: VGG(
        (2, 2, 4, 4, 4), True, False, "feature", "A", classifier=LINEAR(16, 5)
    ),
    "BatchNorm in the head": lambda: VGG(
        (2, 2, 3, 3, 3),
        True,
        False,
        classifier=nn.Sequential(LINEAR(16, 12), nn.BatchNorm1d(12), nn.ReLU(), LINEAR(12, 5)),
    ),
    "classifier1": lambda: VGG((1, 1, 2, 2, 2), True, True, classifier1=LINEAR(16, 5)),
}


def written(tmp_path, state, **beside):
    path = tmp_path / "model.pth"
    torch.save({**beside, "state_dict": state} if beside else state, path)
    return path


def same(found, model):
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(found(x), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_in_public_layouts_compute_what_their_code_computes(name, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = settled(NETWORKS[name]())
    path = written(tmp_path, model.state_dict())
    with warnings.catch_warnings(record=True, action="always") as told:
        found = load_model(path)
    assert ["no block has a shortcut" in str(each.message) for each in told] == (
        [True] if name.startswith("none") else []
    )
    same(found, model)
    assert set(found.state_dict()) == set(model.state_dict())
    assert [layer.name for layer in load(found)] == [layer.name for layer in load(path)]


@pytest.fixture
def small():
    model = cifar_resnet(8, 5, 4, "projection")
    initialise(model, 1)
    return model.eval()


@pytest.mark.parametrize(
    "prefix",
    [
        "model.",
        "net.",
        "module.",
        "module.model.",
        "_orig_mod.",
        "model._orig_mod.",
        "a.b.c.",
        "1.",
    ],
)
@pytest.mark.parametrize("arch", [None, "cifar_resnet20_projection"])
def test_a_prefix_that_all_keys_have_is_left_out(prefix, arch, tmp_path):
    small = cifar_resnet(20, 5, 4, "projection")
    initialise(small, 1)
    small.eval()
    state = {prefix + key: value for key, value in small.state_dict().items()}
    same(load_model(written(tmp_path, state, epoch=3), arch=arch), small)


def test_other_architectures_behind_a_prefix(tmp_path):
    model = build("shufflenet_v2_x0_5", 3)
    state = {f"model.net.{key}": value for key, value in model.state_dict().items()}
    found = load_model(written(tmp_path, state), arch="shufflenet_v2_x0_5")
    assert torch.equal(found.fc.weight, model.fc.weight)


def test_losses_metrics_and_counters_are_left_out_and_told(small, tmp_path):
    state = {f"model.{key}": value for key, value in small.state_dict().items()}
    extra = {"criterion.weight": torch.ones(5), "train_acc.correct": torch.tensor(3)}
    with pytest.warns(RuntimeWarning, match="2 tensors are not part .* such as criterion.weight"):
        same(load_model(written(tmp_path, state | extra)), small)
    counted = {**small.state_dict(), "loss_fn.weight": torch.ones(5)}
    counted["layer1.0.total_ops"] = torch.zeros(1)
    with pytest.warns(RuntimeWarning, match="2 tensors"):
        same(load_model(written(tmp_path, counted)), small)
    with pytest.raises(SourceError, match=r"1 are unknown, such as attention\.weight"):
        load_model(written(tmp_path, {**small.state_dict(), "attention.weight": torch.ones(5)}))


def test_of_several_networks_the_raw_one_is_taken_or_the_user_chooses(small, tmp_path):
    other = {key: value + 1 for key, value in small.state_dict().items()}
    averaged = {f"model.{k}": v for k, v in small.state_dict().items()}
    averaged |= {f"ema_model.module.{k}": v for k, v in other.items()}
    path = written(tmp_path, averaged)
    with pytest.warns(RuntimeWarning, match="raw weights are taken"):
        same(load_model(path), small)
    twice = {f"{name}.{key}": value for name in "ab" for key, value in other.items()}
    with pytest.warns(RuntimeWarning, match="not part of the network"):
        found = load_model(written(tmp_path, twice))  # one network under two names
    assert torch.equal(found.linear.weight, other["linear.weight"])
    torch.save({"student": small.state_dict(), "teacher": other}, path)
    with pytest.raises(SourceError, match=r"2 networks that fit \(student, teacher\).*weights_key"):
        load_model(path)
    same(load_model(path, weights_key="student"), small)
    with pytest.raises(SourceError, match="leads to no tensor"):
        load_model(path, weights_key="pupil")


def test_what_keys_cannot_tell_is_asked_for(tmp_path):
    with torch.random.fork_rng(devices=[]):
        model = settled(ResNet((2, 2, 2, 2), 4, 10, "downsample", "fc"))
    path = written(tmp_path, model.state_dict())
    with pytest.raises(SourceError, match="whether pooling follows the stem"):
        load_model(path)
    same(load_model(path, arch="cifar_resnet18"), model)
    with pytest.raises(SourceError, match="do not fit"):
        load_model(path, arch="cifar_resnet34")


def test_a_published_network_without_shortcuts_is_recognised_by_its_statistics(shared_data):
    checkpoints = shared_data / "checkpoints"
    with pytest.warns(RuntimeWarning, match="no block has a shortcut"):
        plain = load_model(checkpoints / "resnet56-noshort-losslandscape.t7")
    assert plain.plan.shortcut == "none"
    assert load_model(checkpoints / "resnet20-12fca82f.th").plan.shortcut == "padding"


def test_the_user_may_say_that_there_are_no_shortcuts(tmp_path):
    path = written(tmp_path, cifar_resnet(20).state_dict())  # nothing was trained: no statistics
    assert load_model(path).plan.shortcut == "padding"
    assert load_model(path, arch="cifar_resnet20_noshort").plan.shortcut == "none"


@pytest.mark.parametrize("change", ["shape", "integers", "sparse", "gone", "preactivation"])
def test_weights_that_cannot_be_right_are_refused_in_one_line(change, small, tmp_path):
    state = dict(small.state_dict())
    if change == "shape":
        state["layer1.0.bn1.weight"] = torch.ones(9)
    elif change == "integers":
        state["layer1.0.conv1.weight"] = torch.ones(4, 4, 3, 3, dtype=torch.int8)
    elif change == "sparse":
        state["layer1.0.conv1.weight"] = torch.ones(4, 4, 3, 3).to_sparse()
    elif change == "gone":
        del state["layer2.0.bn2.running_var"]
    else:
        del state["bn1.weight"], state["bn1.bias"], state["bn1.running_mean"]
    with pytest.raises(CwdaError) as told:
        load_model(written(tmp_path, state))
    assert "\n" not in str(told.value)


def test_shapes_that_a_file_does_not_hold_take_no_memory(small, tmp_path):
    state = dict(small.state_dict())
    state["linear.weight"] = torch.zeros(1, 1).expand(10_000_000, 16)
    with pytest.raises(CwdaError, match="used again and again"):
        load_model(written(tmp_path, state))


# Normalisation and accuracy in percent of all test images that are published with the files.
CHENYAOFO = ((0.5070, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761))
LOSS_LANDSCAPE = (
    tuple(each / 255 for each in (125.3, 123.0, 113.9)),
    tuple(each / 255 for each in (63.0, 62.1, 66.7)),
)
PUBLISHED = {
    "cifar100-resnet20.pth": ("cifar100", CHENYAOFO, 68.83, 300),
    "resnet56-losslandscape.t7": ("cifar10", LOSS_LANDSCAPE, 93.66, 100),
    "resnet56-noshort-losslandscape.t7": ("cifar10", LOSS_LANDSCAPE, 86.69, 100),
}


def test_images(folder, n):
    """The first test images of a folder of mosaics; their order is random."""
    from PIL import Image

    with Image.open(folder / "test-00.webp") as opened:
        sheet = np.asarray(opened.convert("RGB"))
    tiles = sheet.reshape(50, 32, 50, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)
    labels = np.load(folder / "test-labels.npy")[:n].astype(np.int64)
    return torch.from_numpy(tiles[:n].copy()), torch.from_numpy(labels)


test_images.__test__ = False


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_reach_their_accuracy_on_a_sample(name, shared_data):
    """Within four standard errors of what is published; all images are in docs/extraction.md."""
    data, (mean, std), published, n = PUBLISHED[name]
    pixels, labels = test_images(shared_data / data, n)
    path = shared_data / "checkpoints" / name
    model = load_model(path, arch="cifar_resnet56_noshort" if "noshort" in name else None)
    error = 100 * (published / 100 * (1 - published / 100) / n) ** 0.5
    measured = accuracy(model, Images(pixels, labels, mean, std))
    assert measured == pytest.approx(published, abs=4 * error)
