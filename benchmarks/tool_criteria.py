"""What the criteria of other tools compute, against the formula that each is named after.

``python -m benchmarks.tool_criteria`` prints the table of ``docs/neighbours.md``. Every tool is
asked through its own code; one that is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from types import ModuleType

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune

import cwda
from cwda.scoring import Filters, collect, get_criterion

__all__ = ["audit"]

#: Images of the criteria from data, all in one batch.
IMAGES = 32


@dataclass(frozen=True)
class Case:
    """A convolution with its model, and the gradients and statistics of a batch of images."""

    name: str
    model: nn.Module
    conv: nn.Conv2d
    images: Tensor
    labels: Tensor
    filters: Filters


Scores = Callable[[Case], Tensor]


@dataclass(frozen=True)
class Entry:
    """A criterion of a tool, and the criterion of this package with the formula of its name."""

    tool: str
    criterion: str
    formula: str
    scores: Scores


def audit() -> list[tuple[str, str, str, str]]:
    """Rows (tool, criterion, formula, rank correlations with it: built-in model, drawn layers)."""
    real, drawn = list(built_in()), list(drawn_layers())
    for tool in TOOLS:
        if not version(tool):
            print(f"{tool}: not installed, left out", file=sys.stderr)
    rows = []
    for entry in entries():
        found = [_coefficients(entry, cases) for cases in (real, drawn)]
        tool, criterion = f"{entry.tool} {version(entry.tool)}", f"`{entry.criterion}`"
        rows.append((tool, criterion, f"`{entry.formula}`", " / ".join(map(_shown, found))))
    return rows


def _coefficients(entry: Entry, cases: Iterable[Case]) -> list[float]:
    """Spearman coefficients with the formula, one per layer in which both exist."""
    found = []
    for case in cases:
        scores = entry.scores(case).detach().double()
        expected = get_criterion(entry.formula)(case.filters)
        found.append(float(spearmanr(scores, expected).statistic))
    return found


def _shown(coefficients: list[float]) -> str:
    least, average = min(coefficients), mean(coefficients)
    text = f"{average:.3f} (from {least:.3f})" if least < 0.9995 else "1"
    return text.replace("0.", ".")


def built_in() -> Iterator[Case]:
    """A layer of each stage of the built-in ResNet-20, coupled with no other, and random images."""
    model = cwda.load_model("resnet20-cifar10")
    names = [f"layer{stage}.1.conv1" for stage in (1, 2, 3)]
    yield from _cases(model, names, (IMAGES, 3, 32, 32))


def drawn_layers() -> Iterator[Case]:
    """Layers with filters of various scales and means, and some near zero, behind a BatchNorm."""
    for seed, channels in enumerate((16, 32, 64)):
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = nn.Sequential(
                nn.Conv2d(8, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, 12, 3),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(12, 5),
            ).eval()
        conv, norm = model[0], model[1]
        with torch.no_grad():
            scale = (0.5 * torch.randn(channels, generator=generator)).exp()
            scale[:2] *= 1e-3
            shift = 0.05 * torch.randn(channels, generator=generator)
            conv.weight.mul_(scale.view(-1, 1, 1, 1)).add_((scale * shift).view(-1, 1, 1, 1))
            norm.weight.copy_(torch.rand(channels, generator=generator))
            norm.running_var.copy_(scale.square() / 3)
        yield from _cases(model, ["0"], (IMAGES, 8, 12, 12))


def _cases(model: nn.Module, names: list[str], shape: tuple[int, ...]) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(shape, generator=generator)
    labels = model(images).argmax(1)
    needs = {need for entry in entries() for need in get_criterion(entry.formula).needs}
    once = collect(
        model, needs, data=(images, labels), batch_size=IMAGES, device="cpu", progress=False
    )
    network = cwda.load(model)
    for name in names:
        conv = model.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        filters = Filters.of(network[name], statistics=once.layers[name])
        yield Case(name, model, conv, images, labels, filters)


def entries() -> Iterator[Entry]:
    """All criteria of the tools that are installed."""
    for tool, listed in TOOLS.items():
        if version(tool):
            yield from listed()


def version(tool: str) -> str:
    """The version of a package; empty if it is not installed."""
    try:
        return importlib.metadata.version(tool).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


# torch -----------------------------------------------------------------------------------------


def _of_torch() -> Iterator[Entry]:
    from torch.ao.pruning._experimental.pruner.FPGM_pruner import FPGMPruner
    from torch.ao.pruning._experimental.pruner.saliency_pruner import SaliencyPruner

    yield Entry("torch", "prune.ln_structured(n=1)", "l1", lambda case: _ln(case, 1))
    yield Entry("torch", "prune.ln_structured(n=2)", "l2", lambda case: _ln(case, 2))
    yield Entry("torch", "ao.pruning SaliencyPruner", "l1", lambda case: _ao(SaliencyPruner, case))
    yield Entry("torch", "ao.pruning FPGMPruner", "gm", lambda case: _ao(FPGMPruner, case))


def _order(masks: Iterable[Tensor]) -> Tensor:
    """Ranks of filters, from masks of more and more of them."""
    return torch.stack([mask.flatten(1).any(1).double() for mask in masks]).sum(0)


def _ln(case: Case, n: int) -> Tensor:
    def mask(amount: int) -> Tensor:
        conv = copy.deepcopy(case.conv)
        return prune.ln_structured(conv, "weight", amount, n=n, dim=0).weight_mask

    return _order(mask(amount) for amount in range(1, case.conv.out_channels))


def _ao(kind: type, case: Case) -> Tensor:
    channels = case.conv.out_channels

    def mask(level: float) -> Tensor:
        model = nn.Sequential(copy.deepcopy(case.conv), nn.ReLU())
        pruner = kind(None) if kind.__name__ == "SaliencyPruner" else kind(level)
        pruner.prepare(model, [{"tensor_fqn": "0.weight", "sparsity_level": level}])
        pruner.step()
        return model[0].parametrizations.weight[0].mask[:, None]

    return _order(mask((amount + 0.25) / channels) for amount in range(1, channels))


# Torch-Pruning ---------------------------------------------------------------------------------


def _of_torch_pruning() -> Iterator[Entry]:
    from torch_pruning import importance as tp

    first = {"group_reduction": "first", "normalizer": None}
    kinds: list[tuple[str, str, Callable[[Case], Tensor]]] = [
        ("MagnitudeImportance(p=1), first layer", "l1", _tp(tp.MagnitudeImportance, p=1, **first)),
        ("MagnitudeImportance(p=2), first layer", "l2", _tp(tp.MagnitudeImportance, p=2, **first)),
        ("MagnitudeImportance(), as it comes", "l2", _tp(tp.MagnitudeImportance)),
        ("MagnitudeImportance(p=1), group", "l1", _tp(tp.MagnitudeImportance, p=1)),
        ("LAMPImportance()", "l2", _tp(tp.LAMPImportance)),
        ("FPGMImportance(p=1), first layer", "gm", _tp(_fpgm(), p=1, **first)),
        ("FPGMImportance(), first layer", "gm", _tp(_fpgm(), **first)),
        ("FPGMImportance(), as it comes", "gm", _tp(_fpgm())),
        ("BNScaleImportance()", "bn_gamma", _tp(tp.BNScaleImportance)),
        ("TaylorImportance(), first layer", "snip", _tp(tp.TaylorImportance, **first)),
        ("TaylorImportance(), as it comes", "taylor_l1", _tp(tp.TaylorImportance)),
        ("HessianImportance(), first layer", "obd", _tp(tp.HessianImportance, **first)),
        ("HessianImportance(), as it comes", "obd", _tp(tp.HessianImportance)),
        ("OBDCImportance()", "obd", _obdc),
        ("ActivationImportance()", "mean_activation", _activation),
    ]
    for name, formula, scores in kinds:
        yield Entry("torch-pruning", name, formula, scores)


def _fpgm() -> type:
    from torch_pruning.pruner.importance import FPGMImportance

    return FPGMImportance


def _group(case: Case, model: nn.Module) -> tuple[object, nn.Conv2d]:
    import torch_pruning

    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=case.images[:1])
    conv = model.get_submodule(case.filters.name)
    assert isinstance(conv, nn.Conv2d)
    every = list(range(conv.out_channels))
    return graph.get_pruning_group(conv, torch_pruning.prune_conv_out_channels, every), conv


def _tp(kind: type, **options: object) -> Callable[[Case], Tensor]:
    """The scores of a layer's group, with gradients made as its documentation says."""

    def scores(case: Case) -> Tensor:
        model, importance = copy.deepcopy(case.model), kind(**options)
        loss = F.cross_entropy(model(case.images), case.labels, reduction="none")
        if hasattr(importance, "accumulate_grad"):
            for one in loss:
                model.zero_grad()
                one.backward(retain_graph=True)
                importance.accumulate_grad(model)
        else:
            loss.mean().backward()
        return importance(_group(case, model)[0])

    return scores


