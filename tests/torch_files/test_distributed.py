"""Folders of torch.distributed.checkpoint, written by PyTorch itself."""

from __future__ import annotations

import io
import pickle

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import metadata as described
from torch.distributed.checkpoint.filesystem import _StorageInfo

from cwda.errors import CwdaError, UnreadableError
from cwda.loading import load

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


A, B = random(7, 5, 3, 3), random(6, 7, 3, 3, seed=1)


def test_a_folder_of_one_process(tmp_path):
    folder = tmp_path / "step-10"
    optimizer = {"state": {"a.weight": {"exp_avg": A.clone()}}}
    state = {"model": {"a.weight": A, "b.weight": B.half()}, "optimizer": optimizer, "epoch": 3}
    dcp.save(state, checkpoint_id=folder)
    network = load(folder)
    assert network.name == "step-10"
    assert network.provenance.format == "torch distributed"
    assert [layer.name for layer in network] == ["a", "b"]
    assert torch.equal(network["a"].weight, A)
    assert torch.equal(network["b"].weight, B.half())
    assert [entry.reason for entry in network.skipped] == ["optimizer state"]
    assert load(folder / ".metadata").provenance == network.provenance


def sharded(folder, tensor=A, cuts=((0, 3), (3, 7)), **changes):
    """A folder in which rows of one tensor lie in a shard each, as FSDP writes it."""
    folder.mkdir(exist_ok=True)
    kept = described.TensorProperties(dtype=tensor.dtype)
    chunks, places = [], {}
    for rank, (begin, end) in enumerate(cuts):
        offsets = torch.Size([begin, *[0] * (tensor.ndim - 1)])
        part, data = tensor[begin:end].clone(), io.BytesIO()
        torch.save(part, data)
        name = f"__{rank}_0.distcp"
        (folder / name).write_bytes(b"\0" * 64 + data.getvalue() + b"\0" * 64)
        chunks.append(described.ChunkStorageMetadata(offsets=offsets, sizes=part.shape))
        where = {"relative_path": name, "offset": 64, "length": len(data.getvalue())} | changes
        places[described.MetadataIndex("a.weight", offsets)] = _StorageInfo(**where)
    tensors = {"a.weight": described.TensorStorageMetadata(kept, tensor.shape, chunks)}
    whole = described.Metadata(state_dict_metadata=tensors, storage_data=places)
    (folder / ".metadata").write_bytes(pickle.dumps(whole))
    return folder


def test_shards_are_put_together(tmp_path):
    assert torch.equal(load(sharded(tmp_path / "m"))["a"].weight, A)
    three = sharded(tmp_path / "m", cuts=((0, 1), (1, 6), (6, 7)))
    assert torch.equal(load(three)["a"].weight, A)
    digest = load(three).provenance.sha256
    sharded(tmp_path / "m", A + 1, cuts=((0, 1), (1, 6), (6, 7)))
    assert load(three).provenance.sha256 != digest


@pytest.mark.parametrize(
    ("cuts", "message"),
    [(((0, 3), (4, 7)), "do not make up the whole"), (((0, 3), (2, 6)), "overlap")],
)
def test_shards_that_do_not_fit(tmp_path, cuts, message):
    with pytest.raises(UnreadableError, match=message):
        load(sharded(tmp_path / "m", cuts=cuts))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relative_path": "../x"}, "outside"),
        ({"relative_path": "/etc/passwd"}, "outside"),
        ({"relative_path": "gone.distcp"}, "missing"),
        ({"relative_path": "a\0b"}, "outside"),
        ({"offset": 2**60}, "cut off"),
        ({"offset": -1}, "cut off"),
        ({"offset": "x"}, "damaged"),
        ({"length": 2**50}, "cut off"),
        ({"length": 8}, "larger than its bytes"),
        ({"transform_descriptors": ["zstd"]}, "unknown way"),
    ],
)
def test_places_that_are_not_there(tmp_path, changes, message):
    with pytest.raises(CwdaError, match=message) as caught:
        load(sharded(tmp_path / "m", **changes))
    assert caught.value.__cause__ is None
    # A line of ours is not put into another one.
    wrapped = message in ("damaged", "larger than its bytes")
    assert ("the metadata are damaged" in str(caught.value)) is wrapped


def test_a_shard_that_holds_another_tensor(tmp_path):
    folder, data = sharded(tmp_path / "m"), io.BytesIO()
    torch.save(torch.zeros(3, 5, 3, 1), data)
    old = (folder / "__0_0.distcp").read_bytes()
    new = b"\0" * 64 + data.getvalue()
    (folder / "__0_0.distcp").write_bytes(new + b"\0" * (len(old) - len(new)))
    with pytest.raises(UnreadableError):
        load(folder)


def test_a_single_shard_asks_for_its_folder(tmp_path):
    dcp.save({"a.weight": A, "b.weight": B}, checkpoint_id=tmp_path / "m")
    with pytest.raises(UnreadableError, match="give its folder"):
        load(tmp_path / "m" / "__0_0.distcp")


def test_a_folder_without_metadata(tmp_path):
    dcp.save({"a.weight": A, "b.weight": B}, checkpoint_id=tmp_path / "m")
    (tmp_path / "m" / ".metadata").unlink()
    with pytest.raises(UnreadableError, match=r"without its \.metadata"):
        load(tmp_path / "m")
