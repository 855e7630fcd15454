"""Types that the signatures of many rooms share."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy.typing as npt
import torch

__all__ = ["Array", "Device", "Named"]

#: A numpy array of any type.
Array: TypeAlias = npt.NDArray[Any]

#: Where to compute: "auto" (CUDA if there is one), "cpu", "cuda", "cuda:1", ...
Device: TypeAlias = str | torch.device


class Named(Protocol):
    """What knows its own name: a criterion, a condition, a rung."""

    @property
    def name(self) -> str:
        """Its name in tables."""
