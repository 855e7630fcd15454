"""The device that computes."""

from __future__ import annotations

import torch

from cwda.errors import CwdaError, reason_of

__all__ = ["resolve_device"]


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device asked for; "auto" is CUDA where there is one, else the CPU.

    Devices without float64 (as MPS) give way to the CPU under "auto".

    Raises
    ------
    CwdaError
        If the device does not exist or has no float64.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise CwdaError(
            f"device {str(device)!r} cannot be used ({reason_of(error, 120)}); "
            "choose 'auto', 'cpu' or 'cuda'"
        ) from error
    return found
