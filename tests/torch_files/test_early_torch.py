"""Files as PyTorch 0.1 to 0.4 and Python 2 wrote them, against what `torch.load` makes of them.

The writers below follow ``torch/tensor.py`` and ``torch/serialization.py`` of those versions: a
tensor was its class, an empty tuple and a state; before version 0.1.10 a file was a tar archive.
"""

from __future__ import annotations

import collections
import io
import pickle
import struct
import tarfile
import warnings

import pytest
import torch
from torch import nn

from cwda.errors import UnreadableError
from cwda.loading import load

pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class EarlyTensor:
    """Pickled as PyTorch 0.1 pickled a tensor, or a variable around it."""

    def __init__(self, tensor, kind=torch.FloatTensor):
        self.tensor, self.kind = tensor, kind

    def __reduce__(self):
        t = self.tensor
        return self.kind, (), (t.storage(), t.storage_offset(), tuple(t.size()), t.stride())


class EarlyParameter:
    """A parameter: its class around the tensor, then (requires_grad, volatile, hooks)."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        hooks = collections.OrderedDict()
        return nn.Parameter, (EarlyTensor(self.tensor),), (True, False, hooks)


def same_as_torch(path, names):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.load(path, weights_only=False)
    network = load(path)
    assert [layer.name for layer in network] == names
    for layer in network:
        assert torch.equal(layer.weight, expected[f"{layer.name}.weight"].detach())
    return network


BASE = random(6, 5, 4, 4)
STATE = {"a.weight": random(4, 3, 3, 3), "part.weight": BASE[2:4, 1:], "turned.weight": BASE.mT}


@pytest.mark.parametrize("early", [EarlyTensor, EarlyParameter])
@pytest.mark.parametrize("protocol", [1, 2])
def test_tensors_with_a_state(tmp_path, early, protocol):
    path = tmp_path / "m.pth"
    state = collections.OrderedDict((key, early(value)) for key, value in STATE.items())
    torch.save(state, path, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    network = same_as_torch(path, ["a", "part", "turned"])
    assert network.provenance.format == "torch legacy"


class EarlyVariable:
    """A variable whose state begins with its data, as the very first versions wrote it."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return nn.Parameter, (), (EarlyTensor(self.tensor), None, None, True, False)


def test_variables_with_their_data_in_the_state(tmp_path):
    path = tmp_path / "m.pth"
    state = {key: EarlyVariable(value) for key, value in STATE.items()}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    same_as_torch(path, ["a", "part", "turned"])


