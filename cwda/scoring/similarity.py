"""Measured similarity: how alike the criteria rank the filters of each layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from cwda.answers import Answer, column, common, spread
from cwda.arguments import require_between, require_ratios
from cwda.brief import brief
from cwda.errors import OutOfMemory, SelectionError
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.numerics.device import Placement
from cwda.numerics.ranking.overlap import lowest_count, lowest_overlap, rank_biased_overlap
from cwda.numerics.ranking.rank_intervals import FEWEST_FOR_INTERVAL, spearman_interval
from cwda.numerics.ranking.ranks import kendall, spearman
from cwda.progress import showing
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.error_bars.estimate import images_needed
from cwda.scoring.error_bars.measure import TARGET, problem_of
from cwda.scoring.error_bars.pairs import ErrorBars, PairBars, error_bars
from cwda.scoring.error_bars.result import warning_of
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve, unsteady
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SimilarityResult", "SimilarityRow", "similarity"]

#: Persistence of the rank-biased overlap: the ten filters pruned first have 86 % of the weight.
PERSISTENCE = 0.9

_METHOD = (
    "Spearman and Kendall tau-b of mid-ranks; jackknife interval on Fisher's scale; "
    f"RBO_ext p = {PERSISTENCE:g} and Jaccard index from the lowest score up, ties by index; "
    "Spearman-Brown and disattenuation from balanced halves of the images"
)


@dataclass(frozen=True)
class SimilarityRow:
    """How alike two criteria rank the filters of one layer."""

    network: str = common("network")
    layer: str = common("layer")
    criterion_a: str = common("criterion_a")
    criterion_b: str = common("criterion_b")
    spearman: float = column("Spearman's rank correlation of the scores")
    spearman_low: float = column("lower end of the jackknife interval of `spearman`")
    spearman_high: float = column("upper end of the jackknife interval of `spearman`")
    kendall: float = column("Kendall's tau-b of the scores")
    rbo: float = column(
        "rank-biased overlap with p = .9, counted from the lowest score, which is pruned first"
    )
    overlaps: Mapping[str, float] = spread(
        "`overlap_10`, `overlap_30`, ...: Jaccard index of the sets pruned at a ratio of 10 %, "
        "30 %, ...; it is 1/3, not 1/2, when half of the pruned filters are the same at 50 %"
    )
    images_low: float = column(
        "lower end of the interval of `spearman` over other draws of as many images"
    )
    images_high: float = column("upper end of that interval")
    reliability_a: float = column(
        "reliability of the scores of `criterion_a` on these images; 1 if it needs none"
    )
    reliability_b: float = column("the same of `criterion_b`")
    disattenuated: float = column(
        "rank correlation without the noise of the images, which can exceed 1; `spearman` where "
        "neither criterion needs images"
    )
    disattenuated_low: float = column(
        "lower end of the interval of `disattenuated` over filters and images"
    )
    disattenuated_high: float = column("upper end of that interval")
    n_filters: int = common("n_filters")
    dim: int = common("dim")
    method: str = column("how the numbers were computed")
    reason: str = column("why a number is missing; empty otherwise")

    __repr__ = brief


@dataclass(frozen=True, eq=False, repr=False)
class SimilarityResult(Answer[SimilarityRow]):
    """Agreement of criteria: one row per layer and pair of criteria.

    Attributes
    ----------
    criteria : tuple of str
        The criteria compared.
    images : int
        Number of images on which those that need some were scored.
    """

    criteria: tuple[str, ...] = field(kw_only=True)
    images: int = field(kw_only=True)

    row = SimilarityRow

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
            rows = self.table[self.table["layer"] == self.networks[0][layer].name]
        names = pd.Index(self.criteria, name="criterion")
        matrix = pd.DataFrame(float("nan"), index=names, columns=names)
        for a, b, value in zip(
            rows["criterion_a"], rows["criterion_b"], rows[coefficient], strict=True
        ):
            matrix.loc[a, b] = matrix.loc[b, a] = value
        for name in self.criteria:
            matrix.loc[name, name] = 1.0 if matrix[name].notna().any() else float("nan")
        return matrix

    def wide(self, coefficient: str = "spearman") -> pd.DataFrame:
        """Layers x pairs of criteria, the pairs named as ``l1-l2``."""
        pairs = self.table["criterion_a"] + "-" + self.table["criterion_b"]
        wide = self.table.assign(pair=pairs).pivot(
            index="layer", columns="pair", values=coefficient
        )
        return wide.loc[[layer.name for layer in self.networks[0]], list(dict.fromkeys(pairs))]

    def summary(self) -> pd.DataFrame:
        """One row per pair of criteria, over the layers in which Spearman's rho is defined.

        Columns: ``criterion_a, criterion_b, layers, undefined, median, minimum, lowest_layer,
        share_above_90`` (of the layers, those with rho > .9), ``disattenuated`` (median of the
        layers in which it is defined).
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
                    "disattenuated": group["disattenuated"].median(),
                }
            )
        return pd.DataFrame(rows)

    @property
    def reliabilities(self) -> dict[str, float]:
        """The median reliability of each criterion over the layers; NaN where none is known."""
        columns = [
            self.table[[f"criterion_{side}", f"reliability_{side}", "layer"]].set_axis(
                ["criterion", "reliability", "layer"], axis=1
            )
            for side in ("a", "b")
        ]
        import pandas as pd

        medians = (
            pd.concat(columns)
            .drop_duplicates(["criterion", "layer"])
            .groupby("criterion")["reliability"]
            .median()
        )
        return {name: float(medians.get(name, float("nan"))) for name in self.criteria}

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each criterion that these images leave unreliable."""
        lines = []
        for name, value in self.reliabilities.items():
            needed = math.nan if unsteady(name) else images_needed(value, self.images, TARGET)
            lines.append(warning_of(name, value, self.images, needed, TARGET))
        return tuple(filter(None, lines))

    def title(self) -> str:
        """The network and the criteria."""
        return (
            f"Spearman's rank correlation of the scores in the layers of {self.networks[0].name} "
            f"({', '.join(self.criteria)})"
        )


def similarity(
    source: Source,
    criteria: Criteria = NORM_BASED,
    *,
    ratios: float | Iterable[float] = (0.1, 0.3, 0.5, 0.7),
    level: float = 0.95,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> SimilarityResult:
    """Measure how alike criteria rank the filters of each layer (paper, figure 4).

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : iterable of str or Criterion
        Two or more: names in `cwda.criteria()`, or criteria.
    ratios : float or iterable of float
        Pruning ratios between 0 and 1 at which the pruned sets are compared (Jaccard index).
    level : float
        Confidence level of the intervals of Spearman's coefficient.
    data : Images, ImageData, tensors, iterable of batches or Collected
        What criteria that need activations or gradients run a Module on; see
        `cwda.models.batches.as_batches`. The result of `collect` saves the pass.
    batch_size : int
        Images per batch where `data` is not in batches already.
    device : str or torch.device
        Where to compute, in float64; "auto" is CUDA where there is one.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    SimilarityResult
        Its ``.table`` has one row per layer and pair of criteria. What is undefined is NaN, and
        `reason` says why.

    Raises
    ------
    CriterionError
        If a criterion is unknown or there are fewer than two.
    SelectionError
        If a ratio or the level does not lie between 0 and 1.
    TracingError, DataError
        If criteria need data, and the model cannot be traced or the data do not fit it.

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
    level = require_between(level, 0, 1, "the confidence level", SelectionError)
    resolved = resolve(criteria, fewest=2)
    with showing(progress):
        network, collected = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        rows = tuple(
            row
            for layer in score_network(network, resolved, device, collected.layers)
            for row in _rows(
                network.name,
                layer,
                ratios,
                error_bars(layer, resolved, collected, level, device),
                device,
            )
        )
    names = tuple(criterion.name for criterion in resolved)
    return SimilarityResult(rows, (network,), level=level, criteria=names, images=collected.images)


