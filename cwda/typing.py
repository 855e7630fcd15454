"""Types that the signatures of many rooms share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt
import torch

__all__ = ["Array", "Device"]

#: A numpy array of any type.
Array: TypeAlias = npt.NDArray[Any]

#: Where to compute: "auto" (CUDA if there is one), "cpu", "cuda", "cuda:1", ...
Device: TypeAlias = str | torch.device
