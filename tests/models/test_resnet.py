import json
from importlib import resources

import pytest
import torch

from cwda.models import DEPTHS, cifar_resnet, initialise

# Parameters in He et al. (2016), table 6, in millions; the exact numbers of the common
# reimplementation with parameter-free shortcuts (akamaster/pytorch_resnet_cifar10).
PARAMETERS = {20: 269722, 32: 464154, 44: 658586, 56: 853018, 110: 1727962}


@pytest.mark.parametrize("depth", DEPTHS)
def test_sizes_are_those_of_the_paper(depth):
    model = cifar_resnet(depth)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[depth]
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == depth - 1


def test_forward_gives_a_score_a_class():
    model = cifar_resnet(20, num_classes=7).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("depth", [0, 2, 19, 21])
def test_impossible_depths_are_refused(depth):
    with pytest.raises(ValueError, match="6n \\+ 2"):
        cifar_resnet(depth)


def test_initial_weights_depend_on_the_seed_alone():
    first, second, third = cifar_resnet(20), cifar_resnet(20), cifar_resnet(20)
    initialise(first, 3)
    initialise(second, 3)
    initialise(third, 4)
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert not torch.equal(first.conv1.weight, third.conv1.weight)
    weight = first.layer3[1].conv1.weight
    # He normal: variance 2 / fan_in; 36,864 draws have a relative error of .007
    assert float(weight.detach().var()) == pytest.approx(2 / (64 * 9), rel=0.04)


def test_built_in_weights_fit_the_architecture_and_their_provenance():
    import hashlib

    from safetensors.torch import load

    folder = resources.files("cwda.models") / "weights"
    raw = (folder / "resnet20-cifar10.safetensors").read_bytes()
    provenance = json.loads((folder / "resnet20-cifar10.json").read_text())
    assert hashlib.sha256(raw).hexdigest() == provenance["sha256"]
    assert provenance["test_accuracy_percent"] >= 90
    model = cifar_resnet(provenance["recipe"]["depth"])
    model.load_state_dict(load(raw))


@pytest.mark.slow
def test_built_in_weights_reach_their_accuracy(shared_data):
    """The provenance names the accuracy on all 10,000 test images; here are the first 2,500."""
    import numpy as np
    from PIL import Image
    from safetensors.torch import load

    from cwda.models.data import Images
    from cwda.models.evaluate import accuracy

    folder = resources.files("cwda.models") / "weights"
    model = cifar_resnet(20)
    model.load_state_dict(load((folder / "resnet20-cifar10.safetensors").read_bytes()))
    mosaic = np.asarray(Image.open(shared_data / "cifar10" / "test-00.webp").convert("RGB"))
    tiles = mosaic.reshape(50, 32, 50, 32, 3).transpose(0, 2, 4, 1, 3).reshape(2500, 3, 32, 32)
    labels = np.load(shared_data / "cifar10" / "test-labels.npy")[:2500].astype(np.int64)
    images = Images(torch.from_numpy(np.ascontiguousarray(tiles)), torch.from_numpy(labels))
    assert accuracy(model.to(memory_format=torch.channels_last), images) > 89
