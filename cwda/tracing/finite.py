"""Whether a model has weights that are not finite, and where."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["make_finite", "not_finite"]


def not_finite(model: nn.Module) -> dict[str, str]:
    """The layers with weights that are NaN or infinite, by their paths, and how many they are.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 2, 1))
    >>> _ = torch.nn.init.constant_(model[1].weight, torch.nan)
    >>> not_finite(model)
    {'1': 'layer 1: 8 of 8 weights are NaN or infinite'}
    """
    broken: dict[str, str] = {}
    for path, part in model.named_modules():
        tensors = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
        for name, tensor in tensors:
            if bad := _how_many(tensor):
                what = "weights are" if name == "weight" else f"values of {name} are"
                told = f"layer {path}: {bad:,} of {tensor.numel():,} {what} NaN or infinite"
                broken.setdefault(path, told)
    return broken


def make_finite(model: nn.Module) -> None:
    """Put 0 in place of weights that are NaN, and 1 or -1 for infinite ones, in place.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Conv2d(3, 4, 1)
    >>> _ = torch.nn.init.constant_(model.weight, torch.nan)
    >>> make_finite(model)
    >>> not_finite(model)
    {}
    """
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if _how_many(tensor):
                tensor.nan_to_num_(nan=0.0, posinf=1.0, neginf=-1.0)


def _how_many(tensor: Tensor) -> int:
    """How many numbers of a tensor are NaN or infinite."""
    values = tensor.detach()
    # Formats of one byte have neither, or PyTorch cannot tell.
    if values.is_meta or not values.is_floating_point() or values.itemsize == 1:
        return 0
    if not values.numel():
        return 0
    lowest, highest = values.aminmax()  # without a copy; NaN if there is one
    if bool(torch.isfinite(lowest) & torch.isfinite(highest)):
        return 0
    return int((~values.isfinite()).sum())
