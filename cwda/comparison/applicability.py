"""Whether a criterion can discriminate in a layer: measured dispersion beside the predicted."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cwda.arguments import require_between
from cwda.errors import SelectionError
from cwda.loading.sources import Source
from cwda.models.batches import Data
from cwda.numerics.ranking.lowest import lowest_count
from cwda.numerics.spread import constant
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.dispersion import measure_dispersion
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.theory.applicability import (
    SWAP_DISCRIMINATES,
    SWAP_WEAK,
    discrimination,
    signal_interval,
    swap_probability,
    swaps_of_scores,
)
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.moments import CRITERIA
from cwda.theory.score_law import ScoreLaw, score_law

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Applicability", "applicability"]

_COLUMNS = (
    *("network", "layer", "criterion", "mean", "sd", "cv", "robust_cv", "q90_q10", "gini"),
    *("cv_predicted", "cv_scale", "cv_ratio", "q90_q10_predicted", "gini_predicted"),
    *("reliability", "reliability_low", "reliability_high", "ratio"),
    *("swap", "swap_low", "swap_high", "swap_normal", "swap_nearest"),
    *("verdict", "statement", "n_filters", "dim", "method", "reason"),
)

_METHOD = (
    "predicted: CWDA (block) and with filter scales (scale), fitted to the layer; swaps: normal "
    "latent scores, fresh noise at the filters' scales; 95 % interval from that of Var(log s)"
)


@dataclass(frozen=True, eq=False)
class Applicability:
    """Dispersion and discrimination of criteria, layer by layer: round a table.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per layer and criterion; docs/tables.md lists the columns.
    network : str
        What was measured.
    criteria : tuple of str
        The criteria.
    ratio : float
        Share of filters pruned.
    """

    table: pd.DataFrame
    network: str
    criteria: tuple[str, ...]
    ratio: float

    @cached_property
    def _summary(self) -> pd.DataFrame:
        import pandas as pd

        rows = []
        for criterion, group in self.table.groupby("criterion", sort=False):
            verdicts = group["verdict"].value_counts()
            rows.append(
                {
                    "criterion": criterion,
                    "layers": len(group),
                    **{f"median_{name}": group[name].median() for name in _MEDIANS},
                    **{name.replace(" ", "_"): int(verdicts.get(name, 0)) for name in _VERDICTS},
                }
            )
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """A row per criterion: medians over the layers, and how many have which verdict."""
        return self._summary.copy()

    def __repr__(self) -> str:
        return (
            f"Applicability: {self.network}, ratio {self.ratio:g}; "
            f".table has {len(self.table)} rows\n{self._summary.round(3).to_string(index=False)}"
        )

    def _repr_html_(self) -> str:
        shown: str = self._summary.round(3).to_html(index=False, border=0)
        return (
            f"<p>Dispersion of the scores in the layers of {html.escape(self.network)}, and "
            f"whether they discriminate at a ratio of {self.ratio:g}</p>{shown}"
        )


_MEDIANS = ("cv", "cv_predicted", "cv_scale", "cv_ratio", "swap")
_VERDICTS = ("discriminates", "weakly", "cannot discriminate", "not applicable")


def applicability(
    source: Source,
    criteria: Iterable[str] = NORM_BASED,
    ratio: float = 0.5,
    device: torch.device | str = "auto",
    data: Data | Collected | None = None,
    batch_size: int = 128,
) -> Applicability:
    """Say for each layer and criterion whether the scores can tell filters apart.

    Measured dispersion stands beside the one predicted by CWDA, under which all spread is
    sampling noise, and by filters that differ in scale. The verdict rests on the probability
    that a pruned and a kept filter would swap if the same filters, with the same scales, were
    drawn afresh, over all pairs (`cwda.theory.applicability`): up to .10 the criterion
    *discriminates*, up to .25 *weakly*, beyond it *cannot discriminate*; .5 is a coin.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : iterable of str
        Names of `cwda.pruning.criteria()`. l1, l2, gm and fermat have a theory; of others the
        dispersion is measured alone.
    ratio : float
        Share of filters pruned in each layer, between 0 and 1.
    device : torch.device or str
        Where to compute, in float64.
    data, batch_size
        What criteria that need activations or gradients run a Module on, as of
        `cwda.similarity`.

    Returns
    -------
    Applicability

    Raises
    ------
    CriterionError
        If a criterion is unknown; the message names the nearest.
    SelectionError
        If the ratio does not lie between 0 and 1.

    References
    ----------
    Huang et al. (2021), section 3: applicability.

    Examples
    --------
    Filters of one scale differ by sampling alone, whatever their order.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> same = rng.normal(size=(64, 9, 64))
    >>> scaled = same * np.exp(0.3 * rng.normal(size=64))
    >>> columns = ["cv", "cv_predicted", "swap", "verdict"]
    >>> applicability(same, ["l2"]).table[columns].round(2).values.tolist()
    [[0.02, 0.03, 0.5, 'cannot discriminate']]
    >>> applicability(scaled, ["l2"]).table[columns].round(2).values.tolist()
    [[0.35, 0.03, 0.01, 'discriminates']]
    """
    import pandas as pd

    require_between(ratio, 0, 1, "a pruning ratio", SelectionError)
    chosen = resolve(criteria)
    network, statistics = prepare(source, chosen, data=data, batch_size=batch_size, device=device)
    rows: list[dict[str, Any]] = []
    for scored in score_network(network, chosen, device, statistics):
        rows += [{"network": network.name, **row} for row in _layer_rows(scored, ratio, device)]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return Applicability(table, network.name, tuple(each.name for each in chosen), ratio)


def _layer_rows(
    scored: LayerScores, ratio: float, device: torch.device | str
) -> list[dict[str, Any]]:
    layer = scored.layer
    fitted: FittedLayer | None = None
    problem = ""
    if not set(CRITERIA).isdisjoint(scored.criteria) and not all(scored.reasons):
        fitted, problem = fit_or_reason(layer, device=device)
    rows = measure_dispersion(scored.values, scored.criteria, scored.reasons)
    for row, scores, unscored in zip(rows, scored.values, scored.reasons, strict=True):
        row |= {
            "layer": layer.name,
            "ratio": ratio,
            "n_filters": layer.n_filters,
            "dim": layer.dim,
            "method": _METHOD,
        }
        known = row["criterion"] in CRITERIA
        unknown = "" if known else f"no theory of {row['criterion']}: dispersion is measured only"
        if unscored:
            row |= _no_verdict(unscored)
        elif layer.n_filters < 2:
            row |= _no_verdict(row["reason"])
        elif bool(constant(scores)):
            row |= {"verdict": "cannot discriminate", "statement": f"{row['reason']}: no order"}
        elif fitted is None or not known:
            row |= _no_verdict(f"no prediction: {problem}" if known else unknown)
            row["reason"] = "; ".join(filter(None, (row["reason"], row["statement"])))
        else:
            row |= _predicted(fitted, row["criterion"], row["cv"])
            row |= _discrimination(fitted, row["criterion"], scores, ratio)
            remark = row.pop("remark", "")
            row["reason"] = "; ".join(filter(None, (row["reason"], remark)))
    return rows


def _no_verdict(reason: str) -> dict[str, Any]:
    return {"verdict": "not applicable", "statement": reason}


def _predicted(fitted: FittedLayer, criterion: str, cv: float) -> dict[str, Any]:
    block, scale = (score_law(fitted, criterion, rung) for rung in ("block", "scale"))
    return {
        "cv_predicted": block.cv,
        "cv_scale": scale.cv,
        "cv_ratio": cv / block.cv,
        "q90_q10_predicted": block.q90_q10,
        "gini_predicted": block.gini,
    }


def _discrimination(
    fitted: FittedLayer, criterion: str, scores: Tensor, ratio: float
) -> dict[str, Any]:
    """Reliability, swaps with their interval, verdict and statement."""
    law = score_law(fitted, criterion, "scale")
    low, high = (_with_signal(law, signal) for signal in signal_interval(fitted))
    found: dict[str, Any] = {
        "reliability": law.reliability,
        "reliability_low": low.reliability,
        "reliability_high": high.reliability,
    }
    n = len(scores)
    pruned = lowest_count(n, ratio)
    if not 0 < pruned < n:
        reason = f"{ratio:g} of {n} filters is none: no pair across the threshold"
        return {**found, **_no_verdict(reason), "remark": reason}
    values = scores.cpu().numpy()
    # Medians are matched: what counts is the filters' distance, not the level of the layer.
    latent = law.latent(values * (float(law.quantile(np.array(0.5))) / _median(scores)))
    swaps = swaps_of_scores(latent, pruned, law)
    # More signal, fewer swaps: the limits change sides.
    swap_high, swap_low = (swaps_of_scores(latent, pruned, each).mean for each in (low, high))
    verdict = discrimination(swaps.mean)
    return {
        **found,
        "swap": swaps.mean,
        "swap_low": swap_low,
        "swap_high": swap_high,
        "swap_normal": float(swap_probability(pruned / n, law.reliability)),
        "swap_nearest": swaps.nearest,
        "verdict": verdict,
        "statement": (
            f"at ratio {ratio:g}, {swaps.mean:.0%} of the pairs across the threshold would swap "
            f"in a fresh draw ({swap_low:.0%} to {swap_high:.0%}); {_MEANING[verdict]}"
        ),
    }


_MEANING = {
    "discriminates": f"up to {SWAP_DISCRIMINATES:.0%} discriminates",
    "weakly": f"up to {SWAP_WEAK:.0%} discriminates weakly",
    "cannot discriminate": f"above {SWAP_WEAK:.0%} cannot discriminate",
}


def _with_signal(law: ScoreLaw, signal: float) -> ScoreLaw:
    """The law with another variance of the filter scale, for its reliability and variance."""
    return ScoreLaw(law.location, signal, law.noise)


def _median(scores: Tensor) -> float:
    return float(torch.quantile(scores, 0.5))