def _obdc(case: Case) -> Tensor:
    from types import SimpleNamespace

    import torch_pruning
    from torch_pruning.pruner.importance import OBDCImportance

    model, importance = copy.deepcopy(case.model), OBDCImportance(num_classes=-1)
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=case.images[:1])
    pruner = SimpleNamespace(
        DG=graph,
        ignored_layers=[],
        root_module_types=[nn.Conv2d],
        _downstream_node_as_root_if_attention=lambda group: group,
    )
    importance._prepare_model(model, pruner)
    F.cross_entropy(model(case.images), case.labels).backward()
    importance.step()
    conv = model.get_submodule(case.filters.name)
    every = list(range(conv.out_channels))
    return importance(graph.get_pruning_group(conv, torch_pruning.prune_conv_out_channels, every))


def _activation(case: Case) -> Tensor:
    from torch_pruning.pruner.importance import ActivationImportance

    model, importance = copy.deepcopy(case.model), ActivationImportance()
    with importance.compute_importance(model):
        model(case.images)
    return importance(_group(case, model)[0])


# NNI, NNCF, fasterai ---------------------------------------------------------------------------


def _of_nni() -> Iterator[Entry]:
    yield Entry("nni", "L1NormPruner", "l1", lambda case: _nni(case, "L1NormPruner"))
    yield Entry("nni", "L2NormPruner", "l2", lambda case: _nni(case, "L2NormPruner"))
    yield Entry("nni", "FPGMPruner", "gm", lambda case: _nni(case, "FPGMPruner"))


