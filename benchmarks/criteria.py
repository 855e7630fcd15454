"""Speed of criteria, similarity and predictions, beside loops and other tools."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

import cwda
from benchmarks.timing import Row, once, seconds, times
from cwda.layers import ConvLayer, Network, Provenance
from cwda.models import cifar_resnet, initialise

__all__ = ["criteria", "dead_filters", "predictions"]


def criteria() -> list[Row]:
    """GM and Fermat of 512 filters of 4,608 weights, by several ways."""
    weight = torch.randn(512, 512, 3, 3, generator=torch.Generator().manual_seed(0))
    layer = ConvLayer("conv", weight)
    gm = seconds(lambda: cwda.scores(layer, ["gm"], device="cpu"), 15)
    fermat = seconds(lambda: cwda.scores(layer, ["fermat"], device="cpu"), 15)
    rows = [
        ("cwda.scores, GM, 512 x 4608", f"{1000 * gm:.0f} ms", ""),
        ("cwda.scores, Fermat, 512 x 4608", f"{1000 * fermat:.0f} ms", ""),
    ]
    others: dict[str, Callable[[], object]] = {
        "GM by torch.cdist, exact, float64": lambda: _cdist(weight.double()),
        "GM by a loop over filters, as NNI has it": lambda: _loop(weight),
        "Torch-Pruning, FPGMImportance (of squared weights)": lambda: _torch_pruning(weight),
    }
    for name, call in others.items():
        own = seconds(call, 5)
        rows.append((name, f"{1000 * own:.0f} ms", times(own / gm, "the time of GM")))
    return rows


def dead_filters() -> list[Row]:
    """Layers of which many filters are dead, beside healthy ones of the same shape."""
    rows: list[Row] = []
    large, small = (512, 512, 3), (16, 3, 3)
    cases = {"GM": (large, 0.4, 0.7), "Fermat": (large, 0.4, 0.7), "simulate()": (small, 0.1, 0.2)}
    for name, ((n, channels, k), *shares) in cases.items():
        weight = torch.randn(n, channels, k, k, generator=torch.Generator().manual_seed(0))
        call = _simulate if name == "simulate()" else partial(_score, name.lower())
        healthy = seconds(partial(call, weight), 7)
        for share, spread in ((shares[0], 0.0), (shares[1], 0.0), (shares[1], 3.0)):
            size = 1e-3 * torch.linspace(-spread, spread, int(share * n)).exp()
            dead = weight.clone()
            dead[: len(size)] *= size[:, None, None, None]
            own = seconds(partial(call, dead), 7)
            text = f"{name}, {n} x {channels * k * k}, {len(size)} filters at {size[0]:.0e}"
            text += f" to {size[-1]:.0e}" if spread else ""
            rows.append((text, f"{1000 * own:.0f} ms", times(own / healthy, "the healthy layer")))
    return rows


def _score(criterion: str, weight: Tensor) -> object:
    return cwda.scores(ConvLayer("conv", weight), [criterion], device="cpu")


def _simulate(weight: Tensor) -> object:
    layer = ConvLayer("conv", weight)
    return cwda.theory.simulate(layer, rungs="cross-fitted", draws=200, device="cpu")


def _cdist(weight: Tensor) -> Tensor:
    filters = weight.flatten(1)
    return torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist").sum(1)


def _loop(weight: Tensor) -> Tensor:
    filters = weight.flatten(1)
    return torch.stack([(filters - each).norm(dim=1).sum() for each in filters])


def _torch_pruning(weight: Tensor) -> object:
    import torch_pruning

    conv = nn.Conv2d(512, 512, 3, bias=False)
    conv.weight.data = weight
    graph = torch_pruning.DependencyGraph().build_dependency(conv, torch.zeros(1, 512, 3, 3))
    group = graph.get_pruning_group(conv, torch_pruning.prune_conv_out_channels, list(range(512)))
    return torch_pruning.importance.FPGMImportance()(group)


def predictions() -> list[Row]:
    """ResNet-56: 55 layers, four criteria, five rungs."""
    model = cifar_resnet(56)
    initialise(model, seed=0)
    network = cwda.load(model)
    few = Network("few", network.layers[:1], Provenance("random", "array"))
    cwda.theory.simulate(few, draws=40)
    one_rung = once(lambda: cwda.theory.simulate(network, rungs="scale", draws=200))
    calls: dict[str, Callable[[], object]] = {
        "similarity(), measured": lambda: cwda.similarity(network),
        "predict(), closed form": lambda: cwda.theory.predict(network),
        "applicability()": lambda: cwda.applicability(network),
        "global_pruning(), four ratios, two rungs": lambda: cwda.global_pruning(network),
    }
    rows = [(f"{name}, ResNet-56", f"{seconds(call, 3):.2f} s", "") for name, call in calls.items()]
    slow = once(lambda: cwda.theory.simulate(network, draws=200))
    return [
        *rows,
        ("simulate(), 200 draws, one rung, ResNet-56", f"{one_rung:.1f} s", ""),
        ("simulate(), 200 draws, five rungs, ResNet-56", f"{slow:.1f} s", ""),
    ]
