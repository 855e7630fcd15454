"""The device that computes, and what becomes of work that does not fit into its memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from cwda.errors import CwdaError, OutOfMemory, reason_of
from cwda.numerics.threads import FEW, few_threads
from cwda.typing import Device

__all__ = ["Placement", "as_out_of_memory", "is_out_of_memory", "resolve_device"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

#: Messages of allocators without an exception class: of the CPU, and of CUDA's libraries.
_MESSAGES = ("can't allocate memory", "STATUS_ALLOC_FAILED")


def resolve_device(device: Device = "auto") -> torch.device:
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
    usable = "'auto', 'cpu' or 'cuda'" if torch.cuda.is_available() else "'auto' or 'cpu'"
    try:
        found = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise CwdaError(
            f"device {str(device)!r} cannot be used ({_without_links(error)}); choose {usable}"
        ) from error
    return found


def _without_links(error: BaseException) -> str:
    """The first sentence of PyTorch's reason, without the addresses that it recommends."""
    sentence = str(error).partition(". ")[0].partition("http")[0]
    return reason_of(RuntimeError(sentence.strip()), 120)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out.

    Examples
    --------
    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError | OutOfMemory):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MESSAGES)


def as_out_of_memory(compute: Callable[[], T], device: Device) -> T:
    """What `compute` returns.

    Raises
    ------
    OutOfMemory
        If memory runs out, however it is said.

    Examples
    --------
    >>> as_out_of_memory(lambda: 2, "cpu")
    2
    """
    try:
        return compute()
    except (RuntimeError, MemoryError, OutOfMemory) as error:
        if not is_out_of_memory(error):
            raise
        if isinstance(error, OutOfMemory):
            raise
    # Outside the handler, so that the traceback no longer holds the tensors.
    full = resolve_device(device)
    if full.type == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemory(f"out of memory on {full}; {_advice(full)}")


class Placement:
    """Where one piece of work is computed: the CPU takes over what does not fit on a GPU.

    That is so where the device was left to the package ("auto"); on a device that was named the
    work ends with one line that says what to do. `run` starts afresh after a failure, so what it
    runs must not change anything before it returns.

    Parameters
    ----------
    device : str or torch.device
        "auto", "cpu", "cuda", ...
    work : str
        What is computed, for messages, such as "layer conv1".
    weights : int, optional
        How many weights it is about: few are left to one thread of the CPU.

    Attributes
    ----------
    device : torch.device
        Where it is computed now.

    Raises
    ------
    CwdaError
        If there is no such device.

    Examples
    --------
    >>> import torch
    >>> placement = Placement("cpu", "layer conv1")
    >>> placement.run(lambda device: torch.ones(2, device=device).sum().item())
    2.0
    """

    def __init__(self, device: Device, work: str, weights: int = FEW) -> None:
        self.device = resolve_device(device)
        self._work, self._weights = work, weights
        self._gives_way = device == "auto" and self.device.type != "cpu"

    def run(self, compute: Callable[[torch.device], T]) -> T:
        """What `compute` returns when told on which device.

        Raises
        ------
        OutOfMemory
            If memory runs out, and there is no other device to go to.
        """
        try:
            with few_threads(self._weights):
                return as_out_of_memory(lambda: compute(self.device), self.device)
        except OutOfMemory:
            if not self._gives_way:
                raise
        _LOG.warning(
            "%s: out of memory on %s; computed on the CPU instead", self._work, self.device
        )
        self.device, self._gives_way = torch.device("cpu"), False
        return self.run(compute)


def _advice(device: torch.device) -> str:
    if device.type == "cpu":
        return "close other programs, or take a machine with more memory"
    return "take device 'cpu', or 'auto', which then goes on with the CPU by itself"
