"""What a statistic is: what it sees of a layer, how it adds up, and what it leaves in the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from cwda.arguments import as_list, require_type
from cwda.errors import CriterionError, nearest
from cwda.layers import turn
from cwda.scoring.statistics.followers import Followers

__all__ = [
    "NEEDS",
    "Needs",
    "OfActivation",
    "OfBatchNorm",
    "OfConvolution",
    "OfGradient",
    "OfRemoval",
    "Statistic",
    "as_rows",
    "needed",
    "register_statistic",
]

Sums = TypeVar("Sums")
Result = TypeVar("Result")


class Statistic(ABC, Generic[Sums, Result]):
    """Something that criteria need of a layer beyond its weights.

    A statistic derives from `OfBatchNorm`, `OfActivation`, `OfGradient`, `OfConvolution` or
    `OfRemoval`, which say what its `observe` sees. Sums of different images are added with ``+``.
    """

    #: Name by which criteria need it, and under which `Filters` hands it out.
    name: ClassVar[str]
    #: What it is, in words.
    meaning: ClassVar[str]
    #: Why a layer has none although images were seen.
    absent: ClassVar[str]

    def __repr__(self) -> str:
        return f"<statistic {self.name}: {self.meaning}>"

    @abstractmethod
    def finish(self, sums: Sums, images: int) -> Result:
        """What is left of the sums over so many images."""

    @abstractmethod
    def place(self, layer: Followers) -> str:
        """The node or layer at which it is observed; empty if there is none."""


class OfBatchNorm(Statistic[Result, Result]):
    """A statistic of the BatchNorm behind the convolution, which needs no images."""

    absent = "its BatchNorm has no scale and shift"

    @abstractmethod
    def observe(self, batchnorm: _BatchNorm) -> Result:
        """What there is to know of the layer."""

    def finish(self, sums: Result, images: int) -> Result:
        """What was observed, as it is."""
        return sums

    def place(self, layer: Followers) -> str:
        """The path of the BatchNorm."""
        return "" if layer.batchnorm is None else str(layer.batchnorm.target)


class OfActivation(Statistic[Sums, Result]):
    """A statistic of the activation behind the convolution and its BatchNorm."""

    absent = "no activation follows before another layer"

    @abstractmethod
    def observe(self, activation: Tensor) -> Sums:
        """Sums over the images of a part of the data: images x channels x positions."""

    def place(self, layer: Followers) -> str:
        """The node of the activation."""
        return "" if layer.activation is None else layer.activation.name


class OfGradient(Statistic[Sums, Result]):
    """A statistic of the gradient of the loss of a batch by the weights."""

    absent = "the loss does not depend on it"

    @abstractmethod
    def observe(self, gradient: Tensor, weight: Tensor, images: int) -> Sums:
        """What a batch of so many images adds.

        `gradient` is that of its summed loss; both are float64, N' x d.
        """

    def place(self, layer: Followers) -> str:
        """The path of the convolution."""
        return layer.name


class OfConvolution(Statistic[Sums, Result]):
    """A statistic of what a convolution is given, and of the gradient of the loss by its output."""

    absent = "the loss does not depend on it"

    @abstractmethod
    def observe(self, conv: _ConvNd, inputs: Tensor, gradients: Tensor) -> Sums:
        """Sums over the images of a part of the data, of which each has a loss of its own."""

    def place(self, layer: Followers) -> str:
        """The path of the convolution."""
        return layer.name


class OfRemoval(Statistic[Sums, Result]):
    """A statistic of the loss of each image when one filter after the other is removed."""

    absent = "its filters were not removed"

    @abstractmethod
    def observe(self, increases: Tensor) -> Sums:
        """What the images leave: their increases of the loss, float64, images x filters."""

    def place(self, layer: Followers) -> str:
        """The path of the convolution."""
        return layer.name


#: The register: what a criterion can need beyond the weights, by name.
NEEDS: dict[str, Statistic[Any, Any]] = {}

#: One statistic or several, as such or by their names.
Needs: TypeAlias = str | Statistic[Any, Any] | Iterable[str | Statistic[Any, Any]]

S = TypeVar("S", bound=Statistic[Any, Any])


def register_statistic(statistic: S) -> S:
    """Add a statistic to the register, so that criteria can need it.

    Raises
    ------
    CriterionError
        If it is not a statistic, or another class has that name already.

    Examples
    --------
    >>> class Peaks(OfActivation):
    ...     name, meaning = "peaks", "largest value of the activation, mean over images"
    ...     def observe(self, activation):
    ...         return activation.double().flatten(2).amax(2).sum(0)
    ...     def finish(self, sums, images):
    ...         return sums / images
    >>> register_statistic(Peaks()).name
    'peaks'
    """
    known: type = Statistic  # abstract, which mypy takes for no type of a value
    require_type(statistic, known, "a statistic, such as Peaks(),", CriterionError)
    present = NEEDS.get(statistic.name)
    # A cell of a notebook that runs again defines the same class anew.
    if present is not None and _origin(present) != _origin(statistic):
        raise CriterionError(
            f"there is a statistic {statistic.name!r} already; choose another name"
        )
    NEEDS[statistic.name] = statistic
    return statistic


def _origin(statistic: Statistic[Any, Any]) -> tuple[str, str]:
    return type(statistic).__module__, type(statistic).__qualname__


def needed(needs: Needs) -> frozenset[str]:
    """The names of statistics.

    Raises
    ------
    CriterionError
        If one is not in the register.
    """
    several = needs if isinstance(needs, Iterable) and not isinstance(needs, str) else [needs]
    names = [need.name if isinstance(need, Statistic) else need for need in several]
    for name in as_list(names, "need of a criterion", CriterionError):
        if name not in NEEDS:
            raise CriterionError(f"nothing called {name!r} can be collected{nearest(name, NEEDS)}")
    return frozenset(names)


def as_rows(weight: Tensor, conv: nn.Module) -> Tensor:
    """The weight of a convolution, or a gradient by it, as filters x d, float64."""
    assert isinstance(conv, _ConvNd)
    turned = turn(weight, conv.groups) if conv.transposed else weight
    return turned.detach().flatten(1).double()
