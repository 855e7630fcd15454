"""Condition 4: the mean of the weights is close to 0."""

from __future__ import annotations

import math

import torch
from scipy import special

from cwda.conditions.averaging import SQUARES
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Formula, Words, condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace, measured
from cwda.numerics.pairs.ustatistics import infer, plain_estimate

__all__ = ["mean"]


def _truth(law: Law, size: LayerSize) -> float:
    return law.parameters["mean"]


@condition(
    margin=0.1,
    short="mean",
    null="every position of a filter has mean 0",
    effect="RMS mean over RMS weight",
    method="U-statistic of f_i.f_j, skewness-matched chi-square; Wilson-jackknife interval",
    words=Words(
        title="Mean",
        claim="a mean of zero",
        asks="The assumption says that the mean filter is zero.",
        estimator="The effect is the root mean square of the mean filter over the root mean "
        "square weight, by a U-statistic over pairs of filters.",
        reading="An effect of .1 means that the mean carries 1 % of the energy of the weights.",
    ),
    equation=Formula(
        typst="theta^2 = norm(mu)^2 / (EE norm(f)^2)",
        spoken="theta squared is the squared norm of the mean filter over the mean squared norm "
        "of the filters",
    ),
    estimate="Squared norm of the mean filter, without bias.",
    details={
        "weight_mean": "Mean of all weights.",
        "weight_sd": "Standard deviation of all weights.",
        "weight_mean_low": "Lower limit of the mean's t interval, over the means of the filters.",
        "weight_mean_high": "Upper limit of that interval.",
        "weight_mean_tost": "P-value of the two one-sided tests that the mean lies within 0.1 RMS "
        "weights of 0.",
    },
    averaging=SQUARES,
    calibration=Calibration(truth=_truth, parameter="mean", undisturbed={"mean": 0.0}),
)
def mean(work: Workspace) -> Measurement:
    """Test whether the mean of the weights is close to 0 (condition 3 of the paper).

    The effect is |mu| / sqrt(E |f|^2): the RMS mean of the positions over the RMS weight, by an
    unbiased U-statistic over pairs of filters. `details` has the mean over all weights with
    its t interval and the p-value of two one-sided tests.

    References
    ----------
    Huang et al. (2021), section 2.1; Schuirmann (1987).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.mean(net["layer3.1.conv1"]).verdict
    'holds'
    """
    sums = work.sums["mean"]
    inference = infer(
        sums,
        plain_estimate(sums, centred=False),
        work.mean_energy,
        1.0,
        centred=False,
        alpha=work.alpha,
        rounding=_rounding(work),
    )
    return measured(inference, work.scale_squared, _scalar_mean(work))


def _rounding(work: Workspace) -> float:
    """Sum of the squared products of orthogonal filters, as their rounding leaves it.

    Independent filters have products of about |f_i| |f_j| / sqrt(d) at the least.
    """
    q = work.energy
    share = min(64 * torch.finfo(work.filters.dtype).eps, 0.05)
    return share**2 * float(q.sum() ** 2 - q @ q) / work.layer.dim


def _scalar_mean(work: Workspace) -> dict[str, float]:
    """The mean over all weights of a filter: n values, t interval and equivalence test.

    The margin of the two one-sided tests is the default of this condition times the RMS
    weight, since a constant mean m has the effect |m| / RMS.
    """
    n = work.layer.n_filters
    # In units of the RMS weight; where sums might leave the range of float64, from scaled weights.
    if 1e-140 < work.scale < 1e140:
        means = work.filters.mean(dim=1, dtype=torch.float64).div(work.scale).cpu().numpy()
    else:
        means = work.filters.double().div(work.scale).mean(dim=1).cpu().numpy()
    average, error = float(means.mean()), float(means.std(ddof=1)) / math.sqrt(n)
    t = float(special.stdtrit(n - 1, 1 - work.alpha))
    tost = math.nan
    if error > 0:
        nearest = min((average + mean.margin) / error, (mean.margin - average) / error)
        tost = float(special.stdtr(n - 1, -nearest))
    return {
        "weight_mean": average * work.scale,
        "weight_sd": math.sqrt(max(1 - average**2, 0.0)) * work.scale,
        "weight_mean_low": (average - t * error) * work.scale,
        "weight_mean_high": (average + t * error) * work.scale,
        "weight_mean_tost": tost,
    }
