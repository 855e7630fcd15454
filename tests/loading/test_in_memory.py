"""Sources in memory: arrays, layers, networks, and what is none of these."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from cwda.errors import SourceError
from cwda.layers import layer_from_array
from cwda.loading import load, load_model, runnable
from cwda.loading.sources import model_and_network_of


def test_arrays_of_the_paper():
    array = np.arange(3 * 9 * 8, dtype=np.float64).reshape(3, 9, 8)
    for source in (array, torch.from_numpy(array)):
        network = load(source, name="mine")
        assert network.name == "mine"
        assert (network.layers[0].array == array).all()
    with pytest.raises(SourceError, match="N x k\\^2 x N'"):
        load(array[0])


def test_networks_and_layers_pass_through():
    layer = layer_from_array(np.ones((3, 9, 8)))
    network = load(layer)
    assert network.layers == (layer,)
    assert load(network) is network


def test_objects_of_other_types_are_refused():
    with pytest.raises(SourceError, match="type int"):
        load(3)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"groups": {"c": "4"}}, r"groups for 'c' is '4' .str.; give a whole number of 1 or more"),
        ({"groups": {"c": 2.0}}, r"is '2.0' .float."),
        ({"groups": {"c": True}}, r"is 'True' .bool."),
        ({"groups": {"c": 0}}, "is 0; give a whole number"),
        ({"groups": {2: 2}}, "groups has a pattern of type int"),
        ({"groups": 4}, "groups is of type int; give a mapping"),
        ({"groups": [("c", 4)]}, "groups is of type list"),
        ({"transposed": ["c"]}, r"transposed is of type list; give a text: glob.*up\*"),
        ({"transposed": True}, "transposed is of type bool"),
        ({"weights_key": 3}, "weights_key is of type int"),
        ({"name": 3}, "name is of type int"),
        ({"layout": "OIHH"}, "each once"),
    ],
)
def test_options_of_other_types_are_refused_in_one_line(options, line):
    with pytest.raises(SourceError, match=line):
        load({"c.weight": torch.zeros(16, 4, 3, 3)}, **options)


def test_whole_numbers_of_numpy_are_groups():
    layer = load({"c.weight": torch.zeros(16, 4, 3, 3)}, groups={"c": np.int64(4)})["c"]
    assert type(layer.groups) is int
    assert layer.groups == 4


def modules_after(code):
    """The rooms of cwda that a fresh process has imported after a program."""
    program = (
        f"{code}\nimport sys\nprint(*{{m.split('.')[1] for m in sys.modules if m[:5] == 'cwda.'}})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_scoring_a_module_reads_no_file():
    imported = modules_after(
        "import cwda\nfrom torch import nn\n"
        "model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))\n"
        "assert len(cwda.scores(model, ['l1', 'l2']))"
    )
    assert {"loading", "scoring"} <= imported
    assert not {"checkpoints", "zoo", "onnx_files", "keras_files"} & imported


@pytest.mark.parametrize("named", [True, False])
def test_a_model_and_its_network_are_read_once(tmp_path, monkeypatch, named):
    torch.save(load_model("resnet20-cifar10").state_dict(), tmp_path / "mine.pth")
    source = "resnet20-cifar10" if named else tmp_path / "mine.pth"
    reads = []
    read = runnable.read_checkpoint
    monkeypatch.setattr(runnable, "read_checkpoint", lambda path: reads.append(path) or read(path))
    model, network = model_and_network_of(source)
    expected = load(source)
    assert len(reads) == 1
    assert network.name == expected.name == ("resnet20-cifar10" if named else "mine")
    assert all(map(torch.equal, weights(network), weights(expected)))
    assert not model.training


def weights(network):
    return [layer.weight for layer in network]
