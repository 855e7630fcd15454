"""Whether a criterion can discriminate in a layer: measured dispersion and the predicted one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np
from torch import Tensor

from cwda.answers import Answer, column, common
from cwda.arguments import require_between
from cwda.errors import SelectionError
from cwda.loading.sources import Source
from cwda.models.batches import Data
from cwda.numerics.ranking.overlap import lowest_count
from cwda.numerics.spread import constant
from cwda.progress import showing
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.dispersion import measure_dispersion
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.rungs import BLOCK, SCALE
from cwda.theory.score_law import CRITERIA, ScoreLaw, score_law
from cwda.theory.swaps import (
    SWAP_DISCRIMINATES,
    SWAP_WEAK,
    Discrimination,
    discrimination,
    signal_interval,
    swap_probability,
    swaps_of_scores,
)
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["VERDICTS", "Applicability", "LayerApplicability", "applicability"]

_MEDIANS = ("cv", "cv_predicted", "cv_scale", "cv_ratio", "swap")
#: What is said of a criterion in a layer.
VERDICTS: tuple[str, ...] = (*get_args(Discrimination), "not applicable")
_MEANING = {
    "discriminates": f"up to {SWAP_DISCRIMINATES:.0%} discriminates",
    "weakly": f"up to {SWAP_WEAK:.0%} discriminates weakly",
    "cannot discriminate": f"above {SWAP_WEAK:.0%} cannot discriminate",
}


@dataclass(frozen=True)
class LayerApplicability:
    """One criterion in one layer: how far its scores lie apart, and whether it discriminates."""

    network: str = common("network")
    layer: str = common("layer")
    criterion: str = common("criterion")
    mean: float = column("mean of the scores, in their units")
    sd: float = column("standard deviation of the scores, in their units")
    cv: float = column("coefficient of variation, `sd / mean`")
    robust_cv: float = column("CV of the normal law with the quartiles of the scores")
    q90_q10: float = column("ratio of the .9 to the .1 quantile of the scores")
    gini: float = column("Gini coefficient of the scores")
    cv_predicted: float = column("CV under CWDA (rung `block`)", default=math.nan)
    cv_scale: float = column("CV with filters of different scale (rung `scale`)", default=math.nan)
    cv_ratio: float = column("`cv / cv_predicted`", default=math.nan)
    q90_q10_predicted: float = column("ratio of quantiles under CWDA", default=math.nan)
    gini_predicted: float = column("Gini coefficient under CWDA", default=math.nan)
    reliability: float = column(
        "share of the variance of the latent score that is signal", default=math.nan
    )
    reliability_low: float = column("lower limit of the reliability", default=math.nan)
    reliability_high: float = column("upper limit of the reliability", default=math.nan)
    ratio: float = column("share of the filters pruned", kw_only=True)
    swap: float = column(
        "probability that a pruned and a kept filter swap in a fresh draw, over all such pairs "
        "of the layer",
        default=math.nan,
    )
    swap_low: float = column("lower limit of `swap`", default=math.nan)
    swap_high: float = column("upper limit of `swap`", default=math.nan)
    swap_normal: float = column("the same for normal scores, in closed form", default=math.nan)
    swap_nearest: float = column(
        "the same for the last filter pruned and the first one kept", default=math.nan
    )
    verdict: str = column(", ".join(f"`{verdict}`" for verdict in VERDICTS), kw_only=True)
    statement: str = column("the verdict as a sentence", kw_only=True)
    n_filters: int = common("n_filters", kw_only=True)
    dim: int = common("dim", kw_only=True)
    method: str = column("how it was computed", kw_only=True)
    reason: str = column("why a number is missing or trivial; empty otherwise", kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Applicability(Answer[LayerApplicability]):
    """Dispersion and discrimination of criteria, one row per layer and criterion.

    `level` is that of the intervals of reliability and swap.

    Attributes
    ----------
    criteria : tuple of str
        The criteria.
    ratio : float
        Share of filters pruned.
    """

    row: ClassVar[type] = LayerApplicability
    criteria: tuple[str, ...] = ()
    ratio: float = math.nan

    def summary(self) -> pd.DataFrame:
        """One row per criterion: medians over the layers, and how many have which verdict."""
        import pandas as pd

        rows = []
        for criterion, group in self.table.groupby("criterion", sort=False):
            verdicts = group["verdict"].value_counts()
            rows.append(
                {
                    "criterion": criterion,
                    "layers": len(group),
                    **{f"median_{name}": group[name].median() for name in _MEDIANS},
                    **{name.replace(" ", "_"): int(verdicts.get(name, 0)) for name in VERDICTS},
                }
            )
        return pd.DataFrame(rows)

    def title(self) -> str:
        """What is measured, at which ratio."""
        return (
            f"dispersion of the scores in the layers of {self.networks[0].name}, and whether they "
            f"discriminate at a ratio of {self.ratio:g}"
        )


def applicability(
    source: Source,
    criteria: Criteria = NORM_BASED,
    *,
    ratio: float = 0.5,
    level: float = 0.95,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> Applicability:
    """Say for each layer and criterion whether the scores can tell filters apart.

    The measured dispersion is compared with the one predicted by CWDA, under which all spread is
    sampling noise, and by filters that differ in scale. The verdict rests on the probability
    that a pruned and a kept filter would swap if the same filters, with the same scales, were
    drawn afresh, over all pairs (`cwda.theory.swaps`): up to .10 the criterion
    *discriminates*, up to .25 *weakly*, beyond it *cannot discriminate*; .5 is a coin.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria. l1, l2, gm and fermat have a theory; of others the
        dispersion is measured alone.
    ratio : float
        Share of filters pruned in each layer, between 0 and 1.
    level : float
        Confidence level of the intervals, which come from that of the signal, Var(log s).
    data, batch_size
        What criteria that need activations or gradients run a Module on; the same as in
        `cwda.similarity`.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    Applicability

    Raises
    ------
    CriterionError
        If a criterion is unknown; the message names the nearest.
    SelectionError
        If the ratio does not lie between 0 and 1.
    CwdaError
        If the level or the device is impossible.

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
    require_between(ratio, 0, 1, "a pruning ratio", SelectionError)
    require_between(level, 0, 1, "level")
    resolved = resolve(criteria)
    with showing(progress):
        network, statistics = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        rows = [
            LayerApplicability(network=network.name, **row)
            for scored in score_network(network, resolved, device, statistics.layers)
            for row in _rows(scored, ratio, level, device)
        ]
    names = tuple(criterion.name for criterion in resolved)
    return Applicability(tuple(rows), (network,), level=level, criteria=names, ratio=ratio)