def _nni(case: Case, name: str) -> Tensor:
    """Ranks of filters, from the masks of more and more of them."""
    from nni.compression import pruning

    channels = case.conv.out_channels

    def mask(amount: int) -> Tensor:
        model = nn.Sequential(copy.deepcopy(case.conv), nn.ReLU())
        chosen = [{"op_names": ["0"], "sparse_ratio": (amount + 0.25) / channels}]
        _, masks = getattr(pruning, name)(model, chosen).compress()
        return masks["0"]["weight"]

    return _order(mask(amount) for amount in range(1, channels))


def _of_nncf() -> Iterator[Entry]:
    for name, formula in (("L1", "l1"), ("L2", "l2"), ("geometric_median", "gm")):
        yield Entry("nncf", f'filter_importance="{name}"', formula, _nncf(name))


def _nncf(name: str) -> Scores:
    # Its functions need torch alone; the package around them wants a torch of its time.
    module = _alone("nncf", "torch/pruning/filter_pruning/functions.py")
    return lambda case: module.FILTER_IMPORTANCE_FUNCTIONS[name](case.conv.weight.detach())


def _alone(package: str, file: str) -> ModuleType:
    """One file of an installed package, without the package."""
    path = Path(str(importlib.metadata.distribution(package).locate_file(package))) / file
    spec = importlib.util.spec_from_file_location(f"audited_{package}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _of_fasterai() -> Iterator[Entry]:
    for name, formula in (("large_final", "l1"), ("squared_final", "l2")):
        yield Entry("fasterai", f"{name}, filter", formula, _fasterai(name))


def _fasterai(name: str) -> Scores:
    from fasterai.core import criteria

    return lambda case: getattr(criteria, name)(case.conv, "filter", squeeze=True).flatten()


#: Distributions, and their criteria.
TOOLS: dict[str, Callable[[], Iterator[Entry]]] = {
    "torch": _of_torch,
    "torch-pruning": _of_torch_pruning,
    "nni": _of_nni,
    "nncf": _of_nncf,
    "fasterai": _of_fasterai,
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tools' own
        rows = audit()
    print("| tool | criterion | formula of its name | built-in ResNet-20 / drawn layers |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
