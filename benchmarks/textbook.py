"""How often textbook tests reject layers that obey CWDA: ``python -m benchmarks.textbook``.

Designs: `iid` (independent normal weights), `blocks` (weights of a channel with correlation .1),
`scale` (filters whose scales are log-normal with SD .2), `zero-sum mean` (means of +-.3 RMS that
cancel within a filter, which CWDA excludes).
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.textbook_tests import TESTS
from cwda.textbook_tests.weights import Weights

DESIGNS = ("iid", "blocks", "scale", "zero-sum mean")
SIZES = ((16, 16, 9), (64, 16, 9), (512, 16, 9))


def drawn(design: str, size: tuple[int, int, int], rng: np.random.Generator) -> Weights:
    """A layer of this design."""
    n, channels, _ = size
    x = rng.normal(size=size)
    if design == "blocks":
        x = np.sqrt(0.9) * x + np.sqrt(0.1) * rng.normal(size=(n, channels, 1))
    elif design == "scale":
        x *= np.exp(0.2 * rng.normal(size=(n, 1, 1)))
    elif design == "zero-sum mean":
        x += 0.3 * np.where(np.arange(channels) % 2, 1, -1)[:, None]
    return Weights(ConvLayer("layer", torch.from_numpy(x)))


def rejections(design: str, size: tuple[int, int, int], replicates: int) -> dict[str, float]:
    """Share of the layers that a test fails at .05; NaN where it does not apply."""
    rng = np.random.default_rng(0)
    found: dict[str, list[bool]] = {test.name: [] for test in TESTS}
    for _ in range(replicates):
        weights = drawn(design, size, rng)
        for test in TESTS:
            try:
                p = test.compute(weights).pvalues
            except CwdaError:
                continue
            pvalue = min(1.0, float(len(p) * np.nanmin(p)))
            found[test.name].append(not test.passes(pvalue, 0.05))
    return {name: float(np.mean(fails)) if fails else float("nan") for name, fails in found.items()}


def main(replicates: int = 100) -> None:
    """Print the table."""
    cells = [(design, size) for design in DESIGNS for size in SIZES]
    table = [rejections(*cell, replicates) for cell in cells]
    for (design, size), row in zip(cells, table, strict=True):
        print(f"# {design}, {' x '.join(map(str, size))}, {replicates} layers", flush=True)
        print("\n".join(f"{name:30s} {rate:.2f}" for name, rate in row.items()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
