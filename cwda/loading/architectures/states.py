"""State dicts of a file as networks name their parts: without prefixes of programs around them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cwda.brief import brief
from cwda.containers.tensors import Content, NamedTensor
from cwda.convolutions.copies.copies import names_average
from cwda.errors import SourceError, UnreadableError

__all__ = ["State", "StateDict", "state_dicts", "under_prefixes"]

State = Mapping[str, NamedTensor]

# What torch.compile, FSDP and activation checkpointing put between a module and its parts.
_INSIDE = re.compile(r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)")
_PARALLEL = re.compile(r"(^|\.)module(?=\.)")
#: Most prefixes that are tried, of a state dict that has no more keys than a network's.
_MOST_PREFIXES, _MOST_KEYS = 64, 20_000
#: Most bytes that the weights may have beyond their file's, as where it is compressed.
_MAX_REPEATED = 1 << 29


@dataclass(frozen=True, eq=False)
class StateDict:
    """Tensors by their keys without a common prefix, and where they lie.

    Attributes
    ----------
    tensors : mapping
        By key, the prefix left out.
    place : str
        Dotted path of the keys' prefix in the file; empty for none.
    others : tuple of str
        Keys of the same state dict outside the prefix.
    is_average : bool
        Whether the path says that these are moving averages (EMA, SWA) of other weights.
    """

    tensors: State
    place: str
    others: tuple[str, ...]
    is_average: bool

    __repr__ = brief


def state_dicts(content: Content, weights_key: str | None) -> list[tuple[str, State]]:
    """The state dicts of a file with the paths that lead to them, the largest first.

    Raises
    ------
    UnreadableError
        If there are none, or they take far more memory than the file has bytes.
    SourceError
        If nothing lies under `weights_key`.
    """
    tensors = [
        tensor
        for tensor in content.tensors
        if weights_key is None or tensor.path.startswith(f"{weights_key}.")
    ]
    if not content.tensors:
        raise UnreadableError("no tensors")
    if not tensors:
        raise SourceError(f"weights_key {weights_key!r} leads to no tensor")
    needed = sum(math.prod(t.shape) * (t.dtype.itemsize if t.dtype else 1) for t in tensors)
    if content.stored and needed > content.stored + _MAX_REPEATED:
        raise UnreadableError(
            f"its tensors take {needed:,} bytes, the file {content.stored:,}: the same data are "
            "used again and again; save the state dict alone"
        )
    by_container: dict[tuple[str, ...], dict[str, NamedTensor]] = {}
    for tensor in tensors:
        by_container.setdefault(tensor.container, {})[tensor.name] = tensor
    ordered = sorted(by_container.items(), key=lambda item: len(item[1]), reverse=True)
    return [(".".join(path), _unwrapped(state)) for path, state in ordered]


def _unwrapped(state: dict[str, NamedTensor]) -> State:
    """Keys without the steps that wrappers add, where they stay unique."""
    for pattern in (_INSIDE, _PARALLEL):
        renamed = {
            pattern.sub(lambda m: m.group(1), key).replace("..", ".").lstrip("."): tensor
            for key, tensor in state.items()
        }
        if len(renamed) == len(state):
            state = renamed
    return state


def under_prefixes(
    path: str, state: State, begins: Callable[[str], str | None]
) -> Iterator[StateDict]:
    """The state dict under each prefix that may stand before a network's keys, shortest first.

    Parameters
    ----------
    path : str
        Where the state dict lies.
    begins : callable
        The prefix of a key that may be the network's first one; None for any other key.
    """
    prefixes = {prefix for key in state if (prefix := begins(key)) is not None}
    shortest = sorted(prefixes, key=lambda prefix: (prefix.count("."), len(prefix)))
    for prefix in shortest[: _MOST_PREFIXES if len(state) <= _MOST_KEYS else 1]:
        inside = {
            key.removeprefix(prefix): tensor
            for key, tensor in state.items()
            if key.startswith(prefix)
        }
        others = tuple(key for key in state if not key.startswith(prefix))
        place = ".".join(filter(None, (path, prefix.rstrip("."))))
        yield StateDict(inside, place, others, any(map(names_average, place.split("."))))
