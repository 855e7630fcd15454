"""Objects that hold arrays show themselves in a few lines."""

import dataclasses
import importlib
import pkgutil
import re

import numpy as np
import pandas as pd
import pytest
import torch

import cwda
from cwda.brief import brief
from cwda.models import ImageData, Images

ARRAYS = re.compile(r"Tensor|Array\b|NDArray|DataFrame|nn\.Module")
BIG = 600


def classes():
    """All dataclasses of the package, each from the file that defines it."""
    for module in pkgutil.walk_packages(cwda.__path__, "cwda."):
        if module.name == "cwda.__main__":
            continue
        names = vars(importlib.import_module(module.name))
        for kind in names.values():
            if _is_record(kind) and kind.__module__ == module.name:
                yield kind


def public():
    """Dataclasses that a room hands out."""
    for room in pkgutil.iter_modules(cwda.__path__):
        module = importlib.import_module(f"cwda.{room.name}")
        for name in () if room.name == "__main__" else getattr(module, "__all__", ()):
            if _is_record(kind := getattr(module, name)):
                yield kind


def _is_record(kind):
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def made_up(kind):
    """An object with large values in its fields, whatever they mean."""
    record = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(record, field.name, value_of(str(field.type)))
    return record


def value_of(text):
    tensor = torch.zeros(BIG, 3)
    for pattern, value in (
        (r"^(Mapping|dict)", {f"layer{i}": tensor for i in range(BIG)}),
        (r"Tensor", tensor),
        (r"Array\b|NDArray", np.zeros((BIG, 3))),
        (r"DataFrame", pd.DataFrame({f"column{i}": range(BIG) for i in range(9)})),
        (r"Module", torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(BIG)))),
        (r"ImageData", ImageData(*[torch.zeros(9, 3, 2, 2), torch.arange(9)] * 2)),
        (r"^tuple|^list|^frozenset", tuple(f"name{i}" for i in range(BIG))),
        (r"float", 1 / 3),
        (r"int", BIG),
    ):
        if re.search(pattern, text):
            return value
    return "a name" * BIG


CLASSES = sorted(
    {kind for kind in classes() if kind.__repr__ is brief}, key=lambda kind: kind.__qualname__
)


def test_what_is_handed_out_with_arrays_does_not_show_them():
    holding = {
        kind
        for kind in public()
        if any(ARRAYS.search(str(field.type)) for field in dataclasses.fields(kind))
    }
    assert {"BlockCovariance", "Filters", "ConvLayer", "ImageData"} <= {k.__name__ for k in holding}
    # That which `dataclass` makes shows every number.
    assert {kind for kind in holding if hasattr(kind.__repr__, "__wrapped__")} == set()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_object_with_arrays_shows_itself_in_a_few_lines(kind):
    assert len(repr(made_up(kind))) < 400


def test_images_layers_networks_and_statistics_show_what_they_are():
    images = Images(torch.zeros(9, 3, 4, 5, dtype=torch.uint8), torch.arange(9))
    assert repr(images) == "Images: 9 of 3 channels, 4 x 5 pixels, labels up to 8"
    data = ImageData(images.pixels, images.labels, images.pixels[:2], images.labels[:2])
    assert repr(data) == (
        "ImageData: 9 training and 2 test images of 3 channels, 4 x 5 pixels, labels up to 8"
    )
    network = cwda.load("resnet20-cifar10")
    described = cwda.conditions.block_covariance(network["layer3.0.conv1"])
    assert "blocks=<float64 32 x 9 x 9>" in repr(described)
    for value in (network, network[0], described, cwda.conditions.mean):
        assert len(repr(value)) < 400
