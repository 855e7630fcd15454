"""Condition 7: identically distributed; all filters of a layer share one scale."""

from __future__ import annotations

import math

import numpy as np
import torch

from cwda.choices import Verdict
from cwda.conditions.averaging import SIGNED_SQUARES
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Formula, Words, condition
from cwda.conditions.directions import Directions
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import FEWEST_FILTERS, Workspace
from cwda.filters.norm_ratio import NormRatio, norm_ratio
from cwda.formatting import number
from cwda.layers import ConvLayer
from cwda.numerics.ranking.dispersion import (
    Overlap,
    ScaleDispersion,
    overlap_of_halves,
    scale_dispersion,
)
from cwda.numerics.ranking.live import live_filters

__all__ = ["homogeneity"]

#: Norms that vary less than this share of what CWDA makes them vary are a departure.
SMALLEST_RATIO = 0.5

#: A filter that is zero counts as this many times the median live norm: what float32 resolves.
ZERO = 1e-6

_LESS: dict[Verdict, str] = {
    "fails": "norms less variable than CWDA allows",
    "inconclusive": "norms perhaps less variable than CWDA allows",
}
_DEAD, _SCALE = "some filters are near-dead", "filters differ in scale"


def _inapplicable(layer: ConvLayer) -> str:
    return "one input channel: no halves to compare" if layer.channels == 1 else ""


def _truth(law: Law, size: LayerSize) -> float:
    if law.parameters["mean"] and law.parameters["homogeneity"]:
        return math.nan  # the mean is not scaled: a filter's energy is not that of s g
    return law.parameters["homogeneity"]


@condition(
    margin=0.125,
    short="homog",
    null="all filters have the same scale",
    effect="standard deviation of the filters' log scale; negative where norms vary less than "
    "by chance",
    method="split halves of the channels, one-sided t test of their log energies' covariance "
    "beyond that of correlated channels; MOVER interval; norms also against CWDA's variance",
    needs="halves kernel",
    inapplicable=_inapplicable,
    words=Words(
        title="Homogeneity of the filters",
        claim="filters of one scale",
        asks="The assumption says that all filters of a layer have one distribution, hence one "
        "scale, and that they are independent, so that their norms vary by chance.",
        estimator="With filter j written as a scale times a standard filter, its energies over "
        "even and over odd input channels share the scale and what correlated channels have in "
        "common; their covariance without the latter gives the variance of the scale's logarithm.",
        reading="An effect of .125 means that the scales of most filters scatter by one eighth "
        "beyond chance. Where filters differ in scale, norms can tell them apart: this departure "
        "is what makes norm-based pruning applicable. Norms may also vary less than by chance, "
        "as those of orthogonal filters do: the condition fails where their variance is below "
        "half of what CWDA gives.",
    ),
    equation=Formula(
        typst='f_j = s_j g_j, quad theta = "Var"(log s_j) '
        '= 1/4 ["Cov"(log norm(f_j^"even")^2, log norm(f_j^"odd")^2) '
        '- beta (2 norm(Sigma_("even,odd"))^2 + 4 mu_"even" dot Sigma_("even,odd") mu_"odd") '
        '/ (EE norm(f^"even")^2 EE norm(f^"odd")^2)]',
        spoken="f j is s j times g j; theta is the variance of log s j, a quarter of the "
        "covariance of the log energies over even and odd channels less what the covariance "
        "between the two halves adds",
    ),
    estimate="Variance of the logarithm of the filters' scale, without bias; may be negative.",
    details={
        "tau_squared": "Squared coefficient of variation of the filters' squared scale; a large "
        "one with a small effect means heavy tails, not unequal scale.",
        "channel_overlap": "What correlated channels add to `estimate` at most, which is "
        "subtracted.",
        "norm_ratio": "Variance of the live filters' log norms over its value for independent "
        "normal filters of one scale; the condition fails where it is below 1/2.",
        "norm_ratio_low": "Lower limit of its interval.",
        "norm_ratio_high": "Upper limit of its interval.",
        "near_dead": "Number of filters whose norm is below 5 % of the median norm of the live "
        "filters.",
        "zero_halves": "Number of filters that are zero in all even or in all odd channels, not "
        "in both; they are left out.",
        "effect_alive": "The effect without near-dead filters.",
        "effect_alive_low": "Lower limit of its interval.",
        "effect_alive_high": "Upper limit of its interval.",
    },
    averaging=SIGNED_SQUARES,
    directions=Directions(inapplicable="all filters have the same scale by construction"),
    calibration=Calibration(
        truth=_truth,
        parameter="homogeneity",
        undisturbed={"homogeneity": 0.0},
        # Of rare filters most samples hold none. Under light tails norms vary less than under
        # CWDA: "fails" is then true although the effect is 0.
        # Of few weights of which most are zero, some filters are zero by chance.
        excluded=("sparse",),
        interval_excluded=("sparse", "small filters", "dead filters", "light tails"),
    ),
)
def homogeneity(work: Workspace) -> Measurement:
    """Test whether all filters of a layer share one scale (identically distributed).

    With f_j = s_j g_j the effect is SD(log s), estimated by split halves of the input
    channels, Var(log s) = Cov(a, b) / 4 of the halves' log energies less what correlated
    channels share, with a mean of the filters or without: neither noise nor kurtosis of the
    weights enters. The effect has the sign of that estimate. The p-value is one-sided, for scales
    that differ: it is near 1, not near 0, where norms vary less than by chance.

    Norms may also vary less than CWDA allows. `norm_ratio` is the variance of the live filters'
    log norms over its value under CWDA; the verdict is "fails" where its interval lies below 1/2,
    "holds" only where it lies above. `details` has tau^2 and the number of near-dead filters too,
    and the effect without them.

    References
    ----------
    Huang et al. (2021), equation 1; Zou and Donner (2008) for the interval.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.homogeneity(net["layer3.0.conv1"]).n_weights
    18432
    """
    energy = work.channel_energy
    even, odd = energy[:, ::2].sum(axis=1), energy[:, 1::2].sum(axis=1)
    norms = np.sqrt(even + odd)
    alive = live_filters(norms)
    # Filters that are zero have a scale of their own, if not a logarithm of it.
    zero = norms == 0
    even[zero] = odd[zero] = (ZERO * np.median(norms[alive])) ** 2 / 2
    # The logarithm needs both halves positive.
    usable = (even > 0) & (odd > 0)
    overlap = _overlap(work, even, odd)
    dispersion = _disperse(even, odd, overlap, usable, work.alpha)
    if dispersion is None:
        return Measurement(effect=math.nan, low=0.0, high=math.inf)
    trimmed = _disperse(even, odd, overlap, usable & alive, work.alpha)
    ratio = _norm_ratio(work, alive)
    low, high = map(SIGNED_SQUARES.effect, (dispersion.low, dispersion.high))
    further = _further(ratio)
    dead = _by_dead_filters(dispersion, trimmed)
    return Measurement(
        estimate=dispersion.estimate,
        effect=SIGNED_SQUARES.effect(dispersion.estimate),
        low=low,
        high=high,
        statistic=dispersion.statistic,
        pvalue=dispersion.pvalue,
        log10_pvalue=dispersion.log10_pvalue,
        theta=dispersion.estimate,
        theta_se=dispersion.error,
        further=further,
        note=_DEAD if dead else _SCALE,
        cause=f"{(~alive).sum()} of {len(alive)} filters: remove these first" if dead else "",
        further_note=_LESS.get(further, ""),
        further_cause=_varying(ratio),
        details={
            "tau_squared": work.tau_squared,
            "channel_overlap": overlap.value,
            "norm_ratio": ratio.value,
            "norm_ratio_low": ratio.low,
            "norm_ratio_high": ratio.high,
            "near_dead": (~alive).sum(),
            "zero_halves": (~usable).sum(),
            **_effects("effect_alive", trimmed),
        },
    )


