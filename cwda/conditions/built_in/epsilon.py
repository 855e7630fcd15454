"""Condition 5: epsilon, the covariance inside the blocks, is small."""

from __future__ import annotations

from cwda.conditions.averaging import SQUARES
from cwda.conditions.built_in.covariance import SHARES, energy_shares
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Formula, Words, condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

__all__ = ["epsilon"]


def _inapplicable(layer: ConvLayer) -> str:
    return "kernel of one position: blocks have no off-diagonal" if layer.kernel_size == 1 else ""


def _truth(law: Law, size: LayerSize) -> float:
    return law.parameters["epsilon"] if size.kernel_size > 1 else 0.0


@condition(
    margin=0.3,
    short="eps",
    null="weights of one input channel are uncorrelated",
    effect="RMS covariance inside the blocks over mean variance",
    method="U-centred U-statistic within channels, skewness-matched chi-square; "
    "Wilson-jackknife interval",
    needs="covariance kernel",
    inapplicable=_inapplicable,
    words=Words(
        title="Epsilon: covariance inside the blocks",
        claim="a small epsilon",
        asks="The assumption allows weights of one input channel to correlate a little: epsilon "
        "is small.",
        estimator="The effect is the root mean square covariance inside the blocks over the mean "
        "variance, by a U-centred U-statistic, so that the mean of the filters does not enter.",
        reading="An effect of .3 is a typical correlation of .3 between the weights of one "
        "kernel. Smooth kernels, as in first layers, have large effects.",
    ),
    equation=Formula(
        typst="theta^2 = d / (k^2 - 1) dot (sum_b sum_(p != q in b) sigma_(p q)^2) / (sum_p a_p)^2",
        spoken="theta squared is d over k squared minus 1 times the sum of the squared "
        "covariances inside the blocks, over the squared trace",
    ),
    estimate="Sum of the squared covariances inside the blocks, without bias.",
    details=SHARES,
    averaging=SQUARES,
    calibration=Calibration(
        truth=_truth, parameter="epsilon", undisturbed={"epsilon": 0.0}, interval_fewest_channels=4
    ),
)
def epsilon(work: Workspace) -> Measurement:
    """Test whether epsilon, the covariance inside the blocks, is small (condition 4 of the paper).

    The effect is the RMS covariance of two weights of one input channel over the mean
    variance, by a U-statistic over pairs of filters of U-centred Gram matrices: unbiased
    for N' < N k^2 and free of the mean. It is an RMS correlation where all a_p are equal.

    References
    ----------
    Huang et al. (2021), equation 1 and section 2.1; Szekely and Rizzo (2014).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.epsilon(net["conv1"]).n_filters
    16
    """
    constant = work.layer.dim / (work.layer.kernel_size - 1)
    return work.second_order("within", constant, details=energy_shares(work))
