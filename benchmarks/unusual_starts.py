"""What networks are like whose weights were never trained, and are no normal draws either.

Run with ``python -m benchmarks.unusual_starts CHECKPOINT...``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

import cwda
from cwda.conditions import NetworkVerdict
from cwda.conditions.whole.likeness import PATTERNS
from cwda.layers import Network


def main(sources: list[str]) -> None:
    """Print a row of the table in docs/network.md for each law."""
    networks = [network for source in sources if len(network := cwda.load(source)) > 3]
    print(f"{len(networks)} networks")
    print("| weights | trained | open | untrained | S, smallest to largest |")
    for words, law in LAWS.items():
        found = [verdict_of(network, law) for network in networks]
        likes = Counter(verdict.like for verdict in found)
        counts = " | ".join(str(likes[like]) for like in ("trained", "open", "untrained"))
        low, *_, high = sorted(verdict.structure for verdict in found)
        print(f"| {words} | {counts} | {low:.2f} to {high:.2f} |", flush=True)


def verdict_of(network: Network, law: Callable[[Tensor], Tensor]) -> NetworkVerdict:
    """The verdict on a network of the same shapes with weights of this law."""
    torch.manual_seed(0)
    weights = {f"{layer.name}.weight": law(layer.weight) for layer in network}
    (verdict,) = cwda.check(weights, PATTERNS, progress=False).network.verdicts
    return verdict


def uniform(weight: Tensor) -> Tensor:
    """Between 0 and 1."""
    return torch.rand(weight.shape, dtype=torch.float64)


def log_normal(weight: Tensor) -> Tensor:
    """Of the median 1; all are positive."""
    return normal(weight).exp()


def masked(weight: Tensor) -> Tensor:
    """Normal, with the later half of the positions of each kernel fixed at 0."""
    drawn = normal(weight)
    kernels = drawn.flatten(2)
    kernels[:, :, kernels.shape[2] // 2 + 1 :] = 0
    return kernels.reshape(drawn.shape)


def cauchy(weight: Tensor) -> Tensor:
    """Without mean or variance."""
    return normal(weight) / normal(weight).abs()


def student_2(weight: Tensor) -> Tensor:
    """Student's law with 2 degrees of freedom: a mean, but no variance."""
    return normal(weight) / ((normal(weight) ** 2 + normal(weight) ** 2) / 2).sqrt()


def student_3(weight: Tensor) -> Tensor:
    """Student's law with 3 degrees of freedom: a variance, but no kurtosis."""
    squares = sum(normal(weight) ** 2 for _ in range(3))
    return normal(weight) / (squares / 3) ** 0.5


def laplace(weight: Tensor) -> Tensor:
    """The double exponential law."""
    return normal(weight).sign() * -torch.rand(weight.shape, dtype=torch.float64).log()


def delta_orthogonal(weight: Tensor) -> Tensor:
    """An orthogonal matrix in the middle of the kernels, 0 beside it."""
    drawn = torch.zeros(weight.shape, dtype=torch.float64)
    kernels = drawn.flatten(2)
    middle = torch.empty(kernels.shape[:2], dtype=torch.float64)
    kernels[:, :, kernels.shape[2] // 2] = torch.nn.init.orthogonal_(middle)
    return kernels.reshape(drawn.shape)


def normal(weight: Tensor) -> Tensor:
    return torch.randn(weight.shape, dtype=torch.float64)


LAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": normal,
    "Laplace": laplace,
    "Student, 3 degrees of freedom": student_3,
    "Student, 2 degrees of freedom": student_2,
    "Cauchy": cauchy,
    "uniform on 0 to 1": uniform,
    "log-normal": log_normal,
    "masked: half of the positions 0": masked,
    "delta-orthogonal": delta_orthogonal,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