def _overlap_name(ratio: float) -> str:
    return f"overlap_{100 * ratio:g}"


def _rows(
    network: str, scored: LayerScores, ratios: tuple[float, ...], bars: ErrorBars, device: Device
) -> Iterator[SimilarityRow]:
    """One row for each pair of criteria in one layer."""
    layer = scored.layer
    problems = [problem_of(scored, i) for i in range(len(scored.criteria))]
    usable = [i for i, problem in enumerate(problems) if not problem]
    remark = _remark(layer.n_filters, ratios)
    coefficients: dict[str, Tensor] = {}
    overlaps: dict[float, Tensor] = {}
    if usable:
        scores = scored.values[usable]
        # Scores of a layer that did not fit on a GPU are on the CPU already, and stay there.
        home = "cpu" if scores.device.type == "cpu" else device
        try:
            coefficients, overlaps = Placement(home, f"layer {layer.name}", layer.n_weights).run(
                lambda place: (
                    _coefficients(scores.to(place), bars.level),
                    _overlaps(scores.to(place), ratios),
                )
            )
        except OutOfMemory as error:
            remark = str(error)
    for a, b in itertools.combinations(range(len(scored.criteria)), 2):
        reasons = dict.fromkeys(problems[i] for i in (a, b) if problems[i])
        pair = None if reasons else (usable.index(a), usable.index(b))
        numbers = {name: _of_pair(coefficients.get(name), pair) for name in _COEFFICIENTS}
        pair_bars, lacks = PairBars(), ""
        if pair and coefficients:
            pair_bars, lacks = bars.of(a, b, *(numbers[name] for name in _COEFFICIENTS[:3]))
        yield SimilarityRow(
            network=network,
            layer=layer.name,
            criterion_a=scored.criteria[a],
            criterion_b=scored.criteria[b],
            **numbers,
            **pair_bars._asdict(),
            overlaps={
                _overlap_name(ratio): _of_pair(overlaps.get(ratio), pair) for ratio in ratios
            },
            n_filters=layer.n_filters,
            dim=layer.dim,
            method=_METHOD,
            reason="; ".join(reasons) or "; ".join(filter(None, (remark, lacks))),
        )


