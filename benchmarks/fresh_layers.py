"""What networks are like of which some layers are as before training.

Run with ``python -m benchmarks.fresh_layers CHECKPOINT...``.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

import cwda
from cwda.conditions import NetworkVerdict
from cwda.conditions.whole.likeness import PATTERNS
from cwda.layers import ConvLayer, Network


def main(sources: list[str]) -> None:
    """Print a row of the table in docs/network.md for each way."""
    networks = [network for source in sources if len(network := cwda.load(source)) > 3]
    print(f"{len(networks)} networks")
    print("| layers drawn anew | trained | open | untrained | so told | share of weights, off by |")
    for words, fresh in WAYS.items():
        rows = [(network, fresh(network)) for network in networks]
        print(f"| {words} | {told([_Found.of(*row) for row in rows])} |", flush=True)


@dataclass(frozen=True)
class _Found:
    """What is said of a network, and the share of its weights that was drawn anew."""

    verdict: NetworkVerdict
    drawn: float

    @classmethod
    def of(cls, network: Network, names: set[str]) -> _Found:
        torch.manual_seed(0)
        weights = {
            f"{layer.name}.weight": drawn_anew(layer) if layer.name in names else layer.weight
            for layer in network
        }
        (verdict,) = cwda.check(weights, PATTERNS, progress=False).network.verdicts
        drawn = sum(layer.n_weights for layer in network if layer.name in names)
        return cls(verdict, drawn / network.n_weights)


def told(found: Sequence[_Found]) -> str:
    """Verdicts; how often layers drawn anew are told; how far their share of the weights is off."""
    counts = Counter(each.verdict.like for each in found)
    likes = " | ".join(str(counts[like]) for like in ("trained", "open", "untrained"))
    hidden = [each for each in found if each.verdict.like == "trained" and each.drawn > 0.1]
    said = sum("before training" in each.verdict.sentences[-1] for each in hidden)
    other = [each for each in found if each not in hidden]
    falsely = sum("before training" in each.verdict.sentences[-1] for each in other)
    off = sorted(abs(each.verdict.untrained_weights - each.drawn) for each in found)
    shares = f"{off[len(off) // 2]:.2f}, at most {off[-1]:.2f}"
    return f"{likes} | {said} of {len(hidden)}; {falsely} of {len(other)} others | {shares}"


def drawn_anew(layer: ConvLayer) -> torch.Tensor:
    """Normal weights of the same scale."""
    scale = float(layer.weight.double().pow(2).mean().sqrt()) or 1.0
    return scale * torch.randn(layer.weight.shape, dtype=torch.float64)


def first(network: Network, share: float) -> set[str]:
    """The first layers, of this share of the number."""
    return {layer.name for layer in network.layers[: math.ceil(share * len(network))]}


def last(network: Network, share: float) -> set[str]:
    return {layer.name for layer in network.layers[-math.ceil(share * len(network)) :]}


WAYS: dict[str, Callable[[Network], set[str]]] = {
    "as trained": lambda network: set(),
    "a new stem": lambda network: {network.layers[0].name},
    "first half of the layers new": lambda network: first(network, 0.5),
    "last quarter new": lambda network: last(network, 0.25),
    "last half new": lambda network: last(network, 0.5),
    "all but the last layer new": lambda network: {x.name for x in network.layers[:-1]},
    "all but the stem new": lambda network: {x.name for x in network.layers[1:]},
    "all new": lambda network: {x.name for x in network},
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
