"""Gradients of the loss by the weights, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from cwda.brief import brief
from cwda.layers import turn
from cwda.scoring.statistics.statistic import OfConvolution, as_rows, register_statistic

__all__ = ["IMAGE_GRADIENTS", "ImageGradients"]

# Gradients of single images are held for at most this many weights at a time (256 MiB).
_WEIGHTS_AT_A_TIME = 2**26


@dataclass(frozen=True, eq=False)
class ImageGradients:
    """Gradients g_i of the cross-entropy of single images.

    Attributes
    ----------
    mean_square : Tensor
        Mean over the images of g_i^2; float64, N' x d.
    l1, l2 : Tensor
        Mean over the images of the norm of g_i w, filter by filter; float64, N'.
    """

    mean_square: Tensor
    l1: Tensor
    l2: Tensor

    __repr__ = brief

    def __add__(self, other: ImageGradients) -> ImageGradients:
        return ImageGradients(
            self.mean_square + other.mean_square, self.l1 + other.l1, self.l2 + other.l2
        )


class _OfConvolution(OfConvolution[ImageGradients, ImageGradients]):
    name = "image_gradients"
    meaning = "gradients of the loss by the weights, image by image"

    def observe(self, conv: _ConvNd, inputs: Tensor, gradients: Tensor) -> ImageGradients:
        """Sums over the images of what `ImageGradients` averages."""
        rows = as_rows(conv.weight, conv)
        step = max(1, _WEIGHTS_AT_A_TIME // conv.weight.numel())
        squares = torch.zeros_like(rows)
        l1, l2 = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
        for x, delta in zip(inputs.split(step), gradients.split(step), strict=True):
            of_images = _by_image(conv, x, delta)
            products = of_images * rows.to(of_images)
            squares += torch.linalg.vector_norm(of_images, dim=0, dtype=torch.float64) ** 2
            l1 += torch.linalg.vector_norm(products, ord=1, dim=2, dtype=torch.float64).sum(0)
            l2 += torch.linalg.vector_norm(products, dim=2, dtype=torch.float64).sum(0)
        return ImageGradients(squares, l1, l2)

    def finish(self, sums: ImageGradients, images: int) -> ImageGradients:
        """The means over the images."""
        return ImageGradients(sums.mean_square / images, sums.l1 / images, sums.l2 / images)


def _by_image(conv: _ConvNd, inputs: Tensor, gradients: Tensor) -> Tensor:
    """The gradients of the images' losses by the weight: images x N' x d."""
    weight = conv.weight.detach()

    def gradient(image: Tensor, delta: Tensor) -> Tensor:
        def convolve(values: Tensor) -> Tensor:
            output: Tensor = torch.func.functional_call(conv, {"weight": values}, (image[None],))
            return output

        pull_back = torch.func.vjp(convolve, weight)[1]
        by_weight: Tensor = pull_back(delta[None])[0]
        return turn(by_weight, conv.groups) if conv.transposed else by_weight

    return torch.func.vmap(gradient)(inputs, gradients).flatten(2)


IMAGE_GRADIENTS = register_statistic(_OfConvolution())
