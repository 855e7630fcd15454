"""Gradients of the loss by the weights, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.scoring.statistics.statistic import OfGradient, register_statistic

__all__ = ["GRADIENTS", "Gradients"]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients g of the cross-entropy by the weights w; filters as in `Filters.values`.

    Attributes
    ----------
    batches : int
        Number of batches; g_b is the gradient of the mean loss of batch b.
    mean : Tensor
        Gradient of the mean loss of all images; float64, N' x d.
    l1, l2 : Tensor
        Mean over the batches of the norm of g_b w, filter by filter; float64, N'.
    """

    batches: int
    mean: Tensor
    l1: Tensor
    l2: Tensor

    __repr__ = brief

    def __add__(self, other: Gradients) -> Gradients:
        return Gradients(
            self.batches + other.batches,
            self.mean + other.mean,
            self.l1 + other.l1,
            self.l2 + other.l2,
        )


class _OfGradient(OfGradient[Gradients, Gradients]):
    name = "gradients"
    meaning = "gradients of the loss by the weights, batch by batch"

    def observe(self, gradient: Tensor, weight: Tensor, images: int) -> Gradients:
        """One batch: the gradient of its summed loss, and the norms of its mean loss."""
        product = gradient / images * weight
        l1 = torch.linalg.vector_norm(product, ord=1, dim=1)
        return Gradients(1, gradient, l1, torch.linalg.vector_norm(product, dim=1))

    def finish(self, sums: Gradients, images: int) -> Gradients:
        """The averages over images and batches."""
        n = sums.batches
        return Gradients(n, sums.mean / images, sums.l1 / n, sums.l2 / n)


GRADIENTS = register_statistic(_OfGradient())
