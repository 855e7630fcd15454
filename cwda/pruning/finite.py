"""Weights that no network can be pruned with: NaN, and infinite ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cwda.errors import WeightsError
from cwda.formatting import many

__all__ = ["require_finite"]


def require_finite(model: nn.Module) -> None:
    """Refuse a model with weights that are NaN or infinite; called before anything is planned.

    What it computes would be NaN whatever is removed, so that no removal could be checked.

    Raises
    ------
    WeightsError
        If there are some; the message names the first layer, and how many they are.

    Examples
    --------
    >>> model = nn.Conv2d(3, 8, 3)
    >>> require_finite(model)
    >>> model.weight.data[0, 0, 0, 0] = torch.nan
    >>> require_finite(nn.Sequential(model))
    Traceback (most recent call last):
        ...
    cwda.errors.WeightsError: layer 0: 1 of 216 weights are NaN or infinite; nothing can be ...
    """
    broken: dict[str, str] = {}
    for path, part in model.named_modules():
        tensors = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
        for name, tensor in tensors:
            if bad := _not_finite(tensor):
                what = "weights are" if name == "weight" else f"values of {name} are"
                told = f"layer {path}: {bad:,} of {tensor.numel():,} {what} NaN or infinite"
                broken.setdefault(path, told)
    if broken:
        others = len(broken) - 1
        more = f", and so are some in {many(others, 'more layer')}" if others else ""
        raise WeightsError(
            f"{next(iter(broken.values()))}{more}; nothing can be pruned with them: give a "
            "checkpoint from before they became so"
        )


def _not_finite(tensor: Tensor) -> int:
    """How many numbers of a tensor are NaN or infinite."""
    values = tensor.detach()
    if values.is_meta or not values.is_floating_point() or not values.numel():
        return 0
    lowest, highest = values.aminmax()  # without a copy; NaN if there is one
    if bool(torch.isfinite(lowest) & torch.isfinite(highest)):
        return 0
    return int((~values.isfinite()).sum())
