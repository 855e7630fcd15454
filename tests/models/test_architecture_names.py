"""The architectures of torchvision that a checkpoint fits, by its keys and shapes."""

import subprocess
import sys

import pytest
import torch

from cwda.errors import SourceError
from cwda.loading import load_model
from cwda.loading.architectures import naming
from cwda.loading.runnable import architectures
from cwda.models.build import shapes_of


def saved(path, shapes, prefix=""):
    """A checkpoint of these shapes, in which all values are one."""
    one = torch.ones(())
    torch.save({f"{prefix}{key}": one.expand(shape) for key, shape in shapes.items()}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "model.", "module.backbone."])
@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenet_v3_small", "vgg11_bn", "squeezenet1_1", "densenet121", "r3d_18"],
)
def test_a_state_dict_has_the_name_that_fits(tmp_path, name, prefix):
    assert architectures(saved(tmp_path / "net.pth", shapes_of(name), prefix)) == [name]


@pytest.mark.parametrize("name", ["resnet18", "regnet_y_400mf", "deeplabv3_mobilenet_v3_large"])
def test_the_number_of_classes_may_be_another(tmp_path, name):
    shapes = shapes_of(name, 7)
    assert shapes != shapes_of(name)
    assert architectures(saved(tmp_path / "net.pth", shapes)) == [name]


def test_what_is_optional_may_be_absent(tmp_path):
    shapes = shapes_of("deeplabv3_mobilenet_v3_large")
    kept = {key: shape for key, shape in shapes.items() if not naming.OPTIONAL.fullmatch(key)}
    assert len(kept) < len(shapes)
    found = architectures(saved(tmp_path / "net.pth", kept))
    assert found == ["deeplabv3_mobilenet_v3_large"]


@pytest.mark.parametrize(
    "change",
    [
        lambda shapes: shapes | {"layer1.0.conv1.weight": (60, 64, 3, 3)},
        lambda shapes: shapes | {"fc.weight": (9, 512)},  # the bias has other classes
        lambda shapes: shapes | {"layer1.2.conv1.weight": (64, 64, 3, 3)},
        lambda shapes: {key: shapes[key] for key in shapes if key != "layer4.1.bn2.bias"},
    ],
)
def test_one_key_or_shape_that_does_not_fit_is_enough(tmp_path, change):
    path = saved(tmp_path / "net.pth", change(dict(shapes_of("resnet18"))))
    assert architectures(path) == []
    with pytest.raises(SourceError, match="its keys"):
        load_model(path)


def test_names_that_keys_and_shapes_do_not_tell_apart_are_all_said(tmp_path):
    name = "fasterrcnn_mobilenet_v3_large_fpn"
    path = saved(tmp_path / "net.pth", shapes_of(name))
    both = [name.replace("_fpn", "_320_fpn"), name]
    assert architectures(path) == both
    choice = rf"those of {both[0]} and {name}; give arch={both[0]} or arch={name}$"
    with pytest.raises(SourceError, match=choice):
        load_model(path)


def test_other_networks_do_not_wait_for_torchvision(tmp_path):
    path = saved(tmp_path / "net.pth", {"first.weight": (8, 3, 3, 3), "last.weight": (4, 8)})
    code = (
        "import sys; from cwda.loading.runnable import architectures; "
        f"assert architectures({str(path)!r}) == []; assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torchvision_no_name_is_known(tmp_path, monkeypatch):
    path = saved(tmp_path / "net.pth", shapes_of("resnet18"))
    naming._code.cache_clear()
    monkeypatch.setattr(naming.importlib.util, "find_spec", lambda name: None)
    assert architectures(path) == []
    naming._code.cache_clear()
