"""Condition 1: the weights of a filter are approximately Gaussian."""

from __future__ import annotations

import math

from torch import Tensor

from cwda.conditions.averaging import DISTANCES
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Figure, Formula, Words, condition
from cwda.conditions.directions import Directions
from cwda.conditions.results import Measurement
from cwda.conditions.shape_left import shape_left
from cwda.conditions.workspace import Workspace
from cwda.numerics.combination import benjamini_hochberg, cauchy_combination, holm
from cwda.numerics.normality.kolmogorov import uniform_pvalue
from cwda.numerics.normality.layers import marginals, unit_norm_allowed
from cwda.numerics.normality.pooled_ks import pooled_ks

__all__ = ["gaussianity"]


_MARGIN = 0.05
_SCALE_ONLY = "by scale of filters or positions: the shape that is left is Gaussian"


def _truth(law: Law, size: LayerSize) -> float:
    return law.distance(size)


def _is_null(law: Law, size: LayerSize) -> bool:
    # The scale of the filters makes each position a mixture.
    return not any(law.parameters[name] for name in ("heavy", "gaussianity", "homogeneity"))


def _withheld(work: Workspace) -> str:
    """The division makes the weights of a position lighter-tailed than normal."""
    d_eff = _effective_dim(work.filters)
    if unit_norm_allowed(work.layer.n_filters, d_eff):
        return ""
    return f"unit filters of effective dimension {d_eff:.0f} are not normal"


def _effective_dim(units: Tensor) -> float:
    """d_eff of filters of one norm, d^2 over the mean square of the products of two."""
    n, d = units.shape
    # ||F F'|| = ||F' F||, of which one is the smaller.
    gram = units @ units.T if n <= d else units.T @ units
    return n * (n - 1) * d**2 / max(float(gram.square().sum()) - n * d**2, n * (n - 1) * d)


@condition(
    margin=_MARGIN,
    short="gauss",
    null="at every position, the weights of the filters are normal",
    effect="Kolmogorov-Smirnov distance of the standardised weights from the normal law",
    method="Anderson-Darling per position, Cauchy combination; KS distance of pooled "
    "weights, jackknife over filters, simultaneous band",
    words=Words(
        title="Gaussianity",
        claim="Gaussian weights",
        asks="The assumption says that the weights of a filter are Gaussian. The question is how "
        "far the distribution of the layer's standardised weights lies from the normal one.",
        estimator="The effect is the Kolmogorov-Smirnov distance of all weights of the layer; its "
        "interval rests on a jackknife over filters, as a simultaneous band for the lower limit; "
        "the upper one allows for log-normal scales of the filters. "
        "The p-value asks each of the d positions (Anderson-Darling over the filters) and "
        "combines them by Cauchy combination.",
        reading="A distance of .05 means that no quantile of the weights is off by more than 5 % "
        "of the filters. A layer whose filters differ in scale is not Gaussian as a whole even if "
        "each filter is: compare homogeneity.",
    ),
    equation=Formula(
        typst="D = sup_x |hat(F)(x) - Phi(x)|",
        spoken="D is the largest distance between the distribution function of the standardised "
        "weights and the normal one",
    ),
    figure=Figure(
        name="qq",
        kind="Q-Q plots",
        caption="Quantiles of the standardised weights against normal ones in the layers with "
        "the largest effects. Points outside the band depart from the normal law.",
    ),
    estimate="The effect itself.",
    averaging=DISTANCES,
    details={
        "effect_shape": "The distance left after filters are divided by their root mean square "
        "and positions by mean and SD: Gaussian shape without scale. Short tails that this "
        "causes itself are corrected for.",
        "effect_shape_low": "Lower limit of its interval.",
        "effect_shape_high": "Upper limit of its interval.",
        "uniform_pvalue": "P-value that all weights are i.i.d. uniform with unknown ends, as some "
        "initialisations draw them: a Kolmogorov-Smirnov test of at most 10,000 weights.",
        "positions": "Number of positions tested.",
        "positions_degenerate": "Number of positions at which all filters have the same weight.",
        "positions_rejected": "Number of positions with a p-value below (1 - level) / 2.",
        "positions_rejected_holm": "The same, adjusted over the positions by Holm's method.",
        "positions_rejected_bh": "The same by the method of Benjamini and Hochberg.",
    },
    directions=Directions(withheld=_withheld),
    calibration=Calibration(
        truth=_truth,
        null=_is_null,
        parameter="gaussianity",
        undisturbed={"heavy": False, "homogeneity": 0.0},
        # Most samples of few filters hold none of a rare kind: the distance that it causes in
        # the population cannot be known from them.
        interval_excluded=("small filters", "dead filters"),
    ),
)
def gaussianity(work: Workspace) -> Measurement:
    """Test whether the weights of the filters are Gaussian (condition 1 of the paper).

    The effect is D = sup |F_n(w) - Phi(w)| of the layer's pooled, standardised weights, with
    an interval from the jackknife over filters (simultaneous for the lower limit; the upper
    one allows for log-normal scales of the filters). It says nothing of rare small or dead
    filters that a sample of few filters may lack. The p-value combines Anderson-Darling tests of
    the d = N k^2 positions, each a sample of N' filters, by Cauchy combination: at 8 filters of
    144 weights it rejects .031 of 1,500 normal layers at .05, at 16 filters .042.

    References
    ----------
    Huang et al. (2021), section 2.1; Stephens (1974); Liu and Xie (2020).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> round(cwda.conditions.gaussianity(net["layer3.0.conv1"]).effect, 3) < 0.2
    True
    """
    positions = marginals(work.filters.T, ["anderson_darling"])
    pvalues = positions.anderson_darling_pvalue
    assert pvalues is not None
    pvalue = float(cauchy_combination(pvalues))
    raw = pvalues.cpu().numpy()
    pooled = pooled_ks(work.filters, alpha=work.alpha)
    left = shape_left(work.filters, alpha=work.alpha)
    return Measurement(
        estimate=pooled.distance,
        effect=pooled.distance,
        low=pooled.low,
        high=pooled.high,
        statistic=_cauchy_statistic(pvalue),
        pvalue=pvalue,
        theta=pooled.cross_fitted,
        theta_se=pooled.standard_error,
        note=_SCALE_ONLY if left and pooled.low > _MARGIN >= left.high else "",
        details={
            "effect_shape": left.distance if left else math.nan,
            "effect_shape_low": left.low if left else math.nan,
            "effect_shape_high": left.high if left else math.nan,
            "uniform_pvalue": uniform_pvalue(work.filters),
            "positions": float((~positions.degenerate).sum()),
            "positions_degenerate": float(positions.degenerate.sum()),
            "positions_rejected": (raw < work.alpha).sum(),
            "positions_rejected_holm": (holm(raw) < work.alpha).sum(),
            "positions_rejected_bh": (benjamini_hochberg(raw) < work.alpha).sum(),
        },
    )


def _cauchy_statistic(pvalue: float) -> float:
    """The combined statistic T, which has the p-value of a standard Cauchy variable.

    Finite, as no p-value of Anderson and Darling's test is below 5e-31.
    """
    return 1 / math.tan(math.pi * pvalue) if 0 < pvalue < 1 else math.nan
