"""Condition 2: identically distributed; all filters of a layer have one shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize, special
from torch import Tensor

from cwda.conditions.averaging import LOGARITHMS
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Figure, Formula, Words, condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace, require_live
from cwda.filters.norm_shape import expected_log_ratio_variance, norm_shape
from cwda.filters.profiles import profile_ratio
from cwda.filters.ratio import Ratio
from cwda.filters.unit_covariance import unit_covariance
from cwda.filters.unit_sums import UnitSums, filter_norms, unit_sums
from cwda.layers import ConvLayer

__all__ = ["shape"]

#: What a departure in each of the three ratios means.
NOTES: Mapping[str, str] = {
    "norms": "filters differ in how concentrated their weights are",
    "channels": "filters differ in which channels they are strong in",
    "positions": "filters differ in which positions they are strong at",
}


def _inapplicable(layer: ConvLayer) -> str:
    return "one weight per filter: it has no shape" if layer.dim == 1 else ""


def _is_null(law: Law, size: LayerSize) -> bool:
    tails = law.parameters["heavy"] or law.parameters["gaussianity"]
    scaled = law.parameters["mean"] and law.parameters["homogeneity"]  # the mean is not scaled
    return not tails and not scaled


def _truth(law: Law, size: LayerSize) -> float:
    return 1.0 if _is_null(law, size) else math.nan


def _draw(rng: np.random.Generator, size: LayerSize, effect: float) -> npt.NDArray[np.float64]:
    """Normal weights of which half the filters have larger, half smaller powers of the size."""
    eye = torch.eye(size.kernel_size, dtype=torch.float64)
    by_chance = expected_log_ratio_variance(eye.expand(size.channels, -1, -1))
    step = _exponent(math.sqrt(max(effect - 1, 0.0) * by_chance))
    power = 1 + step * rng.choice([-1.0, 1.0], (size.n_filters, 1, 1))
    x = rng.standard_normal((size.n_filters, size.channels, size.kernel_size))
    found: npt.NDArray[np.float64] = np.sign(x) * np.abs(x) ** power
    return found


@lru_cache(maxsize=64)
def _exponent(deviation: float) -> float:
    """Powers 1 - p and 1 + p of normal weights have log(l1 / l2) this far from their mean."""

    def level(power: float) -> float:  # of log(l1 / l2) for many weights
        return float(special.gammaln((power + 1) / 2) - special.gammaln(power + 0.5) / 2)

    def excess(p: float) -> float:
        return (level(1 - p) - level(1 + p)) / 2 - deviation

    return float(optimize.brentq(excess, 0.0, 0.99)) if deviation else 0.0


@condition(
    margin=2.0,
    short="shape",
    null="log(l1/l2) of the filters, and their profiles over the channels, vary as CWDA says",
    effect="variance of log(l1/l2) over the filters, relative to its value under CWDA; or that "
    "concentration of their profiles over channels or positions which exceeds it",
    method="chi-square test of Var(log(l1/l2)) and John's of the profiles over the channels, "
    "Bonferroni; intervals by the jackknife over filters",
    inapplicable=_inapplicable,
    words=Words(
        title="Shape of the filters",
        claim="filters of one shape",
        asks="The assumption says that all filters of a layer have one distribution. Apart from "
        "their scale they then differ by chance alone: in how concentrated their weights are, and "
        "in which channels and positions they are strong.",
        estimator="Three quantities, each over its value under the assumption, so that 1 is "
        "agreement. First the variance of log(l1/l2) over the filters, which decides how alike l1 "
        "and l2 rank them. Then, for channels and for positions, tr(C^2)/tr(C)^2 of the filters' "
        "root energies there: it grows if populations of filters are strong in different places. "
        "Filters next to zero are left out. The effect is the first, unless another is larger and "
        "its interval lies above 1.",
        reading="A ratio of 2 means that filters differ in shape twice as much as draws of one "
        "normal law. The words of the verdict say which of the three it is. Heavy tails raise the "
        "first ratio even if all filters have one law: the law is then not normal. Strongly "
        "correlated channels raise the second: read it after independence.",
    ),
    equation=Formula(
        typst='R = "Var"(log(l_1 / l_2)) / (v_1 + v_2 - 2 c)',
        spoken="R is the variance of the logarithm of l 1 over l 2, divided by v 1 plus v 2 minus "
        "twice c, its value under the assumption",
    ),
    figure=Figure(
        name="norm_ratios",
        kind="plots of l1/l2",
        caption="l1/l2 of each live filter against its l2, both relative to their medians, in the "
        "layers with the largest effects. The band holds 95 % of the filters under CWDA.",
    ),
    estimate="Variance of log(l1/l2) over the live filters.",
    details={
        "norms_ratio": "Variance of log(l1/l2) over its value under CWDA.",
        "norms_ratio_low": "Lower limit of its interval.",
        "norms_ratio_high": "Upper limit of its interval.",
        "channels_ratio": "Concentration of the profiles over the channels, relative to CWDA; NaN "
        "for fewer than three channels with energy.",
        "channels_ratio_low": "Lower limit of its interval.",
        "channels_ratio_high": "Upper limit of its interval.",
        "positions_ratio": "The same over the positions of the kernel.",
        "positions_ratio_low": "Lower limit of its interval.",
        "positions_ratio_high": "Upper limit of its interval.",
        "live_filters": "Number of filters that are not near-dead: those that are compared.",
    },
    averaging=LOGARITHMS,
    calibration=Calibration(
        truth=_truth,
        null=_is_null,
        draw=_draw,
        undisturbed={"heavy": False, "mean": 0.0, "independence": 0.0},
        fewest_weights=36,  # the spread of one power alone is that of many weights
        excluded=("independence",),
        # Fourth moments have no interval where few weights hold most of the energy, and of few
        # weights that are not normal the value by chance is not known well enough.
        interval_excluded=("independence", "heavy", "sparse", "skewed", "exponential tails"),
    ),
)
def shape(work: Workspace) -> Measurement:
    """Test whether all filters of a layer have one shape (identically distributed).

    Three ratios, each 1 under CWDA: Var(log(l1/l2)) over v1 + v2 - 2 c, the value that makes l1
    and l2 rank filters alike (theorem 3.1 of the paper); and tr(C^2) / tr(C)^2 over its value, of
    the filters' root energies in the channels and at the positions of the kernel. The effect is
    the first, unless another is larger and differs from 1; `note` says which. The verdict is
    "holds" where all intervals lie within the margin, "fails" where one lies beyond, at a level
    divided by their number. The p-value is that of the first two together. Under heavy tails, and
    where most weights are zero, the interval claims no coverage: it rests on fourth moments.

    References
    ----------
    Huang et al. (2021), theorem 3.1; John (1971).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> row = cwda.conditions.shape(net["layer3.0.conv1"])
    >>> row.effect_low < row.effect < row.effect_high
    True
    """
    sums = _sums_of_live(work)
    blocks = unit_covariance(sums)
    norms = norm_shape(sums.l1, blocks)
    found = {
        "norms": norms,
        "channels": profile_ratio(sums.channel_energy),
        "positions": profile_ratio(sums.position_energy, _shared_energy(blocks)),
    }
    ratios = {name: ratio for name, ratio in found.items() if ratio is not None}
    # Each error of "fails" belongs to one of them, that of "holds" to all.
    strict = {name: ratio.limits(work.alpha / len(ratios))[0] for name, ratio in ratios.items()}
    apart = _apart(strict)
    chosen = max(apart, key=lambda name: ratios[name].value)
    pvalues = [ratios[name].pvalue for name in ("norms", "channels") if name in ratios]
    return Measurement(
        effect=ratios[chosen].value,
        low=min(max(strict[name] for name in apart), ratios[chosen].value),
        high=max(ratio.limits(work.alpha)[1] for ratio in ratios.values()),
        statistic=norms.value,
        pvalue=min(1.0, len(pvalues) * min(pvalues)),
        estimate=norms.measured,
        # The logarithm of a variable estimate lies below that of its mean.
        theta=math.log(ratios[chosen].value) + ratios[chosen].log_error ** 2 / 2,
        theta_se=ratios[chosen].log_error,
        note=NOTES[chosen] if strict[chosen] > 1 else "",
        details=_details(found, work.alpha) | {"live_filters": float(len(sums.l1))},
    )


def _sums_of_live(work: Workspace) -> UnitSums:
    """What the live filters add up to."""
    filters = work.blocks
    if not 1e-140 < work.scale < 1e140:
        filters = filters.double() / work.scale
    norms = filter_norms(filters.flatten(1))
    alive = require_live(norms.cpu().numpy())
    if not alive.all():
        kept = torch.from_numpy(alive).to(norms.device)
        filters, norms = filters[kept], norms[kept]
    return unit_sums(filters, norms)


def _shared_energy(blocks: Tensor) -> Tensor:
    """Covariance of the energies at two positions under CWDA, over 2 and their means."""
    energy = blocks.diagonal(dim1=1, dim2=2).sum(dim=0)
    energy = energy.where(energy > 0, 1.0)
    shared: Tensor = blocks.square().sum(dim=0) / (energy[:, None] * energy)
    return shared


def _apart(strict: Mapping[str, float]) -> list[str]:
    """The ratios that may be the effect: the norms', and those above 1 beyond chance.

    The largest of all would be too large by chance wherever CWDA holds, and its lower limit too
    large wherever the norms' ratio lies below 1.
    """
    return [name for name in strict if name == "norms" or strict[name] > 1]


def _details(found: Mapping[str, Ratio | None], alpha: float) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, ratio in found.items():
        low, high = ratio.limits(alpha) if ratio else (math.nan, math.nan)
        numbers[f"{name}_ratio"] = ratio.value if ratio else math.nan
        numbers |= {f"{name}_ratio_low": low, f"{name}_ratio_high": high}
    return numbers
