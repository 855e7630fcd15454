"""Measured similarity: how alike the criteria rank the filters of each layer."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cwda.arguments import require_between, require_ratios
from cwda.errors import SelectionError
from cwda.layers import Network
from cwda.loading.sources import Source
from cwda.models.batches import Data
from cwda.numerics.ranking.lowest import lowest_count, lowest_overlap, rank_biased_overlap
from cwda.numerics.ranking.rank_intervals import FEWEST_FOR_INTERVAL, spearman_interval
from cwda.numerics.ranking.ranks import kendall, spearman
from cwda.numerics.spread import constant
from cwda.scoring.gather import gather
from cwda.scoring.norms import NORM_BASED
from cwda.scoring.registry import resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.one_pass import Collected

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SimilarityResult", "similarity"]

#: Persistence of the rank-biased overlap: the ten filters pruned first have 86 % of the weight.
PERSISTENCE = 0.9

# Fewer filters can only agree wholly or not at all.
_FEWEST_FILTERS = 3

_METHOD = (
    "Spearman and Kendall tau-b of mid-ranks; jackknife interval on Fisher's scale; "
    f"RBO_ext p = {PERSISTENCE:g} and Jaccard index from the lowest score up, ties by index"
)


@dataclass(frozen=True, eq=False)
class SimilarityResult:
    """Agreement of criteria, layer by layer: a thin object round a table.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per layer and pair of criteria: ``network, layer, criterion_a, criterion_b,
        spearman, spearman_low, spearman_high, kendall, rbo, overlap_10, ..., n_filters, dim,
        method, reason``. What is undefined is NaN, and `reason` says why.
    criteria : tuple of str
        The criteria compared.
    network : Network
        The network measured.
    alpha : float
        The intervals have level 1 - alpha.
    """

    table: pd.DataFrame
    criteria: tuple[str, ...]
    network: Network
    alpha: float

    def matrix(self, layer: str | int | None = None, coefficient: str = "spearman") -> pd.DataFrame:
        """Criteria x criteria matrix of one layer, by name or position from 0.

        Without a layer: the mean over the layers in which the pair's coefficient is defined,
        each layer counting the same.

        Raises
        ------
        CwdaError
            If there is no such layer.
        """
        import pandas as pd

        if layer is None:
            pairs = ["criterion_a", "criterion_b"]
            rows = self.table.groupby(pairs, sort=False)[coefficient].mean().reset_index()
        else:
            rows = self.table[self.table["layer"] == self.network[layer].name]
        names = pd.Index(self.criteria, name="criterion")
        matrix = pd.DataFrame(float("nan"), index=names, columns=names)
        for a, b, value in zip(
            rows["criterion_a"], rows["criterion_b"], rows[coefficient], strict=True
        ):
            matrix.loc[a, b] = matrix.loc[b, a] = value
        for each in self.criteria:
            matrix.loc[each, each] = 1.0 if matrix[each].notna().any() else float("nan")
        return matrix

    def wide(self, coefficient: str = "spearman") -> pd.DataFrame:
        """Layers x pairs of criteria, the pairs named as ``l1-l2``."""
        pairs = self.table["criterion_a"] + "-" + self.table["criterion_b"]
        wide = self.table.assign(pair=pairs).pivot(
            index="layer", columns="pair", values=coefficient
        )
        return wide.loc[[each.name for each in self.network], list(dict.fromkeys(pairs))]

    def summary(self) -> pd.DataFrame:
        """A row per pair of criteria, over the layers in which Spearman's rho is defined.

        Columns: ``criterion_a, criterion_b, layers, undefined, median, minimum, lowest_layer,
        share_above_90`` (of the layers, those with rho > .9).
        """
        import pandas as pd

        rows = []
        for (a, b), group in self.table.groupby(["criterion_a", "criterion_b"], sort=False):
            defined = group.dropna(subset=["spearman"])
            rho = defined["spearman"]
            lowest = defined.loc[rho.idxmin(), "layer"] if len(rho) else ""
            rows.append(
                {
                    "criterion_a": a,
                    "criterion_b": b,
                    "layers": len(rho),
                    "undefined": len(group) - len(rho),
                    "median": rho.median(),
                    "minimum": rho.min(),
                    "lowest_layer": lowest,
                    "share_above_90": (rho > 0.9).mean(),
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return (
            f"SimilarityResult: {self.network.name}, {len(self.network)} layers, "
            f"{', '.join(self.criteria)}; .table has {len(self.table)} rows\n"
            f"{self.summary().round(3).to_string(index=False)}"
        )

    def _repr_html_(self) -> str:
        shown: str = self.summary().round(3).to_html(index=False, border=0)
        return (
            f"<p>Spearman's rank correlation of the scores in the layers of "
            f"{html.escape(self.network.name)}</p>{shown}"
        )


def similarity(
    source: Source,
    criteria: Iterable[str] = NORM_BASED,
    ratios: float | Iterable[float] = (0.1, 0.3, 0.5, 0.7),
    device: torch.device | str = "auto",
    alpha: float = 0.05,
    data: Data | Collected | None = None,
    batch_size: int = 128,
) -> SimilarityResult:
    """Measure how alike criteria rank the filters of each layer (paper, figure 4).

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : iterable of str
        Two names of `cwda.pruning.criteria()` or more.
    ratios : float or iterable of float
        Pruning ratios between 0 and 1 at which the pruned sets are compared (Jaccard index).
    device : torch.device or str
        Where to compute, in float64; "auto" is CUDA where there is one.
    alpha : float
        The intervals of Spearman's coefficient have level 1 - alpha.
    data : Images, ImageData, tensors, iterable of batches or Collected
        What criteria that need activations or gradients run a Module on; see
        `cwda.models.batches.as_batches`. The result of `collect` saves the pass.
    batch_size : int
        Images a batch where `data` is not in batches already.

    Returns
    -------
    SimilarityResult
        Its ``.table`` has a row per layer and pair.

    Raises
    ------
    CriterionError
        If a criterion is unknown or there are fewer than two.
    SelectionError
        If a ratio or alpha does not lie between 0 and 1.
    TracingError, DataError
        If criteria need data, and the model cannot be traced or they do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.scoring import similarity
    >>> array = np.random.default_rng(0).normal(size=(16, 9, 64))
    >>> sim = similarity(array, ["l1", "l2"])
    >>> sim.table.loc[0, ["spearman", "overlap_50"]].astype(float).round(3).tolist()
    [0.922, 0.778]
    """
    ratios = require_ratios(ratios, least=0)
    require_between(alpha, 0, 1, "alpha", SelectionError)
    found = resolve(criteria, fewest=2)
    names = tuple(each.name for each in found)
    network, statistics = gather(source, found, device, data, batch_size)
    scored = score_network(network, found, device, statistics)
    table = _table([_rows(network.name, each, ratios, alpha) for each in scored], ratios)
    return SimilarityResult(table, names, network, alpha)


def _table(rows: list[list[dict[str, Any]]], ratios: tuple[float, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(itertools.chain.from_iterable(rows)), columns=_columns(ratios))


def _columns(ratios: tuple[float, ...]) -> list[str]:
    return [
        *("network", "layer", "criterion_a", "criterion_b"),
        *("spearman", "spearman_low", "spearman_high", "kendall", "rbo"),
        *map(_overlap_name, ratios),
        *("n_filters", "dim", "method", "reason"),
    ]


def _overlap_name(ratio: float) -> str:
    return f"overlap_{100 * ratio:g}"


def _rows(
    network: str, scored: LayerScores, ratios: tuple[float, ...], alpha: float
) -> list[dict[str, Any]]:
    """One row for each pair of criteria in one layer."""
    layer = scored.layer
    problems = [
        _problem(*each) for each in zip(scored.criteria, scored.values, scored.reasons, strict=True)
    ]
    usable = [i for i, problem in enumerate(problems) if not problem]
    measured = _coefficients(scored.values[usable], ratios, alpha) if usable else {}
    remark = _remark(layer.n_filters, ratios)
    rows = []
    for a, b in itertools.combinations(range(len(scored.criteria)), 2):
        reasons = dict.fromkeys(problems[i] for i in (a, b) if problems[i])
        row: dict[str, Any] = {
            "network": network,
            "layer": layer.name,
            "criterion_a": scored.criteria[a],
            "criterion_b": scored.criteria[b],
            "n_filters": layer.n_filters,
            "dim": layer.dim,
            "method": _METHOD,
            "reason": "; ".join(reasons) or remark,
        }
        if not reasons:
            at = usable.index(a), usable.index(b)
            row.update({name: values[at].item() for name, values in measured.items()})
        rows.append(row)
    return rows


def _problem(criterion: str, scores: Tensor, reason: str) -> str:
    """Why a criterion ranks nothing in a layer; empty if it does."""
    if reason:
        return reason
    n = len(scores)
    if n < _FEWEST_FILTERS:
        return f"{n} filter{'s' * (n > 1)}; {_FEWEST_FILTERS} are needed"
    if bool(constant(scores)):
        return f"all {n} scores of {criterion} are equal"
    return ""


def _remark(n: int, ratios: tuple[float, ...]) -> str:
    """What stays undefined in a layer of n filters although its scores are ranked."""
    remarks = [] if n >= FEWEST_FOR_INTERVAL else [f"no interval from {n} filters"]
    none = [f"{ratio:.0%}" for ratio in ratios if lowest_count(n, ratio) == 0]
    remarks += [f"{', '.join(none)} of {n} filters is none"] if none else []
    return "; ".join(remarks)


def _coefficients(scores: Tensor, ratios: tuple[float, ...], alpha: float) -> dict[str, Tensor]:
    """Every coefficient of every pair of rows, on the CPU."""
    low, high = spearman_interval(scores, alpha)
    measured = {
        "spearman": spearman(scores),
        "spearman_low": low,
        "spearman_high": high,
        "kendall": kendall(scores),
        "rbo": rank_biased_overlap(scores, PERSISTENCE),
    }
    measured |= {_overlap_name(ratio): lowest_overlap(scores, ratio) for ratio in ratios}
    return {name: values.cpu() for name, values in measured.items()}
