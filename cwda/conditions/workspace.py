"""One layer prepared for the conditions: checked, scaled, its shared matrices made once."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.arguments import as_list
from cwda.conditions.results import Measurement
from cwda.errors import CwdaError, WeightsError, nearest
from cwda.formatting import many
from cwda.layers import ConvLayer
from cwda.numerics.pairs.kernels import (
    CENTRED,
    KernelName,
    PairKernels,
    pair_kernels,
    whole_moments,
)
from cwda.numerics.pairs.moments import Estimate, GramMoments
from cwda.numerics.pairs.sums import KernelSums, kernel_sums
from cwda.numerics.pairs.ustatistics import UStatistic, infer, mean_energy, plain_estimate
from cwda.numerics.ranking.dispersion import tau_squared
from cwda.numerics.ranking.live import live_filters
from cwda.sharing import keep, shared

__all__ = [
    "FEWEST_FILTERS",
    "NEEDS",
    "NOT_FINITE",
    "FilterMoments",
    "Workspace",
    "filter_moments",
    "leave_moments",
    "measured",
    "unfit",
    "validated_needs",
]

#: Matrices of all pairs of filters that a condition reads only if it says so, by what makes them.
NEEDS: Mapping[str, tuple[KernelName, ...]] = {
    "variance kernel": ("variance",),
    "covariance kernel": ("within", "between"),
    "position kernel": ("positions",),
    "halves kernel": ("halves",),
}

#: The need of models of the filters.
_COVARIANCE = "covariance kernel"

#: With fewer filters the null distributions have not been calibrated.
FEWEST_FILTERS = 8

#: Filters up to which n x n matrices are made whatever the number of weights is; they take
#: half a gibibyte each there. Wide layers of large networks have more, with as many weights each.
MOST_FILTERS = 8192

#: Filters from which on the cubes of a matrix take long.
WIDE = 1024

#: Jackknives keep some hundred numbers a filter.
MOST_FILTERS_AT_ALL = 200_000

#: Largest size of rounding in a kernel, in units of D4, the squared trace.
ROUNDING = 1e-13

#: Statistics below it do not occur where filters are independent draws.
LOWEST_STATISTIC = -5.0

#: Share of the energy that all filters but the two largest must have together: squares of
#: less are lost beside them in float64.
SMALLEST_REST = 1e-10


#: How the reason of a layer ends in which training went wrong.
NOT_FINITE = "weights are NaN or infinite"


def unfit(layer: ConvLayer) -> str:
    """Why no condition can be tested in this layer; empty if they can.

    Examples
    --------
    >>> import torch
    >>> unfit(ConvLayer("conv", torch.zeros(16, 3, 3, 3)))
    'all weights are 0'
    """
    weight = layer.weight.detach()
    if not weight.is_floating_point():
        return f"weights are {str(weight.dtype).removeprefix('torch.')}, not real numbers"
    if layer.n_weights == 0:
        return "no weights"
    lowest, highest = weight.aminmax()
    if not math.isfinite(float(lowest) - float(highest)):
        bad = int((~torch.isfinite(weight)).sum())
        if bad:
            return f"{bad:,} of {weight.numel():,} {NOT_FINITE}"
        return "weights so large that their differences overflow"
    if bool(lowest == highest):
        return "all weights are equal" if float(lowest) else "all weights are 0"
    if layer.n_filters < FEWEST_FILTERS:
        return f"{many(layer.n_filters, 'filter')}; {FEWEST_FILTERS} are needed"
    if layer.n_filters > MOST_FILTERS_AT_ALL:
        return f"{layer.n_filters:,} filters; {MOST_FILTERS_AT_ALL:,} are the most"
    # The first two tell in nearly every case, without a pass over all weights.
    if torch.equal(weight[0], weight[1]) and bool((weight == weight[:1]).all()):
        return "all filters are equal"
    return ""


def require_live(norms: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which filters of these norms are not near-dead; see `live_filters`.

    Raises
    ------
    WeightsError
        If they are too few for a condition.
    """
    alive = live_filters(norms)
    if alive.sum() < FEWEST_FILTERS:
        raise WeightsError(f"{many(int(alive.sum()), 'live filter')}; {FEWEST_FILTERS} are needed")
    return alive


def validated_needs(needs: str | Iterable[str]) -> frozenset[str]:
    """The kernels that a condition needs, one or several.

    Raises
    ------
    CwdaError
        If one is unknown.
    """
    names = as_list(needs, "need of a condition")
    for name in names:
        if name not in NEEDS:
            raise CwdaError(f"unknown need {name!r}{nearest(name, NEEDS)}")
    return frozenset(names)