def _overlap(work: Workspace, even: np.ndarray, odd: np.ndarray) -> Overlap:
    halves, projections = work.sums["halves"], work.kernels.projections
    assert projections is not None
    return overlap_of_halves(even, odd, halves.rows, halves.squares, projections.cpu().numpy())


def _disperse(
    even: np.ndarray, odd: np.ndarray, overlap: Overlap, kept: np.ndarray, alpha: float
) -> ScaleDispersion | None:
    if kept.sum() < FEWEST_FILTERS:
        return None
    # U / D does not depend on filters without energy; the others' part in it is kept.
    overlap = Overlap(overlap.value, overlap.without[kept], overlap.null_variance)
    return scale_dispersion(even[kept], odd[kept], overlap, alpha)


def _effects(name: str, found: ScaleDispersion | None) -> dict[str, float]:
    estimate, low, high = (found.estimate, found.low, found.high) if found else (math.nan,) * 3
    values = (estimate, low, high)
    names = (name, f"{name}_low", f"{name}_high")
    return dict(zip(names, map(SIGNED_SQUARES.effect, values), strict=True))


def _norm_ratio(work: Workspace, alive: np.ndarray) -> NormRatio:
    """Of the live filters; the others have next to no part in the sums over pairs."""
    if alive.sum() < FEWEST_FILTERS:
        return NormRatio(math.nan, math.nan, math.nan)
    squares = torch.linalg.vector_norm(work.kernels.mean, dim=1).square().cpu().numpy()
    rows = work.sums["mean"].rows
    return norm_ratio(work.energy[alive], rows[alive], squares[alive], work.layer.dim, work.alpha)


def _by_dead_filters(whole: ScaleDispersion, trimmed: ScaleDispersion | None) -> bool:
    """Whether near-dead filters make most of the variance of the log scale."""
    return trimmed is not None and trimmed.estimate < whole.estimate / 2


def _varying(ratio: NormRatio) -> str:
    """The numbers of the further question."""
    if math.isnan(ratio.value):
        return "their variance is not known"
    limits = f"{number(ratio.low)} to {number(ratio.high)}"
    return (
        f"their variance is {number(ratio.value)} of CWDA's, interval {limits}, where "
        f"{number(SMALLEST_RATIO)} is the least"
    )


def _further(norms: NormRatio) -> Verdict:
    """Whether norms vary at least half as much as CWDA makes them vary."""
    if norms.high < SMALLEST_RATIO:
        return "fails"
    return "holds" if norms.low > SMALLEST_RATIO else "inconclusive"
