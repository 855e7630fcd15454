"""One layer prepared for the conditions: checked, scaled, its shared matrices made once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.conditions.results import Measurement
from cwda.errors import WeightsError
from cwda.formatting import many
from cwda.layers import ConvLayer
from cwda.numerics.kernels import PairKernels, pair_kernels
from cwda.numerics.ranking.dispersion import tau_squared
from cwda.numerics.ustatistics import Denominator, infer, mean_energy, mean_energy_product

__all__ = ["FEWEST_FILTERS", "Workspace", "unfit"]

#: With fewer filters the null distributions have not been calibrated.
FEWEST_FILTERS = 8

#: Filters up to which n x n matrices are made whatever the number of weights is; they take
#: about a gibibyte there. Wide layers of large networks have more, with as many weights each.
MOST_FILTERS = 4096

#: Jackknives keep some hundred numbers a filter.
MOST_FILTERS_AT_ALL = 200_000

#: Share of the energy that all filters but the two largest must have together: squares of
#: less are lost beside them in float64.
SMALLEST_REST = 1e-10


def unfit(layer: ConvLayer) -> str:
    """Why no condition can be tested in this layer; empty if they can.

    Examples
    --------
    >>> import torch
    >>> unfit(ConvLayer("conv", torch.zeros(16, 3, 3, 3)))
    'all weights are equal'
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
            return f"{bad} of {weight.numel()} weights are NaN or infinite"
        return "weights so large that their differences overflow"
    if bool(lowest == highest):
        return "all weights are equal"
    if layer.n_filters < FEWEST_FILTERS:
        return f"{many(layer.n_filters, 'filter')}; {FEWEST_FILTERS} are needed"
    if layer.n_filters > MOST_FILTERS_AT_ALL:
        return f"{layer.n_filters:,} filters; {MOST_FILTERS_AT_ALL:,} are the most"
    # The first two tell in nearly every case, without a pass over all weights.
    if torch.equal(weight[0], weight[1]) and bool((weight == weight[:1]).all()):
        return "all filters are equal"
    return ""


class Workspace:
    """The numbers of one layer that several conditions share, each computed once.

    The weights are divided by their root mean square, so that neither tiny nor huge
    weights leave the range of float64 in the fourth and eighth powers that follow.

    Parameters
    ----------
    layer : ConvLayer
        A layer for which `unfit` is empty.
    device : torch.device
        Where to compute.
    alpha : float
        Intervals have level 1 - 2 alpha.
    variance, covariance : bool
        Which kernel matrices will be asked for; see `pair_kernels`.
    """

    def __init__(
        self,
        layer: ConvLayer,
        device: torch.device,
        alpha: float,
        *,
        variance: bool = True,
        covariance: bool = True,
    ) -> None:
        self.layer, self.device, self.alpha = layer, device, alpha
        self._wanted = {"variance": variance, "covariance": covariance}

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
        if n > max(MOST_FILTERS, 4 * self.layer.dim):
            raise WeightsError(
                f"{n:,} filters of {self.layer.dim} weights: matrices of all pairs are made "
                f"for {MOST_FILTERS:,}"
            )
        found = pair_kernels(self.blocks, device=self.device, scale=self.scale, **self._wanted)
        energy = found.energy
        rest = energy.sort().values[:-2].sum()  # the jackknife leaves out one more
        if float(rest) <= SMALLEST_REST * float(energy.sum()):
            raise WeightsError("one or two filters hold all the energy: the others vanish beside")
        return found

    @cached_property
    def mean_energy(self) -> Denominator:
        """Mean squared norm of the scaled filters."""
        return mean_energy(self.kernels.energy)

    @cached_property
    def energy_product(self) -> Denominator:
        """Mean product of the squared norms of two scaled filters."""
        return mean_energy_product(self.kernels.energy)

    def second_order(
        self, kernel: Tensor, constant: float, *, centred: bool, details: Mapping[str, float]
    ) -> Measurement:
        """Measure a second-order condition by its kernel matrix; see `infer`."""
        found = infer(kernel, self.energy_product, constant, centred=centred, alpha=self.alpha)
        return Measurement(
            found.estimate * self.scale_squared * self.scale_squared,
            found.effect,
            found.low,
            found.high,
            found.statistic,
            found.pvalue,
            details,
        )

    @cached_property
    def effective_dim(self) -> float:
        """d_eff = tr(Sigma)^2 / tr(Sigma^2); d under Sigma = sigma^2 I.

        The trace's square is the mean of q_i q_j, that of Sigma^2 its U-statistic;
        NaN where the latter is not positive.
        """
        total = self.kernels.total
        assert total is not None
        n = len(total)
        trace_of_square = float(total.sum()) / (n * (n - 3))
        return self.energy_product.value / trace_of_square if trace_of_square > 0 else math.nan

    @cached_property
    def channel_energy(self) -> npt.NDArray[np.float64]:
        """Energy of each filter in each input channel, scaled weights, N' x N."""
        parts = [
            part.double().div(self.scale).square_().sum(2) for part in self.blocks.split(64, 1)
        ]
        return torch.cat(parts, dim=1).cpu().numpy()

    @cached_property
    def tau_squared(self) -> float:
        """Squared coefficient of variation of the filters' squared scale."""
        return tau_squared(self.kernels.energy, self.kernels.gram)
