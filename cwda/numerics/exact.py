"""Forward passes in full precision, whatever contexts the caller has opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

__all__ = ["exact", "without_autocast"]

#: Kinds of devices that may be in autocast, of those with float64.
_DEVICES = ("cpu", "cuda", "xpu")


@contextmanager
def exact() -> Iterator[None]:
    """No autocast, no TF32 in convolutions, the same algorithms each time, and no inference mode.

    Gradients can be computed inside also where the caller is in `torch.inference_mode`; they are
    switched on by whoever needs them. Tensors from outside may be inference tensors still, which
    take part in a gradient only as clones.

    Examples
    --------
    >>> import torch
    >>> with torch.autocast("cpu"), torch.inference_mode(), exact():
    ...     torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()
    (False, False)
    """
    with ExitStack() as stack:
        stack.enter_context(without_autocast())
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
        # Convolutions on CUDA may use TF32 by default, and algorithms that differ from run to run.
        stack.enter_context(
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            )
        )
        yield


@contextmanager
def without_autocast() -> Iterator[None]:
    """No autocast of the caller's, on any device.

    Examples
    --------
    >>> import torch
    >>> with torch.autocast("cpu"), without_autocast():
    ...     torch.is_autocast_enabled("cpu")
    False
    """
    with ExitStack() as stack:
        for device in _DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield
