"""Files of torch.save and torch.jit.save in all their forms, against torch.load."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from cwda.errors import UnreadableError
from cwda.loading import load


def random(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16],
    ids=lambda dtype: str(dtype).removeprefix("torch."),
)
def test_types_of_elements(tmp_path, zipped, dtype):
    path = tmp_path / "model.pth"
    state = {"a.weight": random(4, 3, 3, 3, dtype=dtype), "b.weight": random(5, 4, 3, dtype=dtype)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    expected = torch.load(path, weights_only=True)
    for layer in load(path):
        weight = expected[f"{layer.name}.weight"]
        assert layer.weight.dtype == dtype
        assert torch.equal(layer.weight, weight)


def test_eight_bit_floats_become_float32(tmp_path):
    weight = random(4, 3, 3, 3).to(torch.float8_e4m3fn)
    torch.save({"a.weight": weight}, tmp_path / "model.pth")
    assert torch.equal(load(tmp_path / "model.pth")["a"].weight, weight.float())


@pytest.mark.parametrize("zipped", [True, False])
def test_views_and_shared_storages(tmp_path, zipped):
    path = tmp_path / "model.pth"
    base = random(6, 5, 4, 4)
    state = {
        "whole.weight": base,
        "part.weight": base[2:4, 1:],
        "turned.weight": base.permute(1, 0, 3, 2),
        "last.weight": base.to(memory_format=torch.channels_last),
        "tied.weight": base,
    }
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    expected = torch.load(path, weights_only=True)
    network = load(path)
    assert [layer.name for layer in network] == ["whole", "part", "turned", "last"]
    assert network.assumptions[-1] == (
        "one tensor under several names is one layer: whole also as tied"
    )
    for layer in network:
        assert layer.weight.is_contiguous()
        assert torch.equal(layer.weight, expected[f"{layer.name}.weight"])
        # Only the convolution's own elements are kept, not the storage that it shares.
        assert layer.weight.untyped_storage().nbytes() == layer.weight.numel() * 4


def test_parameters_with_state_and_subclasses(tmp_path):
    parameter = nn.Parameter(random(4, 3, 3, 3))
    parameter.note = "kept with the parameter"
    torch.save({"a.weight": parameter, "b.weight": nn.Buffer(random(4, 3, 3))}, tmp_path / "m.pth")
    network = load(tmp_path / "m.pth")
    assert torch.equal(network["a"].weight, parameter.detach())
    assert len(network) == 2


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_tensors_that_are_no_plain_numbers_are_listed(tmp_path):
    quantised = torch.quantize_per_tensor(random(4, 3, 3, 3), 0.1, 0, torch.qint8)
    state = {
        "good.weight": random(4, 3, 3, 3),
        "complex.weight": torch.complex(random(4, 3, 3, 3), random(4, 3, 3, 3)),
        "quantised.weight": quantised,
        "sparse.weight": random(4, 3, 3, 3).to_sparse(),
        "meta.weight": torch.empty(4, 3, 3, 3, device="meta"),
        "expanded.weight": random(1, 1, 3, 3).expand(64, 64, 3, 3),
        "integer.weight": torch.zeros(4, 3, 3, 3, dtype=torch.int8),
        "empty.weight": torch.zeros(0, 3, 3, 3),
        "deep.weight": torch.zeros(1, 1, 1, 1, 1, 1),
        "norm.weight": random(4, 3, 3),
        "norm.bias": random(4, 3, 3),
        "pos_embed": random(1, 5, 4),
    }
    torch.save(state, tmp_path / "m.pth")
    network = load(tmp_path / "m.pth")
    assert [layer.name for layer in network] == ["good"]
    assert {entry.name for entry in network.skipped} == set(state) - {"good.weight"}
    words = {entry.name.partition(".")[0]: entry.reason for entry in network.skipped}
    for key in ("complex", "quantised", "sparse", "meta", "expanded", "empty"):
        assert key in words[key]
    assert "int8" in words["integer"]
    reasons = {entry.name: entry.reason for entry in network.skipped}
    assert "normalisation" in reasons["norm.weight"]
    assert "6 axes" in words["deep"]


def test_pickled_tensors_without_torch_save(tmp_path):
    """pickle.dump of a state dict keeps each storage as a torch file of its own."""
    state = {"a.weight": random(4, 3, 3, 3), "b.weight": random(3, 2, 3).double()}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(state))
    for layer in load(tmp_path / "m.pkl"):
        assert torch.equal(layer.weight, state[f"{layer.name}.weight"])


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("code", ["<f4", ">f4", "<f8", "<f2"])
def test_pickled_arrays(tmp_path, protocol, order, code):
    array = np.asarray(random(4, 3, 5, 3).numpy().astype(code), order=order)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"a": {"weight": array}}, protocol=protocol))
    assert (load(tmp_path / "m.pkl")["a"].weight.numpy() == array).all()


def test_tensors_of_other_devices_are_kept_as_arrays(tmp_path):
    """XLA tensors are saved through numpy; the call is as PyTorch writes it."""

    class OnDevice:
        def __reduce__(self):
            rebuild = torch._utils._rebuild_device_tensor_from_numpy
            return rebuild, (weight.numpy(), torch.float32, "xla:0", False)

    weight = random(4, 3, 3, 3)
    torch.save({"a.weight": OnDevice()}, tmp_path / "m.pth")
    assert torch.equal(load(tmp_path / "m.pth")["a"].weight, weight)


def test_storages_of_cuda_are_read_on_the_cpu(tmp_path):
    path = tmp_path / "m.pth"
    weight = random(4, 3, 3, 3)
    buffer = io.BytesIO()
    torch.save({"a.weight": weight}, buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue().replace(b"\x03\x00\x00\x00cpu", b"\x06\x00\x00\x00cuda:3")
    path.write_bytes(data)
    assert torch.equal(load(path)["a"].weight, weight)


def test_big_endian_files(tmp_path):
    """As torch.save writes on such a machine: byte order in its own entry, data swapped."""
    import zipfile

    weight = random(4, 3, 3, 3)
    torch.save({"a.weight": weight}, tmp_path / "little.pth")
    with (
        zipfile.ZipFile(tmp_path / "little.pth") as source,
        zipfile.ZipFile(tmp_path / "big.pth", "w") as target,
    ):
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif "/data/" in name:
                data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
            target.writestr(name, data)
    assert torch.equal(load(tmp_path / "big.pth")["a"].weight, weight)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, groups=4), nn.ReLU(), nn.Conv1d(8, 1, 5))
        self.up = nn.ConvTranspose2d(8, 6, 2, groups=2)
        self.norm = nn.LayerNorm((6, 4, 4))

    def forward(self, x):
        return self.up(self.body[0](self.stem(x)))


def check_net(network, model):
    assert [layer.name for layer in network] == ["stem", "body.0", "body.2", "up"]
    assert [layer.groups for layer in network] == [1, 4, 1, 2]
    assert [layer.transposed for layer in network] == [False, False, False, True]
    assert torch.equal(network["body.0"].weight, model.body[0].weight)
    assert tuple(network["up"].weight.shape) == (6, 4, 2, 2)
    assert [entry.name for entry in network.skipped] == ["norm.weight", "norm.bias"]


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_module_tells_groups(pickled, zipped):
    """The class is not importable where the file is read."""
    values, path = pickled / "state.pth", pickled / f"{zipped}.pth"
    model = Net()
    model.load_state_dict(torch.load(values, weights_only=True))
    network = load(path)
    assert network.assumptions == ()
    check_net(network, model)


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    """A module in both formats, saved by a process whose class nobody else knows."""
    script = textwrap.dedent("""
        import sys, torch
        from torch import nn
        torch.manual_seed(0)
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.stem = nn.Conv2d(3, 8, 3)
                self.body = nn.Sequential(
                    nn.Conv2d(8, 8, 3, groups=4), nn.ReLU(), nn.Conv1d(8, 1, 5))
                self.up = nn.ConvTranspose2d(8, 6, 2, groups=2)
                self.norm = nn.LayerNorm((6, 4, 4))
        model = Net()
        for zipped in (True, False):
            path = f"{sys.argv[1]}/{zipped}.pth"
            torch.save(model, path, _use_new_zipfile_serialization=zipped)
        torch.save(model.state_dict(), f"{sys.argv[1]}/state.pth")
    """)
    folder = tmp_path_factory.mktemp("pickled")
    subprocess.run([sys.executable, "-c", script, folder], check=True)
    return folder


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("traced", [True, False])
def test_torchscript_tells_groups(tmp_path, traced):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(3, 8, 3)
            self.two = nn.Conv2d(8, 8, 3, groups=4)
            self.up = nn.ConvTranspose2d(8, 6, 2, groups=2)

        def forward(self, x):
            return self.up(self.two(self.one(x)))

    model = Plain().eval()
    script = torch.jit.trace(model, random(1, 3, 8, 8)) if traced else torch.jit.script(model)
    script.save(tmp_path / "m.pt")
    network = load(tmp_path / "m.pt")
    assert network.provenance.format == "TorchScript"
    assert [layer.groups for layer in network] == [1, 4, 2]
    assert [layer.transposed for layer in network] == [False, False, True]
    assert torch.equal(network["two"].weight, model.two.weight)
    assert network.assumptions == ()


def test_module_in_memory():
    model = Net()
    network = load(model)
    assert network.name == "Net"
    check_net(network, model)
    with torch.no_grad():
        model.stem.weight.zero_()
    assert network["stem"].weight.any()  # a copy, which later training does not change


def test_parametrised_and_lazy_modules():
    from torch.nn.utils import parametrizations

    model = nn.Sequential(
        parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.LazyConv2d(5, 3), nn.Conv2d(4, 4, 1)
    )
    with torch.no_grad():
        model[0].parametrizations.weight.original0.mul_(3)
    network = load(model)
    assert [layer.name for layer in network] == ["0", "2"]
    assert torch.equal(network["0"].weight, model[0].weight)
    assert [(entry.name, "lazy" in entry.reason) for entry in network.skipped] == [
        ("1.weight", True)
    ]


def test_functional_convolution_of_an_own_module():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(random(4, 3, 3, 3))

    assert [layer.name for layer in load(nn.Sequential(Own()))] == ["0"]


def test_module_without_convolution():
    with pytest.raises(UnreadableError, match="no convolution among"):
        load(nn.Linear(3, 4))


@pytest.mark.parametrize("kind", ["saved", "scripted"])
@pytest.mark.filterwarnings("ignore")
def test_archives_that_were_unpacked(tmp_path, kind):
    net = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ConvTranspose2d(8, 2, 3))
    if kind == "saved":
        torch.save(net.state_dict(), tmp_path / "best.pth")
    else:
        torch.jit.script(net).save(str(tmp_path / "best.pth"))
    wanted = load(tmp_path / "best.pth")
    with zipfile.ZipFile(tmp_path / "best.pth") as archive:
        archive.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    for source in (folder, folder / "data.pkl"):
        network = load(source)
        assert network.name == folder.name
        for layer, other in zip(network, wanted, strict=True):
            assert torch.equal(layer.weight, other.weight)
            assert (layer.name, layer.groups) == (other.name, other.groups)
    sha256 = load(folder).provenance.sha256
    storage = folder / "data" / "1"
    storage.write_bytes(bytes(storage.stat().st_size))
    assert load(folder).provenance.sha256 != sha256
    storage.unlink()
    with pytest.raises(UnreadableError, match="lacks the file data/1; unpack the archive again"):
        load(folder)
