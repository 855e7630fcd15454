"""Whether compiled loops are worth having for a number of weights."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cwda.numerics.compiled.compiler import compiled

__all__ = ["FEWEST", "loops_for"]

#: Weights of a layer from which on compiled loops repay the import of numba. The largest
#: layer of a ResNet for CIFAR-10 has 36,864: such networks do without numba.
FEWEST = 1 << 16


def loops_for(
    size: int, device: torch.device, module: str, *functions: str
) -> list[Callable[..., None]]:
    """Compiled functions for so many weights; none where torch is the better or the only way."""
    if device.type != "cpu" or size < FEWEST:
        return []
    found = [compiled(module, function) for function in functions]
    return [] if None in found else [code for code in found if code is not None]
