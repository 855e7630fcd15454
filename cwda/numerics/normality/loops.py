"""Whether compiled loops are worth having for a number of weights."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cwda.numerics.compiled.compiler import compiled

__all__ = ["FEWEST", "loops_for"]

#: Weights of a layer from which on compiled loops are used: loading them takes half a second per
#: process, which networks of smaller layers do not repay.
FEWEST = 1 << 19


def loops_for(
    size: int, device: torch.device, module: str, *functions: str
) -> list[Callable[..., None]]:
    """Compiled functions for so many weights; none where torch is the better or the only way."""
    if device.type != "cpu" or size < FEWEST:
        return []
    found = [compiled(module, function) for function in functions]
    return [] if None in found else [code for code in found if code is not None]
