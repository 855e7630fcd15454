"""Where a computation runs."""

from __future__ import annotations

import torch

from cwda.errors import DeviceError

__all__ = ["resolve_device"]


def resolve_device(device: torch.device | str = "auto") -> torch.device:
    """The device for float64 work that a name stands for.

    ``"auto"`` is CUDA where there is one, else the CPU (as for devices without float64, as MPS).

    Raises
    ------
    DeviceError
        If the name is unknown, or the device is absent or has no float64.

    Examples
    --------
    >>> from cwda.numerics.device import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise DeviceError(
            f"device {str(device)!r} cannot compute in float64 here; take 'auto', 'cpu' or 'cuda'"
        ) from error
    return found