def _rows(
    scored: LayerScores, ratio: float, level: float, device: Device
) -> Iterator[dict[str, Any]]:
    """The rows of one layer."""
    layer = scored.layer
    fitted: FittedLayer | None = None
    problem = ""
    if not set(CRITERIA).isdisjoint(scored.criteria) and not all(scored.reasons):
        fitted, problem = fit_or_reason(layer, device=device)
    layers = (BLOCK(fitted), SCALE(fitted)) if fitted else None
    measured = measure_dispersion(scored.values, scored.criteria, scored.reasons)
    for row, scores, unscored in zip(measured, scored.values, scored.reasons, strict=True):
        criterion, reason = row["criterion"], row["reason"]
        row |= {
            "layer": layer.name,
            "ratio": ratio,
            "n_filters": layer.n_filters,
            "dim": layer.dim,
            "method": _method(level),
        }
        if unscored:
            row |= _no_verdict(unscored)
        elif layer.n_filters < 2:
            row |= _no_verdict(reason)
        elif bool(constant(scores)):
            row |= {"verdict": "cannot discriminate", "statement": f"{reason}: no order"}
        elif criterion not in CRITERIA:
            row |= _no_verdict(f"no theory of {criterion}: dispersion is measured only", reason)
        elif layers is None:
            row |= _no_verdict(f"no prediction: {problem}", reason)
        else:
            row |= _dispersion(layers, criterion, row["cv"])
            row |= _swaps(layers[1], criterion, scores, ratio, level, reason)
        yield row


def _method(level: float) -> str:
    return (
        "predicted: CWDA (block) and with filter scales (scale), fitted to the layer; swaps: "
        "normal latent scores, fresh noise at the filters' scales; "
        f"{100 * level:g} % interval from that of Var(log s)"
    )


def _no_verdict(statement: str, remark: str | None = None) -> dict[str, Any]:
    """No verdict and why, which joins the remark as the reason where one is given."""
    verdict = {"verdict": "not applicable", "statement": statement}
    return verdict if remark is None else verdict | {"reason": _joined(remark, statement)}


def _joined(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))


def _dispersion(
    layers: tuple[FittedLayer, FittedLayer], criterion: str, cv: float
) -> dict[str, float]:
    block, scale = (score_law(fitted, criterion) for fitted in layers)
    return {
        "cv_predicted": block.cv,
        "cv_scale": scale.cv,
        "cv_ratio": cv / block.cv,
        "q90_q10_predicted": block.q90_q10,
        "gini_predicted": block.gini,
    }


def _swaps(
    fitted: FittedLayer, criterion: str, scores: Tensor, ratio: float, level: float, remark: str
) -> dict[str, Any]:
    """Reliability, swaps with their interval, verdict and statement."""
    law = score_law(fitted, criterion)
    low, high = (_with_signal(law, signal) for signal in signal_interval(fitted, level))
    cells: dict[str, Any] = {
        "reliability": law.reliability,
        "reliability_low": low.reliability,
        "reliability_high": high.reliability,
    }
    n = len(scores)
    pruned = lowest_count(n, ratio)
    if not 0 < pruned < n:
        reason = f"{ratio:g} of {n} filters is none: no pair across the threshold"
        return cells | _no_verdict(reason, remark)
    values = scores.cpu().numpy()
    # Medians are matched: what counts is the filters' distance, not the level of the layer.
    latent = law.latent(values * (float(law.quantile(np.array(0.5))) / float(scores.quantile(0.5))))
    swaps = swaps_of_scores(latent, pruned, law)
    # More signal, fewer swaps: the limits change sides.
    swap_high, swap_low = (swaps_of_scores(latent, pruned, limit).mean for limit in (low, high))
    verdict = discrimination(swaps.mean)
    return cells | {
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


def _with_signal(law: ScoreLaw, signal: float) -> ScoreLaw:
    """The law with another variance of the filter scale, for its reliability and variance."""
    return ScoreLaw(law.location, signal, law.noise)
