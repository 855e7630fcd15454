"""Architectures by name, and trained weights in them."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from cwda.errors import SourceError, UnreadableError
from cwda.loading import load, load_model
from cwda.models import ARCHITECTURES, accuracy, build, cifar_resnet, read_images


@pytest.fixture(scope="session")
def cifar10_test(shared_data, tmp_path_factory):
    """The test images of CIFAR-10, normalised as the published networks were trained."""
    path = tmp_path_factory.mktemp("cifar10") / "cifar10.npz"
    script = shared_data / "cifar10" / "unpack.py"
    subprocess.run([sys.executable, str(script), str(path), "1"], check=True)
    return read_images(path, normalisation="imagenet").test


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_built_in_architectures_take_the_number_of_classes(name):
    model = build(name, num_classes=7).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_vgg16_has_the_convolutions_of_configuration_d():
    model = build("cifar_vgg16_bn")
    assert [layer.n_filters for layer in load(model)] == (
        [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    )


def test_architectures_of_torchvision_and_timm():
    assert build("resnet18", 5).fc.out_features == 5
    pytest.importorskip("timm")
    assert build("timm:resnet18", 5).fc.out_features == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "did you mean resnet"),
        ("cifar_resnet21", "did you mean cifar_resnet"),
        ("timm:nothing", "timm has no model"),
        ("???", "did you mean cifar_resnet20"),
    ],
)
def test_unknown_architectures_are_told_in_one_line(name, message):
    with pytest.raises(SourceError, match=message):
        build(name)


@pytest.mark.slow
def test_a_published_checkpoint_reaches_its_accuracy(shared_data, cifar10_test):
    """91.73 %: the file's best_prec1, in akamaster/pytorch_resnet_cifar10."""
    model = load_model(shared_data / "checkpoints" / "resnet20-12fca82f.th")
    # An image or two may change sides with the order of float32 sums.
    assert accuracy(model, cifar10_test) == pytest.approx(91.73, abs=0.02)


@pytest.mark.slow
def test_the_deepest_published_checkpoint_reaches_its_accuracy_on_a_sample(
    shared_data, cifar10_test
):
    """93.39 % of all test images, of 1,000 with a standard error of 0.8 %."""
    model = load_model(shared_data / "checkpoints" / "resnet56-4bfd9763.th")
    assert accuracy(model, cifar10_test.sample(1000)) == pytest.approx(93.39, abs=1.5)


def test_the_module_has_the_weights_that_load_reads(shared_data):
    path = shared_data / "checkpoints" / "resnet32-d509ac18.th"
    model = load_model(path)
    assert not model.training
    for ours, read in zip(load(model), load(path), strict=True):
        assert ours.name == read.name
        assert torch.equal(ours.weight, read.weight)


def test_names_of_built_in_weights():
    trained, untrained = load_model("resnet20-cifar10"), load_model("resnet20-cifar10:init")
    assert not torch.equal(trained.conv1.weight, untrained.conv1.weight)
    with pytest.raises(SourceError, match="neither a known model"):
        load_model("resnet20-cifar11x")


def test_a_checkpoint_tells_depth_width_and_classes(tmp_path):
    model = cifar_resnet(14, num_classes=100, width=8)
    path = tmp_path / "model.safetensors"
    save_file({f"module.{key}": value for key, value in model.state_dict().items()}, path)
    found = load_model(path)
    assert sum(p.numel() for p in found.parameters()) == sum(p.numel() for p in model.parameters())
    assert torch.equal(found.linear.weight, model.linear.weight)


def test_an_architecture_by_name_takes_the_classes_of_the_checkpoint(tmp_path):
    model = build("resnet18", 12)
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3, "optimizer": {}, "state_dict": model.state_dict()}, path)
    found = load_model(path, arch="resnet18")
    assert torch.equal(found.fc.weight, model.fc.weight)
    assert torch.equal(found.bn1.running_mean, model.bn1.running_mean)


def test_weights_that_do_not_fit_are_told_in_one_line(shared_data, tmp_path):
    checkpoints = shared_data / "checkpoints"
    with pytest.raises(SourceError, match="fit no built-in architecture; give arch=NAME"):
        load_model(checkpoints / "quirks" / "facenet-onet.pt")
    with pytest.raises(
        SourceError, match=r"do not fit CifarResNet: 180 are missing, such as layer1.3"
    ):
        load_model(checkpoints / "resnet20-12fca82f.th", arch="cifar_resnet56")
    state = cifar_resnet(8).state_dict()
    state["layer1.0.bn1.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(SourceError, match=r"bn1.weight has shape \(3,\), not \(16,\)"):
        load_model(tmp_path / "bad.safetensors")
    with pytest.raises(SourceError, match="no such file"):
        load_model(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no checkpoint at all")
    with pytest.raises(UnreadableError, match="text file"):
        load_model(tmp_path / "text.pt", arch="resnet18")


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("deeplabv3_mobilenet_v3_large", 4),
        ("lraspp_mobilenet_v3_large", 3),
        ("fasterrcnn_mobilenet_v3_large_fpn", 6),
        ("s3d", 7),
        ("squeezenet1_1", 5),
    ],
)
def test_every_kind_of_head_tells_the_number_of_classes(name, classes, tmp_path):
    model = build(name, classes)
    path = tmp_path / "own.pt"
    state = model.state_dict()
    if name.startswith("deeplab"):  # trained without the auxiliary output
        state = {key: value for key, value in state.items() if not key.startswith("aux_")}
    torch.save({"state_dict": {f"model.{key}": value for key, value in state.items()}}, path)
    found = load_model(path, arch=name).state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_optical_flow_has_no_classes():
    assert build("raft_small") is not None
    with pytest.raises(SourceError, match="gives optical flow, not classes"):
        build("raft_small", 3)
