"""Descent to the geometric median, as weights of the points, on their Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["descend"]

# A point is the median, up to rounding, if the next step is shorter than this times the harmonic
# mean of the distances: the subgradient of the mean distance is then no longer than that.
_TOLERANCE = 1e-13
# Weiszfeld's steps before Newton's, of which one costs as much as many of them.
_WEISZFELD_STEPS = 16
_NEWTON_STEPS = 100
# Newton's steps without one half as long as all before, when rounding lets no shorter ones be.
_PATIENCE = 6
# Smallest number that is divided by.
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class _State:
    """Points F = sum_j w_j f_j of some sets, and Weiszfeld's next ones.

    Attributes
    ----------
    weights, products : Tensor
        w and G w, (..., n).
    inverse : Tensor
        1 / r_j, r_j = ||F - f_j||, (..., n).
    total : Tensor
        sum of r_j, (...).
    new_weights, new_products : Tensor
        Those of Weiszfeld's next point, w_j proportional to 1 / r_j.
    slope : Tensor
        Norm of the gradient of the mean distance: the length of that step over the harmonic mean
        of the r_j, (...).
    """

    weights: Tensor
    products: Tensor
    inverse: Tensor
    total: Tensor
    new_weights: Tensor
    new_products: Tensor
    slope: Tensor

    def of(self, *chosen: Tensor) -> _State:
        """Some of the sets, or of each set one of its points."""
        return _State(*(getattr(self, field.name)[chosen] for field in fields(self)))


def descend(gram: Tensor, weights: Tensor, settled: Tensor) -> tuple[Tensor, int]:
    """Weights of the geometric medians, and the number of steps to the last of them.

    Weiszfeld's step F <- sum_j w_j f_j with w_j proportional to 1 / ||F - f_j|| always
    descends. Where it is slow, Newton's is taken as far as it lowers both the sum of distances
    and its gradient more. All sets step at once, and those that have arrived step no more.

    Parameters
    ----------
    gram : Tensor
        b x n x n, of the points about any origin.
    weights : Tensor
        b x n, summing to 1: of a point where the sum of distances is lower than at any of
        the given ones, so that no step meets one of these.
    settled : Tensor
        bool, (b,): sets that need no step.
    """
    result, place = weights.clone(), torch.arange(len(weights), device=weights.device)
    going, steps = ~settled, 0
    state = _look(gram, weights, _combine(weights, gram))
    shortest, waited = state.slope, torch.zeros_like(place)
    while (left := int(going.sum())) and steps < _WEISZFELD_STEPS + _NEWTON_STEPS:
        if 2 * left <= len(place) or (steps >= _WEISZFELD_STEPS and left < len(place)):
            place, gram, state = place[going], gram[going], state.of(going)
            shortest, waited, going = shortest[going], waited[going], going[going]
        steps += 1
        if steps <= _WEISZFELD_STEPS:
            state = _look(gram, state.new_weights, state.new_products)
        else:
            state = _newton(gram, state)
            waited = torch.where(state.slope < shortest / 2, 0, waited + 1)
            shortest = torch.minimum(shortest, state.slope)
        result[place] = state.new_weights
        going &= (state.slope > _TOLERANCE) & (waited < _PATIENCE)  # false for NaN too
    return result, steps


def _look(gram: Tensor, weights: Tensor, products: Tensor) -> _State:
    """Distances and Weiszfeld's next point; weights are b x n, or b x m x n for m points each."""
    several = weights.dim() == 3
    squares = gram.diagonal(dim1=1, dim2=2)
    squares = squares.unsqueeze(1) if several else squares
    centre = (weights * products).sum(-1, keepdim=True)
    radii = (squares - 2 * products + centre).clamp_min_(_TINY).sqrt_()
    inverse = radii.reciprocal()
    pull = inverse.sum(-1, keepdim=True)
    new_weights = inverse / pull
    new_products = new_weights @ gram if several else _combine(new_weights, gram)
    # Both differences vanish at the median, so that the length of the step keeps its digits.
    moved = ((new_weights - weights) * (new_products - products)).sum(-1).clamp_min_(0).sqrt_()
    slope = moved * pull.squeeze(-1) / weights.shape[-1]
    return _State(weights, products, inverse, radii.sum(-1), new_weights, new_products, slope)


def _newton(gram: Tensor, state: _State) -> _State:
    """The next state: behind Newton's step and one of Weiszfeld's, or behind two of these."""
    jump = _newton_weights(gram, state)
    starts = torch.stack([jump, state.new_weights], 1)
    products = torch.stack([_combine(jump, gram), state.new_products], 1)
    # Newton's weights do not vanish with the gradient: the step is measured behind Weiszfeld's.
    behind = _look(gram, starts, products)
    ends = _look(gram, behind.new_weights, behind.new_products)
    lower = ends.total[:, 0] <= ends.total[:, 1] * (1 + 1e-14)
    better = lower & (ends.slope[:, 0] <= ends.slope[:, 1])
    return ends.of(torch.arange(len(gram), device=gram.device), (~better).long())


def _newton_weights(gram: Tensor, state: _State) -> Tensor:
    """Weights of F + H^-1 R, with the sum of distances' gradient -R and Hessian H at F.

    With unit vectors u_j from F to the points, R = sum u_j and H = sum (I - u_j u_j') / r_j =
    t I - U' diag(1 / r) U, t = sum 1 / r_j. By Woodbury's identity, with the matrix
    A = diag(r) - U U' / t over the points, H^-1 R = R / t + U' A^-1 U R / t^2.
    """
    inverse = state.inverse
    pull = inverse.sum(-1, keepdim=True)
    centre = (state.weights * state.products).sum(-1)[:, None, None]
    about = gram - state.products.unsqueeze(1) - state.products.unsqueeze(2) + centre
    # Both sides are scaled by r^(-1/2), which leaves 1 on the diagonal of the first term.
    root = inverse.sqrt()
    edge = inverse * root
    scaled = about * (edge.unsqueeze(1) * edge.unsqueeze(2) / -pull.unsqueeze(2))
    scaled.diagonal(dim1=1, dim2=2).add_(1)
    force = pull * (state.new_products - state.products)  # f_j . R, up to a constant
    force = force - (state.weights * force).sum(-1, keepdim=True)
    factor, _ = torch.linalg.cholesky_ex(scaled)
    inside = torch.cholesky_solve((edge * force).unsqueeze(2), factor).squeeze(2)
    step = edge * inside / pull.square()
    step = step - step.sum(-1, keepdim=True) * state.weights
    return state.new_weights + step


def _combine(coefficients: Tensor, rows: Tensor) -> Tensor:
    """sum_j c_j row_j, (b, n) and (b, n, m) -> (b, m)."""
    return (coefficients.unsqueeze(1) @ rows).squeeze(1)
