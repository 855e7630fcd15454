"""Whether a criterion can discriminate in a layer: measured dispersion and the predicted one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from cwda.answers import Answer, column, common
from cwda.arguments import require_between
from cwda.comparison.discrimination import BASES, Frame, judge_layer
from cwda.errors import SelectionError
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.numerics.threads import few_threads
from cwda.progress import showing
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.sharing import shared
from cwda.theory.swaps import Discrimination
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["VERDICTS", "Applicability", "LayerApplicability", "applicability"]

_MEDIANS = ("cv", "cv_predicted", "cv_scale", "cv_ratio", "lowest", *BASES.values())
#: What is said of a criterion in a layer.
VERDICTS: tuple[str, ...] = (*get_args(Discrimination), "not applicable")


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
    noise_ratio: float = column(
        "variance of the log of the norm by the draw of the weights, as the parts of the filters "
        "show it, over that of normal weights; of gm and fermat that of l2",
        default=math.nan,
    )
    signal_share: float = column(
        "share of the variance of the latent score that is signal", default=math.nan
    )
    signal_share_low: float = column("lower limit of `signal_share`", default=math.nan)
    signal_share_high: float = column("upper limit of `signal_share`", default=math.nan)
    ratio: float = column("share of the filters pruned", kw_only=True)
    swap_filters: float = column(
        "probability that a pruned and a kept filter swap if the filters are drawn afresh with "
        "the same scales, over all such pairs of the layer",
        default=math.nan,
    )
    swap_filters_low: float = column(
        "lower limit of `swap_filters`, as many fresh draws of these filters would show it",
        default=math.nan,
    )
    swap_filters_high: float = column("upper limit of `swap_filters`", default=math.nan)
    swap_normal: float = column("the same for normal scores, in closed form", default=math.nan)
    swap_nearest: float = column(
        "`swap_filters` of the last filter pruned and the first one kept", default=math.nan
    )
    swap_images: float = column(
        "probability that a pruned and a kept filter swap if as many other images are drawn",
        default=math.nan,
    )
    swap_images_low: float = column("lower limit of `swap_images`", default=math.nan)
    swap_images_high: float = column("upper limit of `swap_images`", default=math.nan)
    apart: int = column(
        "filters whose scores lie below all that the law of the others allows, dead ones above "
        "all; `near_zero` where there is no law",
        default=0,
    )
    swap_apart: float = column(
        "`swap_filters` if exactly the filters apart were pruned", default=math.nan
    )
    lowest: float = column(
        "smallest score over the median of those that are not near zero", kw_only=True
    )
    near_zero: int = column("scores below .05 of the median of the others", kw_only=True)
    lowest_predicted: float = column(
        "`lowest` that the law of the live filters expects of so many (rung `scale`)",
        default=math.nan,
    )
    lowest_low: float = column("lower limit of `lowest` by that law", default=math.nan)
    lowest_high: float = column("upper limit of `lowest` by that law", default=math.nan)
    smallest: str = column(
        "the smallest score is `near zero`, below .05 of the median; or `apart`; or `ordinary`",
        default="",
    )
    verdict: str = column(", ".join(f"`{verdict}`" for verdict in VERDICTS), kw_only=True)
    basis: str = column(
        "what the verdict rests on: " + " or ".join(f"`{basis}`" for basis in BASES), default=""
    )
    statement: str = column("the verdict as a sentence", kw_only=True)
    n_filters: int = common("n_filters", kw_only=True)
    dim: int = common("dim", kw_only=True)
    method: str = column("how it was computed", kw_only=True)
    reason: str = column("why a number is missing or trivial; empty otherwise", kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Applicability(Answer[LayerApplicability]):
    """Dispersion and discrimination of criteria, one row per layer and criterion.

    `level` is that of the intervals of `signal_share` and the swaps.

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
        """One row per criterion: medians over the layers, and how many have which verdict.

        ``layers_apart`` counts the layers with filters apart.
        """
        import pandas as pd

        rows = []
        for criterion, group in self.table.groupby("criterion", sort=False):
            verdicts = group["verdict"].value_counts()
            rows.append(
                {
                    "criterion": criterion,
                    "layers": len(group),
                    "layers_apart": int((group["apart"] > 0).sum()),
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
    sampling noise, and by filters that differ in scale. The verdict rests on the probability that
    a pruned and a kept filter swap in a fresh draw, over all pairs. Of l1, l2, gm and fermat the
    draw is of *filters* with the same scales (`cwda.theory.swaps`); of criteria from data it is of
    as many *images*, by halves of those that there are. Up to .10 the criterion *discriminates*,
    up to .25 *weakly*, beyond it *cannot discriminate*; .5 is a coin.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria. Of bn_gamma, bn_beta and criteria of your own from
        weights the dispersion is measured alone: nothing says what a fresh draw would show.
    ratio : float
        Share of filters pruned in each layer, between 0 and 1.
    level : float
        Confidence level of the intervals, which come from that of the signal, Var(log s), and the
        scatter of the filters' own scales; and of the rank correlation between halves of the
        images.
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
    >>> columns = ["cv", "cv_predicted", "swap_filters", "verdict"]
    >>> applicability(same, ["l2"]).table[columns].round(2).values.tolist()
    [[0.02, 0.03, 0.5, 'cannot discriminate']]
    >>> applicability(scaled, ["l2"]).table[columns].round(2).values.tolist()
    [[0.35, 0.03, 0.01, 'discriminates']]

    Unless some are next to zero: these are known to be the smallest.

    >>> same[:, :, [3, 7]] *= 0.02
    >>> columns = ["swap_filters", "apart", "swap_apart", "lowest", "smallest"]
    >>> applicability(same, ["l2"]).table[columns].round(2).values.tolist()
    [[0.47, 2, 0.0, 0.02, 'near zero']]
    """
    require_between(ratio, 0, 1, "a pruning ratio", SelectionError)
    require_between(level, 0, 1, "level")
    resolved = resolve(criteria)
    with showing(progress):
        network, statistics = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        frame = Frame(resolved, ratio, level, device)
        rows = [
            LayerApplicability(network=network.name, ratio=ratio, method=_method(level), **cells)
            for scored in score_network(network, resolved, device, statistics.layers)
            for cells in _judged(scored, frame, statistics)
        ]
    names = tuple(criterion.name for criterion in resolved)
    return Applicability(tuple(rows), (network,), level=level, criteria=names, ratio=ratio)


def _judged(scored: LayerScores, frame: Frame, statistics: Collected) -> list[dict[str, Any]]:
    """The cells of a layer's rows; once for several analyses, where they rest on weights."""

    def judged() -> list[dict[str, Any]]:
        with few_threads(scored.layer.n_weights):
            return list(judge_layer(scored, frame, statistics))

    if statistics.layers:
        return judged()
    asked = (*frame.criteria, frame.ratio, frame.level, frame.device)
    return shared((judge_layer, scored, *asked), judged)


def _method(level: float) -> str:
    return (
        "predicted: CWDA (block) and with filter scales (scale), fitted to the live filters; fresh "
        "filters: normal latent scores and filters apart, fresh noise at the filters' scales, as "
        "their parts show it; "
        "fresh images: halves of the images, stepped up by Spearman and Brown; "
        f"{100 * level:g} % intervals"
    )
