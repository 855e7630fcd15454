"""Whether tensors are copies of others in value, as moving averages are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from cwda.containers.tensors import NamedTensor

__all__ = ["are_close", "likeness"]

#: Most pairs that are compared, and most weights of each where smaller ones are at hand.
_PAIRS, _WEIGHTS = 6, 1 << 20
#: Correlation of an average with the weights that it averages, at least. Independent weights
#: have 0 within some 1 / sqrt(n), of which `_ERRORS` may occur by chance.
_ENOUGH, _ERRORS = 0.5, 4.0


def are_close(pairs: Sequence[tuple[NamedTensor, NamedTensor]]) -> bool:
    """Whether the first of each pair is close to the second, by a sample of the pairs.

    What cannot be read tells nothing; where nothing can be read, the names alone decide.
    """
    ordered = sorted(pairs, key=lambda pair: math.prod(pair[0].shape))
    small = [pair for pair in ordered if math.prod(pair[0].shape) <= _WEIGHTS] or ordered[:1]
    step = max(1, (len(small) - 1) // (_PAIRS - 1))
    total, count, read = 0.0, 0, False
    for average, raw in small[::-step][:_PAIRS]:
        try:
            one, other = average.read(), raw.read()
        except Exception:  # damage is reported where the weights are taken
            continue
        read = True
        total += one.numel() * likeness(one, other)
        count += one.numel()
    if not read:
        return True
    return total / count >= min(0.9, max(_ENOUGH, _ERRORS / math.sqrt(count)))


def likeness(one: Tensor, other: Tensor) -> float:
    """Correlation of two tensors of one shape: 1 if they are equal, about 0 if unrelated."""
    first, second = one.double().flatten(), other.double().flatten()
    if first.equal(second):
        return 1.0
    first, second = first - first.mean(), second - second.mean()
    size = float(first.norm() * second.norm())
    return float(first @ second) / size if 0 < size < math.inf else 0.0
