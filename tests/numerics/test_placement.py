"""What does not fit into the memory of a GPU: the CPU takes over, or one line says what to do.

The meta device stands for a GPU that "auto" has chosen and that is full.
"""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch

import cwda
from cwda.comparison import geometry
from cwda.conditions.workspace import Workspace
from cwda.errors import CwdaError, OutOfMemory
from cwda.layers import ConvLayer, Network, Provenance
from cwda.models import ImageData, batches, cifar_resnet, initialise
from cwda.numerics import device as devices
from cwda.numerics.device import Placement, is_out_of_memory, resolve_device
from cwda.numerics.threads import FEW
from cwda.scoring.statistics.collect import collect

FULL = torch.device("meta")
ADVICE = "out of memory on meta; take device 'cpu', or 'auto'"


def fail(device):
    if torch.device(device) == FULL:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.fixture
def gpu(monkeypatch):
    """A machine whose GPU is full."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def resolve(device="auto"):
        return FULL if device == "auto" else resolve_device(device)

    monkeypatch.setattr(devices, "resolve_device", resolve)
    monkeypatch.setattr(batches, "resolve_device", resolve)
    make, blocks, move = Workspace.__init__, ConvLayer.blocks, torch.nn.Module.to

    def workspace(self, layer, device, *given, **options):
        fail(device)
        make(self, layer, device, *given, **options)

    def weights(self, device="cpu"):
        fail(device)
        return blocks(self, device)

    def to(self, *given, **options):
        for each in given:
            if isinstance(each, torch.device):
                fail(each)
        return move(self, *given, **options)

    monkeypatch.setattr(Workspace, "__init__", workspace)
    monkeypatch.setattr(ConvLayer, "blocks", weights)
    monkeypatch.setattr(torch.nn.Module, "to", to)
    return FULL


@pytest.fixture(scope="module")
def network():
    generator = torch.Generator().manual_seed(0)
    layers = (
        ConvLayer(name, torch.randn(16, 8, 3, 3, generator=generator)) for name in ("first", "last")
    )
    return Network("net", tuple(layers), Provenance("random", "array"))


@pytest.fixture(scope="module")
def model():
    model = cifar_resnet(8, num_classes=4)
    initialise(model, seed=0)
    return model


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (16, 3, 32, 32), dtype=np.uint8))
    labels = torch.arange(16) % 4
    return ImageData(pixels, labels, pixels, labels)


ANSWERS = {
    "check": cwda.check,
    "scores": cwda.scores,
    "similarity": cwda.similarity,
    "predict": cwda.theory.predict,
    "geometry": geometry,
    "applicability": cwda.applicability,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_cpu_takes_over_with_the_same_numbers(name, network, gpu, caplog):
    expected = ANSWERS[name](network, device="cpu").table
    with caplog.at_level(logging.WARNING):
        found = ANSWERS[name](network, device="auto").table
    assert found.equals(expected)
    said = [record.getMessage() for record in caplog.records]
    assert "layer first: out of memory on meta; computed on the CPU instead" in said


@pytest.mark.parametrize("name", ANSWERS)
def test_a_device_that_was_named_gives_rows_with_a_reason(name, network, gpu):
    table = ANSWERS[name](network, device=gpu).table
    assert len(table) > 0
    assert table["reason"].str.contains(ADVICE, regex=False).all()


def test_only_what_does_not_fit_is_lost(network, monkeypatch):
    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("cwda.numerics.distances.geometry.Geometry.distances", property(full))
    table = cwda.scores(network, ["l1", "gm"], device="cpu").wide("first")
    assert table["l1"].notna().all()
    assert table["gm"].isna().all()


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        ("cwda.scoring.similarity.kendall", cwda.similarity),
        ("cwda.theory.simulation.importance_scores", cwda.theory.simulate),
        ("cwda.conditions.description._block_covariance", cwda.describe),
    ],
)
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_layer_that_does_not_fit_loses_itself_only(network, monkeypatch, place, answer, error):
    module, name = place.rsplit(".", 1)
    module = sys.modules[module]
    compute, calls = getattr(module, name), []

    def full(*given, **options):
        calls.append(given)
        if len(calls) == 1:
            raise error
        return compute(*given, **options)

    expected = answer(network, device="cpu").table.set_index("layer")
    monkeypatch.setattr(module, name, full)
    table = answer(network, device="cpu").table.set_index("layer")
    assert table.loc[["first"], "reason"].str.startswith("out of memory on cpu").all()
    assert table.loc[["last"]].equals(expected.loc[["last"]])


def test_passes_over_images(model, data, gpu, caplog):
    one, other = (collect(model, "activations", data=data, device=d) for d in ("cpu", "auto"))
    for name, layer in one.layers.items():
        mean = layer.present["activations"].mean
        assert torch.equal(mean, other.layers[name].present["activations"].mean)
    assert "the pass over the images: out of memory on meta" in caplog.text
    assert cwda.accuracy(model, data, device="auto") == cwda.accuracy(model, data, device="cpu")
    for call in (collect, cwda.accuracy):
        with pytest.raises(OutOfMemory, match="out of memory on meta; take device 'cpu'"):
            call(model, data=data, device=gpu)


def test_batches_that_come_once_are_not_asked_for_twice(model, data, gpu):
    once = iter(data.train.batches(8))
    with pytest.raises(OutOfMemory, match="take device 'cpu'"):
        collect(model, "activations", data=once, device="auto")
    assert len(list(once)) == 2  # nothing was taken from them


def test_an_experiment(model, data, gpu, caplog):
    request = {"criteria": ["l1"], "ratios": 0.5, "strategies": "layerwise"}
    expected = cwda.experiment.run_experiment(model, data, device="cpu", **request)
    found = cwda.experiment.run_experiment(model, data, device="auto", **request)
    columns = ["accuracy", "filters_pruned"]
    assert found.table[columns].equals(expected.table[columns])
    assert "the experiment: out of memory on meta" in caplog.text
    with pytest.raises(OutOfMemory, match="take device 'cpu'"):
        cwda.experiment.run_experiment(model, data, device=gpu, **request)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        OutOfMemory("out of memory with a single image"),
    ],
)
def test_errors_that_say_that_memory_ran_out(error):
    assert is_out_of_memory(error)

    def full(device):
        raise error

    with pytest.raises(OutOfMemory, match="out of memory"):
        Placement("cpu", "work").run(full)


def test_other_errors_pass():
    def broken(device):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Placement("cpu", "work").run(broken)
    with pytest.raises(CwdaError, match="cannot be used"):
        Placement("nowhere", "work")


@pytest.mark.parametrize(("weights", "threads"), [(FEW - 1, 1), (FEW, 2)])
def test_few_weights_are_left_to_one_thread(weights, threads):
    """Also where the work fails, torch has its threads back."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        placement = Placement("cpu", "a layer", weights)
        assert placement.run(lambda device: torch.get_num_threads()) == threads
        with pytest.raises(ZeroDivisionError):
            placement.run(lambda device: 1 / 0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
