"""What a kernel matrix adds up to: all that a U-statistic, its test and its interval need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.brief import brief
from cwda.numerics.pairs.products import panel_height

__all__ = ["Array", "KernelSums", "kernel_sums"]

#: Rounding of tr(H^3) in units of (sum H^2)^(3/2), the scale on which it is a skewness.
LARGEST_ROUNDING = 1e-10

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KernelSums:
    """Sums of a symmetric matrix H with zero diagonal.

    Attributes
    ----------
    rows : ndarray
        Sums of its rows, float64, shape (n,).
    squares : float
        Sum of H_ij^2.
    cubes : float
        tr(H^3).
    """

    rows: Array
    squares: float
    cubes: float

    __repr__ = brief

    @property
    def total(self) -> float:
        """Sum of all H_ij."""
        return float(self.rows.sum())


def kernel_sums(
    kernels: Mapping[str, Tensor],
    factors: Mapping[str, Tensor] | None = None,
    *,
    cubes: bool = True,
) -> dict[str, KernelSums]:
    """Sums of some kernels; they leave the device together.

    tr(H^3) is the sum of H_ij (H H)_ij: n^3 / 2 multiplications by symmetry. Where H is the
    off-diagonal part of F F' and F has d < n columns, it is

        tr((F'F)^3) - 3 sum_i q_i (F F' F F')_ii + 2 sum_i q_i^3,    q_i = |f_i|^2,

    which takes n d^2 of them; not where a few filters are so much larger than all others that
    these terms cancel down to their rounding.

    Parameters
    ----------
    kernels : mapping of str to Tensor
        H by name, n x n, float64, symmetric with zero diagonal.
    factors : mapping of str to Tensor, optional
        F, n x d, of those for which it is known.
    cubes : bool
        Whether tr(H^3) is wanted; NaN if not.

    Examples
    --------
    >>> import torch
    >>> f = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    >>> h = (f @ f.T).fill_diagonal_(0)
    >>> found = kernel_sums({"mean": h})["mean"]
    >>> found.rows.tolist(), round(found.squares, 9), found.cubes
    ([5.0, 8.0, 9.0], 98.0, 216.0)
    >>> round(kernel_sums({"mean": h}, {"mean": f})["mean"].cubes, 9)
    216.0
    """
    if not kernels:
        return {}
    matrices = list(kernels.values())
    n, device = len(matrices[0]), matrices[0].device
    if n <= panel_height(device) and not factors:
        table = _sums_of_small(torch.stack(matrices), cubes)
    else:
        known = factors or {}
        table = torch.stack(
            [_sums_of_one(h, known.get(name), cubes) for name, h in kernels.items()]
        )
    return {
        name: KernelSums(row[:-2], float(row[-2]), float(row[-1]))
        for name, row in zip(kernels, table.cpu().numpy(), strict=True)
    }


def _sums_of_one(kernel: Tensor, factor: Tensor | None, cubes: bool) -> Tensor:
    """Row sums, sum of squares and tr(H^3), (n + 2,)."""
    squares = torch.linalg.vector_norm(kernel, dim=1).square()
    third = _cubes(kernel, factor, squares) if cubes else squares.new_full((), torch.nan)
    return torch.cat([kernel.sum(dim=1), squares.sum()[None], third[None]])


def _sums_of_small(kernels: Tensor, cubes: bool) -> Tensor:
    """The same of several together, where each call costs more than what it computes."""
    out = kernels.new_full((len(kernels), kernels.shape[1] + 2), torch.nan)
    torch.sum(kernels, dim=2, out=out[:, :-2])
    out[:, -2] = torch.linalg.vector_norm(kernels.flatten(1), dim=1).square()
    if cubes:
        out[:, -1] = torch.linalg.vecdot((kernels @ kernels).flatten(1), kernels.flatten(1))
    return out


def _cubes(kernel: Tensor, factor: Tensor | None, squares: Tensor) -> Tensor:
    """tr(H^3), every pair i > j counted twice."""
    if factor is not None and factor.shape[1] < len(kernel):
        found = _cubes_of_factor(factor, squares)
        if found is not None:
            return found
    total = kernel.new_zeros(())
    height = panel_height(kernel.device)
    for start in range(0, len(kernel), height):
        stop = min(start + height, len(kernel))
        rows = kernel[start:stop]
        products = (rows @ kernel[:, :stop]).mul_(rows[:, :stop])
        total += 2 * products.sum() - products[:, start:].sum()
    return total


def _cubes_of_factor(factor: Tensor, squares: Tensor) -> Tensor | None:
    """The same from F, unless the largest filters, which have to cancel, leave only rounding."""
    energy = factor.square().sum(dim=1)
    inner = factor.T @ factor
    total = torch.tensordot(inner, inner @ inner, dims=2)
    own = (energy**3).sum()
    # (F F' F F')_ii: the squares of row i of H, and of its diagonal element that H leaves out.
    cubes: Tensor = total - 3 * (energy * squares).sum() - own
    rounding = 16 * torch.finfo(torch.float64).eps * own
    return cubes if bool(rounding <= LARGEST_ROUNDING * squares.sum() ** 1.5) else None
