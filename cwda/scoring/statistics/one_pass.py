"""What one pass over the data leaves of each layer: the material of data-based criteria."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from cwda.arguments import as_list
from cwda.brief import brief
from cwda.errors import CriterionError, nearest

__all__ = [
    "NEEDS",
    "Activations",
    "BatchNorm",
    "Collected",
    "Gradients",
    "ImageGradients",
    "LayerStatistics",
    "validated_needs",
]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")

#: What a criterion can need beyond the weights, and what that is.
NEEDS = {
    "batchnorm": "scale and shift of the BatchNorm behind the convolution",
    "activations": "sums over the activation behind BatchNorm",
    "map_ranks": "matrix ranks of the activation's feature maps",
    "gradients": "gradients of the loss by the weights, batch by batch",
    "image_gradients": "gradients of the loss by the weights, image by image",
}


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Scale gamma and shift beta of each channel; float64, N'."""

    gamma: Tensor
    beta: Tensor

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Activations:
    """The activation A behind BatchNorm, over all images and positions of each channel.

    Attributes
    ----------
    images : int
        Number of images.
    mean, mean_square : Tensor
        Mean of A and of A^2; float64, N'.
    zeros : Tensor
        Share of values that are exactly 0; float64, N'.
    image_means : Tensor
        Mean over the positions of each image; float64, images x N'.
    """

    images: int
    mean: Tensor
    mean_square: Tensor
    zeros: Tensor
    image_means: Tensor

    __repr__ = brief


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

    def over(self, images: int) -> ImageGradients:
        """The means of what are sums over so many images."""
        return ImageGradients(self.mean_square / images, self.l1 / images, self.l2 / images)


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """The statistics of one layer; None what was not asked for or does not exist.

    Attributes
    ----------
    batchnorm, activations, gradients, image_gradients
        As their classes say.
    map_ranks : Tensor or None
        Mean over the images of the rank of the feature map (height x the rest); float64, N'.
    missing : mapping of str to str
        Why a statistic that was asked for does not exist.
    """

    batchnorm: BatchNorm | None = None
    activations: Activations | None = None
    map_ranks: Tensor | None = None
    gradients: Gradients | None = None
    image_gradients: ImageGradients | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    __repr__ = brief

    def to(self, device: torch.device) -> LayerStatistics:
        """The same statistics on a device."""
        return _on(self, device)

    def why_not(self, need: str) -> str:
        """Why a statistic does not exist."""
        unknown = (
            f"no {need} known: give the nn.Module and data=..., and say needs={need!r} where "
            "the criterion is defined"
        )
        return self.missing.get(need, unknown)


@dataclass(frozen=True, eq=False)
class Collected:
    """The statistics of all layers of a model, by the path of the convolution.

    Attributes
    ----------
    layers : mapping of str to LayerStatistics
        In the order of the model.
    needs : frozenset of str
        What was collected.
    images, batches : int
        How much data was seen.
    """

    layers: Mapping[str, LayerStatistics]
    needs: frozenset[str]
    images: int = 0
    batches: int = 0

    def __repr__(self) -> str:
        kinds = ", ".join(need for need in NEEDS if need in self.needs)
        return f"Collected({len(self.layers)} layers, {self.images} images: {kinds})"


def _on(statistic: D, device: torch.device) -> D:
    """A dataclass with its tensors, and those of dataclasses inside, on a device."""
    moved: dict[str, Any] = {}
    for each in fields(statistic):
        value = getattr(statistic, each.name)
        if isinstance(value, Tensor):
            moved[each.name] = value.to(device)
        elif is_dataclass(value) and not isinstance(value, type):
            moved[each.name] = _on(value, device)
    return replace(statistic, **moved)


def validated_needs(needs: str | Iterable[str]) -> frozenset[str]:
    """The names as a set.

    Raises
    ------
    CriterionError
        If one is no key of `NEEDS`.
    """
    found = frozenset(as_list(needs, "need", CriterionError))
    for need in sorted(found - set(NEEDS)):
        raise CriterionError(f"nothing called {need!r} can be collected{nearest(need, NEEDS)}")
    return found