class Workspace:
    """The numbers of one layer that several conditions share, each computed once.

    The weights are divided by their root mean square, so that neither tiny nor huge
    weights leave the range of float64 in the fourth and eighth powers that follow.

    Parameters
    ----------
    layer : ConvLayer
        The layer; nothing can be computed where `unfit` has a reason.
    device : torch.device
        Where to compute.
    level : float
        Confidence of the intervals.
    needs : collection of str
        Kernel matrices that will be asked for: keys of `NEEDS`.
    tests : bool
        Whether p-values will be asked for, which take the cubes of the matrices.

    Attributes
    ----------
    alpha : float
        Error of each limit of an interval, (1 - level) / 2.
    """

    def __init__(
        self,
        layer: ConvLayer,
        device: torch.device,
        level: float = 0.90,
        needs: Collection[str] = frozenset(NEEDS),
        *,
        tests: bool = True,
    ) -> None:
        self.layer, self.device, self.level, self.needs = layer, device, level, needs
        self._tests = tests
        # Rounded, so that a level of .9 gives .05 and not the number below it.
        self.alpha = round((1 - level) / 2, 15)

    def guest(self, needs: Collection[str]) -> Workspace:
        """One of the same layer for a condition of the user's: what it changes is its own."""
        weight = self.layer.weight.detach().clone()
        return Workspace(replace(self.layer, weight=weight), self.device, self.level, needs)

    @cached_property
    def unfit(self) -> str:
        """Why no condition can be tested in this layer; empty if they can."""
        return unfit(self.layer)

    @cached_property
    def filters(self) -> Tensor:
        """The weights as stored, N' x d, on the device."""
        weight = self.layer.weight.detach().to(self.device)
        return weight.reshape(self.layer.n_filters, self.layer.dim)

    @cached_property
    def blocks(self) -> Tensor:
        """The weights as stored, N' x N x k^2."""
        return self.filters.view(-1, self.layer.channels, self.layer.kernel_size)

    @cached_property
    def scale(self) -> float:
        """Root mean square of the weights."""
        norm = float(torch.linalg.vector_norm(self.filters, dtype=torch.float64))
        if not 1e-140 < norm < 1e140:  # squares near the ends of the range of float64
            largest = float(self.filters.abs().max())
            norm = largest * float(torch.linalg.vector_norm(self.filters / largest))
        return norm / math.sqrt(self.layer.n_weights)

    @property
    def scale_squared(self) -> float:
        """Mean square of the weights; 0 or infinite where float64 does not hold it."""
        return self.scale * self.scale

    @cached_property
    def kernels(self) -> PairKernels:
        """Kernel matrices of the scaled weights.

        Raises
        ------
        WeightsError
            If there are so many filters that the matrices would dwarf the weights, or if
            all others vanish beside one or two.
        """
        n = self.layer.n_filters
        if n > max(MOST_FILTERS, 2 * self.layer.dim):
            raise WeightsError(
                f"{n:,} filters of {self.layer.dim} weights: matrices of all pairs are made "
                f"for {MOST_FILTERS:,}"
            )
        names = [name for need in NEEDS if need in self.needs for name in NEEDS[need]]
        return pair_kernels(self.blocks, names, device=self.device, scale=self.scale)

    @cached_property
    def sums(self) -> dict[str, KernelSums]:
        """What the kernel matrices add up to, by name.

        Raises
        ------
        WeightsError
            As `kernels`, or if all other filters vanish beside one or two.
        """
        rest = np.sort(self.energy)[:-2].sum()  # the jackknife leaves out one more
        if rest <= SMALLEST_REST * self.energy.sum():
            raise WeightsError("one or two filters hold all the energy: the others vanish beside")
        made: dict[str, Tensor | None] = vars(self.kernels)
        names = ("mean", *(name for names in NEEDS.values() for name in names))
        present: dict[str, Tensor] = {
            name: kernel for name in names if (kernel := made[name]) is not None
        }
        return kernel_sums(present, self._factors() if self._tests else {}, cubes=self._tests)

    def _factors(self) -> dict[str, Tensor]:
        """F of the kernels F F', where they have so few columns that it saves much time."""
        if self.layer.n_filters < WIDE or 2 * self.layer.dim > self.layer.n_filters:
            return {}
        mean = self.filters.double() / self.scale
        variance = (mean - mean.mean(dim=0)).square()
        return {"mean": mean, "variance": variance - variance.mean(dim=1, keepdim=True)}

    @cached_property
    def energy(self) -> npt.NDArray[np.float64]:
        """Squared norms of the scaled filters."""
        return self.kernels.energy.cpu().numpy()

    def kernel(self, name: str) -> Tensor:
        """One of the matrices that only some conditions need: "variance", "within", ...

        `cwda.numerics.pairs.kernels.PairKernels` says what each is.

        Raises
        ------
        CwdaError
            If the condition did not say that it needs it, or this layer has none.
        """
        known = get_args(KernelName)
        if name not in known:
            raise CwdaError(f"no kernel is called {name!r}{nearest(name, known)}")
        kernel: Tensor | None = getattr(self.kernels, name)
        if kernel is None:
            need = next(need for need, names in NEEDS.items() if name in names)
            if need not in self.needs:
                raise CwdaError(
                    f"there is no kernel {name!r} of {self.layer.name}; "
                    f"the condition must say needs={need!r}"
                )
            raise CwdaError(f"{self.layer.name} has no kernel {name!r}: one channel or position")
        return kernel

    @cached_property
    def mean_energy(self) -> Estimate:
        """Mean squared norm of the scaled filters."""
        return mean_energy(self.energy)

    @cached_property
    def _whole(self) -> GramMoments:
        made = self.kernels.moments.get("whole")
        if made is None:
            made = whole_moments(self.filters.double() / self.scale)
        return GramMoments(*made.cpu().numpy())

    @cached_property
    def squared_trace(self) -> Estimate:
        """tr(Sigma)^2 of the scaled filters, whatever their mean.

        Raises
        ------
        WeightsError
            If all filters but one or two are equal.
        """
        energy = math.sqrt(self._whole.energy_squares.sum())
        return self._positive(self._whole.squared_trace, energy * energy)

    @cached_property
    def squared_variances(self) -> Estimate:
        """Sum of the squared variances a_p of the positions of the scaled filters.

        Raises
        ------
        WeightsError
            If all filters but one or two are equal.
        CwdaError
            If the condition did not say that it needs the covariance or the variance kernel.
        """
        moments = self._moments_of("positions")
        return self._positive(moments.trace_of_square, float(moments.energy_squares.sum()))

    @cached_property
    def squared_within(self) -> Estimate:
        """Sum of the squared covariances inside the blocks, off the diagonal."""
        channels = self._squared_blocks
        return channels - self.squared_variances

    @cached_property
    def squared_between(self) -> Estimate:
        """Sum of the squared covariances between the blocks."""
        return self._whole.trace_of_square - self._squared_blocks

    @cached_property
    def _squared_blocks(self) -> Estimate:
        if self.layer.channels == 1:
            return self._whole.trace_of_square
        positions = self._moments_of("positions")
        if self.layer.kernel_size == 1:
            return positions.trace_of_square
        self.kernel("within")
        rows = self.sums["within"].rows + positions.centred_squares()
        return self._moments_of("channels").with_centred_squares(rows).trace_of_square

    def _moments_of(self, partition: str) -> GramMoments:
        if self.layer.dim == 1:
            return self._whole
        if partition not in self.kernels.moments:
            raise CwdaError("the condition must say needs='covariance kernel'")
        return GramMoments(*self.kernels.moments[partition].cpu().numpy())

    def _positive(self, estimate: Estimate, energy: float) -> Estimate:
        """A denominator, unless two filters hold nearly all that varies."""
        n = self.layer.n_filters
        if min(estimate.value, estimate.without.min()) <= SMALLEST_REST * energy / n**2:
            raise WeightsError("all filters but one or two are equal: nothing else varies")
        return estimate

    def second_order(
        self,
        kernel: KernelName | Tensor,
        constant: float,
        *,
        over: Estimate | None = None,
        centred: bool | None = None,
        details: Mapping[str, float],
    ) -> Measurement:
        """Measure a second-order condition by a kernel matrix; see `infer`.

        Parameters
        ----------
        kernel : str or Tensor
            The name of one that the condition needs, or a matrix of its own: of all pairs of
            filters, float64, symmetric, with zero diagonal.
        constant : float
            c, the constant of the effect.
        over : Estimate, optional
            D, the denominator of the effect; `squared_trace` by default.
        centred : bool, optional
            Whether a matrix of its own is made of U-centred Gram matrices.
        details : mapping of str to float
            Further numbers of the condition.

        Raises
        ------
        CwdaError
            If the condition did not say that it needs that kernel, or this layer has none, or a
            matrix of its own is not of that kind.
        WeightsError
            If the filters are closer to orthogonal than independent draws are.
        """
        if isinstance(kernel, str):
            self.kernel(kernel)
            sums, centred = self.sums[kernel], kernel in CENTRED or kernel == "variance"
            estimate = self._estimate(kernel)
        else:
            sums, centred = kernel_sums({"": self._checked(kernel)})[""], bool(centred)
            estimate = plain_estimate(sums, centred=centred)
        trace = self.squared_trace
        pairs = self.layer.n_filters * (self.layer.n_filters - 1)
        inference = infer(
            sums,
            estimate,
            over or trace,
            constant,
            centred=centred,
            alpha=self.alpha,
            rounding=pairs * (ROUNDING * trace.value) ** 2,
        )
        if kernel in ("within", "between") and inference.statistic < LOWEST_STATISTIC:
            raise WeightsError(
                "the filters are closer to orthogonal than independent draws can be: "
                "their covariance cannot be told from them"
            )
        return measured(inference, self.scale_squared * self.scale_squared, details)

    def _estimate(self, kernel: KernelName) -> Estimate:
        if kernel == "variance":
            return self.squared_variances - self.squared_trace.times(1 / self.layer.dim)
        if kernel == "within":
            return self.squared_within
        if kernel == "between":
            return self.squared_between
        return plain_estimate(self.sums[kernel], centred=kernel in CENTRED)

    def _checked(self, kernel: Tensor) -> Tensor:
        """A kernel matrix of a condition's own."""
        n = self.layer.n_filters
        if kernel.shape != (n, n) or kernel.dtype != torch.float64:
            raise CwdaError(
                f"a kernel of {self.layer.name} is a {n} x {n} matrix in float64, "
                f"not {str(kernel.dtype).removeprefix('torch.')} of shape {tuple(kernel.shape)}"
            )
        if bool(kernel.diagonal().any()) or not torch.allclose(kernel, kernel.T, rtol=1e-9):
            raise CwdaError("a kernel is a symmetric matrix with zero diagonal")
        return kernel

    @cached_property
    def effective_dim(self) -> float:
        """d_eff = tr(Sigma)^2 / tr(Sigma^2); d under Sigma = sigma^2 I.

        Both are unbiased and free of the mean. NaN where the estimate of tr(Sigma^2) is below a
        hundredth of tr(Sigma)^2 / d, the least that it can be: the filters are orthogonal.
        """
        trace, squares = self.squared_trace.value, self._whole.trace_of_square.value
        return trace / squares if squares > trace / (100 * self.layer.dim) else math.nan

    @cached_property
    def channel_energy(self) -> npt.NDArray[np.float64]:
        """Energy of each filter in each input channel, scaled weights, N' x N."""
        return self.kernels.channel_energy.cpu().numpy()

    @cached_property
    def tau_squared(self) -> float:
        """Squared coefficient of variation of the filters' squared scale."""
        return tau_squared(self.energy, self.sums["mean"].squares)


