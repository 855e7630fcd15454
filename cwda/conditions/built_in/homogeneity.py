"""Condition 6: identically distributed; all filters of a layer share one scale."""

from __future__ import annotations

import math

import numpy as np

from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Formula, Words, condition
from cwda.conditions.directions import Directions
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import FEWEST_FILTERS, Workspace
from cwda.layers import ConvLayer
from cwda.numerics.ranking.dispersion import ScaleDispersion, scale_dispersion

__all__ = ["NEAR_DEAD", "homogeneity"]

#: A filter is near-dead if its norm is below this share of the median norm.
NEAR_DEAD = 0.05


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
    effect="standard deviation of the filters' log scale",
    method="split halves of the channels, Pearson t; MOVER interval",
    inapplicable=_inapplicable,
    words=Words(
        title="Homogeneity of the filters",
        claim="filters of one scale",
        asks="The assumption says that all filters of a layer have one distribution, hence one "
        "scale.",
        estimator="With filter j written as a scale times a standard filter, its energies over "
        "even and over odd input channels share nothing but the scale; their covariance gives the "
        "variance of its logarithm.",
        reading="An effect of .125 means that the scales of filters scatter by one eighth beyond "
        "chance. Where filters differ in scale, norms can tell them apart: this departure is what "
        "makes norm-based pruning applicable.",
    ),
    equation=Formula(
        typst='f_j = s_j g_j, quad theta^2 = "Var"(log s_j) '
        '= 1/4 "Cov"(log norm(f_j^"even")^2, log norm(f_j^"odd")^2)',
        spoken="f j is s j times g j; theta squared is the variance of log s j, a quarter of the "
        "covariance of the log energies over even and odd channels",
    ),
    estimate="Variance of the logarithm of the filters' scale.",
    details={
        "tau_squared": "Squared coefficient of variation of the filters' squared scale; a large "
        "one with a small effect means heavy tails, not unequal scale.",
        "near_dead": "Number of filters whose norm is below 5 % of the median norm.",
        "zero_halves": "Number of filters that are zero in all even or all odd channels; they "
        "are left out.",
        "effect_alive": "The effect without near-dead filters.",
        "effect_alive_low": "Lower limit of its interval.",
        "effect_alive_high": "Upper limit of its interval.",
    },
    directions=Directions(inapplicable="all filters have the same scale by construction"),
    # Correlated channels share energy between the halves, as if by scale.
    calibration=Calibration(
        truth=_truth,
        parameter="homogeneity",
        undisturbed={"homogeneity": 0.0, "independence": 0.0},
        excluded=("independence",),
        interval_excluded=("independence",),
    ),
)
def homogeneity(work: Workspace) -> Measurement:
    """Test whether all filters of a layer share one scale (identically distributed).

    With f_j = s_j g_j the effect is SD(log s), estimated by split halves of the input
    channels, Var(log s) = Cov(a, b) / 4 of the halves' log energies: neither noise nor
    kurtosis of the weights enters. `details` has tau^2 and the number of near-dead filters,
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
    alive = norms >= NEAR_DEAD * np.median(norms)
    # The logarithm needs both halves positive; only exact zeros are left out.
    usable = (even > 0) & (odd > 0)
    dispersion = _disperse(even, odd, usable, work.alpha)
    if dispersion is None:
        return Measurement(effect=math.nan, low=0.0, high=math.inf)
    trimmed = _disperse(even, odd, usable & alive, work.alpha)
    return Measurement(
        estimate=dispersion.estimate,
        effect=dispersion.effect,
        low=dispersion.low,
        high=dispersion.high,
        statistic=dispersion.statistic,
        pvalue=dispersion.pvalue,
        details={
            "tau_squared": work.tau_squared,
            "near_dead": (~alive).sum(),
            "zero_halves": (~usable).sum(),
            "effect_alive": trimmed.effect if trimmed else math.nan,
            "effect_alive_low": trimmed.low if trimmed else math.nan,
            "effect_alive_high": trimmed.high if trimmed else math.nan,
        },
    )


def _disperse(
    even: np.ndarray, odd: np.ndarray, kept: np.ndarray, alpha: float
) -> ScaleDispersion | None:
    if kept.sum() < FEWEST_FILTERS:
        return None
    return scale_dispersion(even[kept], odd[kept], alpha)
