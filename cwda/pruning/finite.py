"""Weights that no network can be pruned with: NaN, and infinite ones."""

from __future__ import annotations

from torch import nn

from cwda.errors import WeightsError
from cwda.formatting import many
from cwda.tracing.finite import not_finite

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
    >>> import torch
    >>> model = nn.Conv2d(3, 8, 3)
    >>> require_finite(model)
    >>> model.weight.data[0, 0, 0, 0] = torch.nan
    >>> require_finite(nn.Sequential(model))
    Traceback (most recent call last):
        ...
    cwda.errors.WeightsError: layer 0: 1 of 216 weights are NaN or infinite; nothing can be ...
    """
    broken = not_finite(model)
    if broken:
        others = len(broken) - 1
        more = f", and so are some in {many(others, 'more layer')}" if others else ""
        raise WeightsError(
            f"{next(iter(broken.values()))}{more}; nothing can be pruned with them: give a "
            "checkpoint from before they became so"
        )
