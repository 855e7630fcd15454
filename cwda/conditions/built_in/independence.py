"""Condition 6: nothing outside the blocks; different input channels do not correlate."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cwda.conditions.averaging import SQUARES
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
    """From the RMS covariance over the mean variance, and the variation of the variances."""
    if size.channels == 1:
        return 0.0
    pairs = size.dim - size.kernel_size
    return law.parameters["independence"] * math.sqrt(pairs / (1 + law.parameters["variance"] ** 2))


def _draw(rng: np.random.Generator, size: LayerSize, effect: float) -> npt.NDArray[np.float64]:
    """Channels that share a part of their kernels; at least three."""
    shared = effect / math.sqrt(size.channels - 1)
    shape = size.n_filters, size.channels, size.kernel_size
    own = math.sqrt(1 - shared) * rng.standard_normal(shape)
    filters: npt.NDArray[np.float64] = own + math.sqrt(shared) * rng.standard_normal(
        (shape[0], 1, shape[2])
    )
    return filters


@condition(
    margin=0.7,
    short="indep",
    null="weights of different input channels are uncorrelated",
    effect="root of the energy of the covariances between the blocks over that of the variances",
    method="U-centred U-statistic between channels, skewness-matched chi-square; "
    "Wilson-jackknife interval",
    needs="covariance kernel",
    inapplicable=_inapplicable,
    words=Words(
        title="Independence of channels",
        claim="independent channels",
        asks="The assumption says that weights of different input channels are uncorrelated: "
        "nothing lies outside the blocks.",
        estimator="The effect is the root of the energy between the blocks, the sum of the squared "
        "covariances of different channels, over the energy of the variances, by the same "
        "U-statistic.",
        reading="An effect of .7 means that the covariances between channels have half the energy "
        "of the variances, which takes a third of the effective dimension away. At 1 they have "
        "as much energy as the variances; it is comparable over layers of any width.",
    ),
    equation=Formula(
        typst="theta^2 = (sum_(b != c) sum_(p in b, q in c) sigma_(p q)^2) / (sum_p a_p^2)",
        spoken="theta squared is the sum of the squared covariances between the blocks over the "
        "sum of the squared variances",
    ),
    estimate="Sum of the squared covariances between the blocks, without bias.",
    details=SHARES,
    averaging=SQUARES,
    calibration=Calibration(
        truth=_truth, draw=_draw, undisturbed={"independence": 0.0}, interval_fewest_channels=4
    ),
)
def independence(work: Workspace) -> Measurement:
    """Test whether weights of different input channels are uncorrelated.

    The effect is the root of the energy of Sigma between the blocks over that of its diagonal,
    by a U-statistic over pairs of filters of U-centred Gram matrices. Equation 1 of the paper
    says that Sigma is zero outside its blocks.

    References
    ----------
    Huang et al. (2021), equation 1; Szekely and Rizzo (2014).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.independence(net["layer3.0.conv1"]).verdict
    'fails'
    """
    return work.second_order(
        "between", 1.0, over=work.squared_variances, details=energy_shares(work)
    )
