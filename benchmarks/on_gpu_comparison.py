"""The answers of the CPU and of a GPU for the same networks, cell by cell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import torch

import cwda
from cwda.choices import Strategy
from cwda.comparison import geometry
from cwda.layers import Network
from cwda.models import Images
from cwda.scoring.catalogue import NORM_BASED

__all__ = ["Comparison", "compare_networks", "compared"]

#: Largest difference of effects and other numbers computed in float64, absolute where the number
#: is below 1 and relative above.
TOLERANCE = 1e-8
#: The same for p-values, which magnify differences of their statistic.
OF_PVALUES = 1e-6
#: Convolutions run in float32.
OF_DATA = 1e-5

BUILT_IN = "resnet20-cifar10"
_SHOWN = 20


@dataclass(frozen=True)
class Comparison:
    """Two tables of the same answer.

    Attributes
    ----------
    rows : int
        Rows compared.
    largest : float
        Largest difference of two numbers.
    differences : tuple of str
        Cells that differ by more than is allowed, in words.
    """

    rows: int
    largest: float = 0.0
    differences: tuple[str, ...] = field(default=())


Answer = Callable[[Network, str], pd.DataFrame]


def _masks(network: Network, device: str) -> pd.DataFrame:
    """Which filters each criterion prunes."""
    rows = []
    for strategy in get_args(Strategy):
        for criterion in NORM_BASED:
            for ratio in (0.3, 0.5):
                plan = cwda.pruning.select(
                    network, criterion, ratio, strategy=strategy, device=device
                )
                for layer, filters in plan.pruned.items():
                    rows.append((strategy, criterion, ratio, layer, str(sorted(filters))))
    return pd.DataFrame(rows, columns=["strategy", "criterion", "ratio", "layer", "pruned"])


ANSWERS: dict[str, Answer] = {
    "check": lambda network, device: cwda.check(network, device=device).table,
    "scores": lambda network, device: cwda.scores(network, device=device).table,
    "similarity": lambda network, device: cwda.similarity(network, device=device).table,
    "predict": lambda network, device: cwda.theory.predict(network, device=device).table,
    "geometry": lambda network, device: geometry(network, device=device).table,
    "masks": _masks,
}


def compared(ours: pd.DataFrame, theirs: pd.DataFrame, tolerance: float = TOLERANCE) -> Comparison:
    """Compare two tables cell by cell; numbers up to a tolerance, all else exactly.

    Examples
    --------
    >>> one = pd.DataFrame({"verdict": ["holds"], "effect": [0.5]})
    >>> two = pd.DataFrame({"verdict": ["fails"], "effect": [0.5 + 1e-6]})
    >>> for difference in compared(one, two).differences:
    ...     print(difference)
    row 0 (holds): verdict holds, fails
    row 0 (holds): effect 0.5, 0.500001 (1e-06)
    """
    if ours.shape != theirs.shape or list(ours) != list(theirs):
        return Comparison(len(ours), np.inf, (f"shapes {ours.shape}, {theirs.shape}",))
    largest, differences = 0.0, []
    for column in ours:
        a, b = ours[column], theirs[column]
        if pd.api.types.is_float_dtype(a) and pd.api.types.is_float_dtype(b):
            x, y = a.to_numpy(float), b.to_numpy(float)
            apart = np.abs(x - y) / np.maximum(1, np.abs(x))
            apart[(x == y) | (np.isnan(x) & np.isnan(y))] = 0.0
            apart[np.isnan(apart)] = np.inf
            bound = max(tolerance, OF_PVALUES) if "pvalue" in str(column) else tolerance
            largest = max(largest, float(apart.max(initial=0.0)))
            for row in np.flatnonzero(apart > bound):
                about = f"{column} {x[row]:.9g}, {y[row]:.9g} ({apart[row]:.1g})"
                differences.append(f"row {row} ({_name(ours, row)}): {about}")
        else:
            for row in np.flatnonzero([str(x) != str(y) for x, y in zip(a, b, strict=True)]):
                about = f"{column} {str(a[row])[:80]}, {str(b[row])[:80]}"
                differences.append(f"row {row} ({_name(ours, row)}): {about}")
    return Comparison(len(ours), largest, tuple(differences))


def _name(table: pd.DataFrame, row: int) -> str:
    """The words of a row that say which it is."""
    keys = ("layer", "condition", "criterion", "criterion_a", "criterion_b", "rung", "quantity")
    words = [str(table[key][row]) for key in keys if key in table]
    return ", ".join(words or [str(table.iloc[row, 0])])


def compare_networks(weights: Sequence[Path], device: torch.device) -> None:
    """Print a table per network and each difference below it: a run cut off loses little."""
    print(
        "Verdicts, selections and words are equal and numbers agree to 1e-8 (p-values 1e-6, those"
    )
    print("of float32 passes over images 1e-5 of the largest score of their layer), or are listed.")
    for source, comparisons in itertools.groupby(_comparisons(weights, device), lambda one: one[0]):
        print(f"\n{source}:\n\n| answer | rows | largest difference | cells that differ |")
        print("|---|---:|---:|---:|", flush=True)
        found = []
        for _, answer, comparison in comparisons:
            count = len(comparison.differences)
            print(
                f"| {answer} | {comparison.rows} | {comparison.largest:.1e} | {count} |", flush=True
            )
            found += [f"- {answer}: {line}" for line in comparison.differences[:_SHOWN]]
            if count > _SHOWN:
                found.append(f"- {answer}: {count - _SHOWN} more")
        print("\n" + ("\n".join(found) or "No cell differs."), flush=True)


def _comparisons(
    weights: Sequence[Path], device: torch.device
) -> Iterator[tuple[str, str, Comparison]]:
    for source in (BUILT_IN, *weights):
        try:
            network = cwda.load(source)
        except cwda.CwdaError as error:
            yield str(source), "load", Comparison(0, np.inf, (str(error),))
            continue
        for name, answer in ANSWERS.items():
            try:
                comparison = compared(answer(network, "cpu"), answer(network, str(device)))
            except (RuntimeError, ValueError) as error:  # one answer must not lose the others
                comparison = Comparison(0, np.inf, (f"{type(error).__name__}: {error}"[:300],))
            yield network.name, name, comparison
    yield BUILT_IN, "scores from images", _of_images(device)


def _of_images(device: torch.device) -> Comparison:
    """Scores that need a pass over images, in units of the largest of their layer."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images = Images(pixels, torch.arange(64) % 10)
    # Entropy and HRank count bins and singular values, which thresholds decide.
    names = [name for name in cwda.criteria() if name not in ("random", "entropy", "hrank")]
    model = cwda.load_model(BUILT_IN)
    tables = []
    for place in ("cpu", str(device)):
        table = cwda.scores(model, names, data=images, device=place).table
        largest = table.groupby(["layer", "criterion"])["score"].transform(lambda s: s.abs().max())
        tables.append(table.assign(score=table["score"] / largest))
    return compared(*tables, tolerance=OF_DATA)
