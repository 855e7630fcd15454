"""The shape of the images that a known architecture takes."""

import pytest
import torch

from cwda.models import build
from cwda.models.input_shape import usual_input_shape


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("cifar_resnet20", (3, 32, 32)),
        ("cifar_vgg16_bn", (3, 32, 32)),
        ("squeezenet1_1", (3, 224, 224)),
        ("inception_v3", (3, 299, 299)),
        ("r3d_18", (3, 16, 112, 112)),
    ],
)
def test_the_shape_of_images_follows_from_the_architecture(name, shape):
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = build(name)
        other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
    assert usual_input_shape(model) == shape
    assert usual_input_shape(other) is None
