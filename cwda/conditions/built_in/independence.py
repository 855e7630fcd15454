"""Condition 5: nothing outside the blocks; different input channels do not correlate."""

from __future__ import annotations

from cwda.conditions.built_in.covariance import SHARES, energy_shares
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Formula, Words, condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

__all__ = ["independence"]


def _inapplicable(layer: ConvLayer) -> str:
    return "one input channel: there is nothing outside the block" if layer.channels == 1 else ""


def _truth(law: Law, size: LayerSize) -> float:
    return law.parameters["independence"] / law.second_moment if size.channels > 1 else 0.0


@condition(
    margin=0.05,
    short="indep",
    null="weights of different input channels are uncorrelated",
    effect="RMS covariance between the blocks over mean variance",
    method="U-centred U-statistic between channels, skewness-matched chi-square; "
    "Wilson-jackknife interval",
    needs="covariance kernel",
    inapplicable=_inapplicable,
    words=Words(
        title="Independence of channels",
        claim="independent channels",
        asks="The assumption says that weights of different input channels are uncorrelated: "
        "nothing lies outside the blocks.",
        estimator="The effect is the root mean square covariance between the blocks over the mean "
        "variance, by the same U-statistic.",
        reading="There are many more pairs between blocks than inside, so that a small effect may "
        "carry much: with d = 576, an effect of .05 has more energy outside the blocks than on "
        "the diagonal.",
    ),
    equation=Formula(
        typst="theta^2 = d / (d - k^2) dot (sum_(b != c) sum_(p in b, q in c) sigma_(p q)^2) "
        "/ (sum_p a_p)^2",
        spoken="theta squared is d over d minus k squared times the sum of the squared "
        "covariances between the blocks, over the squared trace",
    ),
    estimate="Sum of the squared covariances between the blocks, without bias.",
    details=SHARES,
    calibration=Calibration(
        truth=_truth, parameter="independence", undisturbed={"independence": 0.0}
    ),
)
def independence(work: Workspace) -> Measurement:
    """Test whether weights of different input channels are uncorrelated.

    The effect is the RMS covariance of two weights of different channels over the mean
    variance, by a U-statistic over pairs of filters of U-centred Gram matrices. Equation 1
    of the paper says that Sigma is zero outside its blocks.

    References
    ----------
    Huang et al. (2021), equation 1; Szekely and Rizzo (2014).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.independence(net["layer3.0.conv1"]).effect < 0.3
    True
    """
    constant = work.layer.dim / (work.layer.dim - work.layer.kernel_size)
    return work.second_order("between", constant, details=energy_shares(work))
