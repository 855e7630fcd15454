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
from cwda.answers import Answer
from cwda.models import ImageData, Images

ROOMS = ("calibration", "comparison", "conditions", "layers", "models", "numerics")
ROOMS += ("coupling", "pruning", "scoring", "study", "theory", "tracing")
#: Of the machinery inside a function, never handed out, or with a few numbers in a mapping.
INTERNAL = {"Arm", "Followers", "Measurement", "Padding", "Record", "Site", "Use"}
#: Results whose text is a table, which their own tests check.
TABLES = {"Applicability", "CheckResult", "Comparison", "ConditionResult", "Coupling"}
TABLES |= {"GeometryResult", "GlobalPruning", "Plan", "PredictedSimilarity", "Removal"}
TABLES |= {"SimilarityResult"}
HOLDS = re.compile(r"Tensor|Array\b|NDArray|DataFrame|Module|Mapping|dict\[|Geometry|Statistics")
BIG = 600


def classes():
    for found in pkgutil.walk_packages(cwda.__path__, "cwda."):
        if found.name.split(".")[1] not in ROOMS:
            continue
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            kind = getattr(module, name)
            if (
                dataclasses.is_dataclass(kind)
                and isinstance(kind, type)
                and kind.__module__ == found.name
                and name not in INTERNAL | TABLES
                and not issubclass(kind, Answer)  # shown as a table, which their tests check
                and any(HOLDS.search(str(field.type)) for field in dataclasses.fields(kind))
            ):
                yield kind


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


CLASSES = sorted(set(classes()), key=lambda kind: kind.__qualname__)
#: Shown below, with values that mean something to them.
OWN = {"Condition", "Images", "ImageData", "ConvLayer", "Network", "Collected"}


def test_the_objects_with_arrays_are_found():
    names = {kind.__name__ for kind in CLASSES}
    assert {"BlockCovariance", "Filters", "ConvLayer", "ImageData", "Geometry", "Shares"} <= names


@pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if kind.__name__ not in OWN], ids=lambda kind: kind.__name__
)
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