def _of_pair(matrix: Tensor | None, pair: tuple[int, int] | None) -> float:
    """One element; NaN if it is undefined."""
    return float("nan") if matrix is None or pair is None else float(matrix[pair])


def _remark(n: int, ratios: tuple[float, ...]) -> str:
    """What stays undefined in a layer of n filters although its scores are ranked."""
    remarks = [] if n >= FEWEST_FOR_INTERVAL else [f"no interval from {n} filters"]
    none = [f"{ratio:.0%}" for ratio in ratios if lowest_count(n, ratio) == 0]
    remarks += [f"{', '.join(none)} of {n} filters is none"] if none else []
    return "; ".join(remarks)


_COEFFICIENTS = ("spearman", "spearman_low", "spearman_high", "kendall", "rbo")


def _coefficients(scores: Tensor, level: float) -> dict[str, Tensor]:
    """Every coefficient of every pair of rows, on the CPU."""
    low, high = spearman_interval(scores, level)
    rbo = rank_biased_overlap(scores, PERSISTENCE)
    matrices = (spearman(scores), low, high, kendall(scores), rbo)
    return {name: matrix.cpu() for name, matrix in zip(_COEFFICIENTS, matrices, strict=True)}


def _overlaps(scores: Tensor, ratios: tuple[float, ...]) -> dict[float, Tensor]:
    """The Jaccard index of every pair of rows at each ratio, on the CPU."""
    return {ratio: lowest_overlap(scores, ratio).cpu() for ratio in ratios}
