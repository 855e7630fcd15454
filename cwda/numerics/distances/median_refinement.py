"""The geometric median where most points crowd together, by Newton's method in coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["refined_weights"]

# The mean unit vector towards the points is 0 at the median, up to rounding.
_FLAT = 1e-13
_MOST_STEPS = 200


def refined_weights(points: Tensor, weights: Tensor) -> Tensor:
    """Weights of the geometric median of one set, from those of a point near it.

    With unit vectors u_j from F to the points at distances r_j, the sum of distances has gradient
    -R = -sum u_j and Hessian H = sum (I - u_j u_j') / r_j. Newton's step H^-1 R is taken where it
    shortens R, else Weiszfeld's R / sum(1 / r_j), which always descends. The last step is one of
    Weiszfeld's, which gives F as a combination of the points.

    Parameters
    ----------
    points : Tensor
        n x d, float64.
    weights : Tensor
        (n,), summing to 1.

    Examples
    --------
    Three points crowd in a corner, a millionth of the others' distance apart.

    >>> corner = 1e-6 * torch.tensor([[0.0, 0], [1, 0], [0, 1]]).double()
    >>> points = torch.cat([corner, torch.tensor([[1.0, 0], [0, 1]]).double()])
    >>> weights = refined_weights(points, torch.full((5,), 0.2).double())
    >>> away = points - weights @ points
    >>> bool((away / away.norm(dim=1, keepdim=True)).sum(0).norm() < 1e-8)
    True
    """
    point = weights @ points
    away, inverse, pull = _forces(points, point)
    for _ in range(_MOST_STEPS):
        met = int((inverse == 0).sum())
        length = float(pull.norm())
        if length <= met + _FLAT * len(points):
            break
        weiszfeld = pull / inverse.sum()
        if met:  # at a point that is not the median: Vardi and Zhang's step away from it
            point = point + (1 - met / length) * weiszfeld
            away, inverse, pull = _forces(points, point)
            continue
        newton = point + _newton_step(away, inverse, pull)
        found = _forces(points, newton)
        if bool(newton.isfinite().all()) and float(found[2].norm()) < length:
            point, (away, inverse, pull) = newton, found
        else:
            point = point + weiszfeld
            away, inverse, pull = _forces(points, point)
    return inverse / inverse.sum()


def _forces(points: Tensor, point: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors to the points, 1 / their lengths (0 for a point that is met), and R."""
    away = points - point
    radii = torch.linalg.vector_norm(away, dim=1)
    inverse = torch.where(radii > 0, radii.reciprocal(), 0.0)
    return away, inverse, inverse @ away


def _newton_step(away: Tensor, inverse: Tensor, pull: Tensor) -> Tensor:
    """H^-1 R, by the smaller of the d x d system and, by Woodbury's identity, the n x n one."""
    n, d = away.shape
    total, unit = inverse.sum(), away * inverse[:, None]
    if d <= n:
        hessian = total * torch.eye(d).to(away) - unit.T @ (inverse[:, None] * unit)
        step: Tensor = torch.linalg.solve_ex(hessian, pull)[0]
        return step
    inner = torch.diag(inverse.reciprocal()) - unit @ unit.T / total
    inside: Tensor = torch.linalg.solve_ex(inner, unit @ pull)[0]
    return pull / total + unit.T @ inside / total**2
