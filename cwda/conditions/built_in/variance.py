"""Condition 3: the variances a_p of the positions are close to one another."""

from __future__ import annotations

from cwda.conditions.averaging import SQUARES
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Formula, Words, condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

__all__ = ["variance"]


def _inapplicable(layer: ConvLayer) -> str:
    return "one weight a filter: no variances to compare" if layer.dim == 1 else ""


def _truth(law: Law, size: LayerSize) -> float:
    return law.parameters["variance"]


@condition(
    margin=0.5,
    short="var",
    null="all positions of a filter have the same variance",
    effect="coefficient of variation of the variances a_p",
    method="U-statistic of centred squares, skewness-matched chi-square; Wilson-jackknife interval",
    needs="variance kernel",
    inapplicable=_inapplicable,
    words=Words(
        title="Variance",
        claim="equal variances",
        asks="The assumption says that the variances of the positions, the diagonal elements of "
        "the covariance matrix, are close to one another.",
        estimator="The effect is the coefficient of variation of the variances, by a U-statistic "
        "over pairs of filters, which is unbiased although there are fewer filters than positions.",
        reading="An effect of .5 means that the variances scatter by half of their mean. It grows "
        "where some input channels carry more weight than others, or kernels have a bright centre.",
    ),
    equation=Formula(
        typst=r"theta^2 = (sum_p (a_p - macron(a))^2 \/ d) / macron(a)^2",
        spoken="theta squared is the mean squared deviation of the variances a p from their mean, "
        "over the squared mean",
    ),
    estimate="Sum of the squared deviations of the variances from their mean, without bias.",
    averaging=SQUARES,
    # Products of squares have a variance only where eighth moments exist: conservative there.
    calibration=Calibration(
        truth=_truth, parameter="variance", undisturbed={"variance": 0.0}, excluded=("heavy",)
    ),
)
def variance(work: Workspace) -> Measurement:
    """Test whether the positions have equal variances (condition 2 of the paper).

    The effect is the coefficient of variation of the diagonal elements a_p,
    sqrt(d sum_p (a_p - mean a)^2) / sum_p a_p, by an unbiased U-statistic over pairs of
    filters.

    References
    ----------
    Huang et al. (2021), section 2.1.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.variance(net["layer3.0.conv1"]).condition
    'variance'
    """
    return work.second_order("variance", float(work.layer.dim), details={})