@pytest.mark.parametrize("name", ["FloatTensor", "DoubleTensor", "HalfTensor"])
def test_tensors_of_the_gpu(tmp_path, name):
    """torch.load would need the GPU; the names of classes are all that differs."""
    path, kind = tmp_path / "m.pth", getattr(torch, name)
    weight = random(4, 3, 3, 3).to(kind.dtype)
    torch.save({"a.weight": EarlyTensor(weight, kind)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    for word in (name, name.replace("Tensor", "Storage")):
        old, new = f"ctorch\n{word}\n".encode(), f"ctorch.cuda\n{word}\n".encode()
        assert old in data
        data = data.replace(old, new)
    data = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    path.write_bytes(data)
    assert torch.equal(load(path)["a"].weight, weight)


def python2(data):
    """The same pickle with the short strings of Python 2 in place of unicode."""
    text = io.BytesIO()
    view, place = memoryview(data), 0
    while place < len(data):
        length = int.from_bytes(view[place + 1 : place + 5], "little")
        word = bytes(view[place + 5 : place + 5 + length])
        if view[place : place + 1] == b"X" and 0 < length < 60 and word.isascii():
            text.write(b"U" + bytes([length]) + word)
            place += 5 + length
        else:
            text.write(view[place : place + 1])
            place += 1
    return text.getvalue()


def test_strings_of_python_2(tmp_path):
    path = tmp_path / "m.pth"
    state = {"a.weight": EarlyTensor(torch.zeros(4, 3, 3, 3)), "epoch": 3, "arch": "resnet"}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    path.write_bytes(python2(path.read_bytes()))
    assert b"U\x08a.weight" in path.read_bytes()
    same_as_torch(path, ["a"])


def test_keys_of_bytes(tmp_path):
    """A Python 2 file that was loaded with encoding="bytes" and saved again."""
    path = tmp_path / "m.pth"
    torch.save({b"state_dict": {b"conv.weight": random(4, 3, 3, 3)}}, path)
    assert [layer.name for layer in load(path)] == ["conv"]


def test_modules_of_protocol_1(tmp_path):
    """Protocols 0 and 1 make objects by a function of the standard library."""
    path, module = tmp_path / "m.pth", nn.Sequential(nn.Conv2d(4, 8, 3, groups=2))
    torch.save(module, path, _use_new_zipfile_serialization=False, pickle_protocol=1)
    layer = load(path)["0"]
    assert torch.equal(layer.weight, module[0].weight.detach())
    assert layer.groups == 2


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1480000000.5  # a header of its own before each
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


class _Persistent(pickle.Pickler):
    """Tensors become the text of their keys, as in the member ``pickle``."""

    def persistent_id(self, value):
        return str(id(value)) if isinstance(value, torch.Tensor) else None


def early_tar(state, views=()):
    """The three members as ``torch.save`` of version 0.1 wrote them.

    `views` are tensors over a storage of their own that is a part of another's.
    """
    storages, tensors, objects = io.BytesIO(), io.BytesIO(), io.BytesIO()
    roots = {t.untyped_storage().data_ptr(): t for t in state.values()}
    pickle.dump(len(roots), storages, 2)
    for key, tensor in roots.items():
        whole = tensor.untyped_storage()
        pickle.dump((key, "cpu", torch.FloatStorage), storages, 2)
        storages.write(struct.pack("<q", whole.nbytes() // 4) + bytes(whole))
    parts = [
        (n, t.untyped_storage().data_ptr(), t.storage_offset(), t.numel())
        for n, t in enumerate(views)
    ]
    pickle.dump(parts, storages, 2)
    pickle.dump(len(state), tensors, 2)
    for tensor in state.values():
        viewed = [n for n, part in enumerate(views) if part is tensor]
        key = viewed[0] if viewed else tensor.untyped_storage().data_ptr()
        offset = 0 if viewed else tensor.storage_offset()
        pickle.dump((id(tensor), key, torch.FloatTensor), tensors, 2)
        n = tensor.ndim
        tensors.write(struct.pack("<q", n))
        tensors.write(struct.pack(f"<{2 * n + 1}q", *tensor.shape, *tensor.stride(), offset))
    _Persistent(objects, 2).dump(state)
    return {
        "sys_info": pickle.dumps({"protocol_version": 1000}, 2),
        "storages": storages.getvalue(),
        "tensors": tensors.getvalue(),
        "pickle": objects.getvalue(),
    }


@pytest.mark.parametrize("with_views", [False, True])
def test_tar_files_of_the_first_versions(tmp_path, with_views):
    path = tmp_path / "m.pth.tar"
    views = [STATE["part.weight"][:1, :1]] if with_views else []
    state = STATE | {f"view{n}.weight": view for n, view in enumerate(views)}
    path.write_bytes(tar_of(early_tar(state, views)))
    names = [key.removesuffix(".weight") for key in state]
    network = same_as_torch(path, names)
    assert network.provenance.format == "torch tar"


@pytest.mark.parametrize("member", ["storages", "tensors", "pickle"])
def test_damaged_tar_files(tmp_path, member):
    path, members = tmp_path / "m.tar", early_tar(STATE)
    for data in (members[member][: len(members[member]) // 2], pickle.dumps(2**70, 2), b""):
        path.write_bytes(tar_of(members | {member: data}))
        with pytest.raises(UnreadableError) as caught:
            load(path)
        assert caught.value.__cause__ is None


def test_views_past_their_storage_are_refused(tmp_path):
    members = early_tar({"a.weight": random(2, 3, 3, 3)})
    for offset, length in ((0, 10**6), (-1, 3)):
        stream = io.BytesIO(members["storages"])
        pickle.load(stream)  # noqa: S301
        root = pickle.load(stream)[0]  # noqa: S301
        end = len(members["storages"]) - len(pickle.dumps([], 2))
        views = pickle.dumps([(5, root, offset, length)], 2)
        (tmp_path / "m.tar").write_bytes(
            tar_of(members | {"storages": members["storages"][:end] + views})
        )
        with pytest.raises(UnreadableError, match="past its storage"):
            load(tmp_path / "m.tar")


def test_tar_archives_of_other_things(tmp_path):
    path = tmp_path / "m.tar"
    path.write_bytes(tar_of({"model_config.yaml": b"a: 1", "model_weights.ckpt": b"x"}))
    with pytest.raises(UnreadableError, match=r"tar archive \(it holds model_config.yaml"):
        load(path)