@dataclass(frozen=True)
class FilterMoments:
    """What models of the filters need of a workspace with the covariance kernel.

    Attributes
    ----------
    products : KernelSums
        Sums of f_i . f_j of the scaled filters.
    squared_trace, squared_variances, squared_within, effective_dim : float
        As in `Workspace`, of the scaled filters; `squared_within` is 0 for kernels of one position.
    """

    products: KernelSums
    squared_trace: float
    squared_variances: float
    squared_within: float
    effective_dim: float

    @classmethod
    def of(cls, work: Workspace) -> FilterMoments:
        """Those of a workspace.

        Raises
        ------
        WeightsError
            As its properties.
        """
        return cls(
            products=work.sums["mean"],
            squared_trace=work.squared_trace.value,
            squared_variances=work.squared_variances.value,
            squared_within=work.squared_within.value if work.layer.kernel_size > 1 else 0.0,
            effective_dim=work.effective_dim,
        )


def filter_moments(layer: ConvLayer, device: torch.device) -> FilterMoments:
    """The moments of a layer's filters: those that a check has left, or new ones.

    Raises
    ------
    WeightsError
        As the properties of `Workspace`.
    """
    return shared(
        (filter_moments, layer, device),
        lambda: FilterMoments.of(Workspace(layer, device, needs=[_COVARIANCE], tests=False)),
    )


def leave_moments(work: Workspace) -> None:
    """Leave the moments of a workspace for `filter_moments`, where analyses share."""
    if _COVARIANCE in work.needs and "sums" in vars(work):  # else they have failed
        with suppress(WeightsError):
            keep((filter_moments, work.layer, work.device), lambda: FilterMoments.of(work))


def measured(inference: UStatistic, unit: float, details: Mapping[str, float]) -> Measurement:
    """What a U-statistic says of a layer whose estimate has this unit."""
    return Measurement(
        estimate=inference.estimate * unit,
        effect=inference.effect,
        low=inference.low,
        high=inference.high,
        statistic=inference.statistic,
        pvalue=inference.pvalue,
        log10_pvalue=inference.log_pvalue / math.log(10),
        theta=inference.theta,
        theta_se=inference.theta_se,
        details=details,
    )
