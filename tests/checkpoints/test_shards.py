"""Checkpoints of several files, and folders."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from cwda.errors import SourceError, UnreadableError
from cwda.loading import load, load_model


def random(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def sharded(folder):
    save_file({"a.weight": random(4, 3, 3, 3)}, folder / "x-1.safetensors")
    save_file({"b.weight": random(4, 4, 3, 3)}, folder / "x-2.safetensors")
    index = {"weight_map": {"a.weight": "x-1.safetensors", "b.weight": "x-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder / "model.safetensors.index.json"


def test_sharded_safetensors_by_index_and_by_folder(tmp_path):
    index = sharded(tmp_path)
    by_index, by_folder = load(index), load(tmp_path)
    assert [layer.name for layer in by_index] == ["a", "b"]
    assert by_index.name == "model"
    assert by_index.provenance.format == "sharded"
    assert by_index.provenance == by_folder.provenance
    save_file({"b.weight": random(4, 4, 3, 3) + 1}, tmp_path / "x-2.safetensors")
    assert load(index).provenance.sha256 != by_index.provenance.sha256


def test_sharded_pickles(tmp_path):
    torch.save({"a.weight": random(4, 3, 3, 3)}, tmp_path / "p-1.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a.weight": "p-1.bin"}}))
    assert len(load(index)) == 1


def test_broken_shards(tmp_path):
    index = sharded(tmp_path)
    save_file({"c.weight": random(1)}, tmp_path / "x-2.safetensors")
    with pytest.raises(UnreadableError, match=r"lack 1 tensors, such as b\.weight"):
        load(index)
    (tmp_path / "x-2.safetensors").unlink()
    with pytest.raises(SourceError, match=r"x-2\.safetensors is missing"):
        load(index)
    index.write_text("[]")
    with pytest.raises(UnreadableError, match="weight_map"):
        load(index)


@pytest.mark.parametrize(
    "name",
    ["model-{}-of-00003.safetensors", "pytorch_model-{}-of-00003.bin", "m.fp16-{}-of-00003.pt",
     "m-{}-of-00003.fp16.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("first", [0, 1])
def test_shards_without_an_index(tmp_path, name, first):
    states = [{f"{key}.weight": random(4, 3, 3, 3)} for key in "abc"]
    shards = [tmp_path / name.format(f"{first + n:05}") for n in range(3)]
    for state, shard in zip(states, shards, strict=True):
        (save_file if name.endswith("safetensors") else torch.save)(state, shard)
    whole = load(tmp_path)
    assert [layer.name for layer in whole] == ["a", "b", "c"]
    assert whole.name in ("model", "pytorch_model", "m.fp16", "m")
    for shard in shards:
        network = load(shard)
        assert len(network) == 3
        assert network.provenance == whole.provenance
        assert "put together from all shards" in network.assumptions[0]
    shards[1].unlink()
    for source in (tmp_path, shards[0], shards[2]):
        with pytest.raises(SourceError, match=f"one of 3 shards, and {shards[1].name} is missing"):
            load(source)


def test_a_shard_beside_its_index(tmp_path):
    index = sharded(tmp_path)
    network = load(tmp_path / "x-2.safetensors")
    assert [layer.name for layer in network] == ["a", "b"]
    assert network.provenance == load(index).provenance
    assert "put together from all shards" in network.assumptions[0]
    save_file({"other.weight": random(4, 3, 3, 3)}, tmp_path / "other.safetensors")
    assert [layer.name for layer in load(tmp_path / "other.safetensors")] == ["other"]


def test_shards_by_processor_are_refused(tmp_path):
    for n in (1, 2):
        torch.save({"a.weight": random(4, 3, 3, 3)}, tmp_path / f"m-0000{n}-of-00002.pt")
    with pytest.raises(UnreadableError, match=r"several shards hold a\.weight"):
        load(tmp_path)


def test_networks_that_run_are_put_together_too(tmp_path):
    state = load_model("resnet20-cifar10").state_dict()
    for number, part in enumerate([list(state)[:50], list(state)[50:]], 1):
        shard = {name: state[name] for name in part}
        torch.save(shard, tmp_path / f"pytorch_model-0000{number}-of-00002.bin")
    for source in (tmp_path, tmp_path / "pytorch_model-00002-of-00002.bin"):
        loaded = load_model(source).state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_folders_with_one_and_several_checkpoints(tmp_path):
    with pytest.raises(SourceError, match="without a checkpoint"):
        load(tmp_path)
    save_file({"a.weight": random(4, 3, 3, 3)}, tmp_path / "one.safetensors")
    assert len(load(tmp_path)) == 1
    save_file({"a.weight": random(4, 3, 3, 3)}, tmp_path / "two.safetensors")
    with pytest.raises(SourceError, match=r"2 checkpoints \(one\.safetensors, two"):
        load(tmp_path)
