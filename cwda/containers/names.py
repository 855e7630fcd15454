"""Names of tensors: the layer that they belong to, and whether they are those of a weight."""

from __future__ import annotations

import functools
import re

__all__ = ["LEAF", "is_weight_name", "split_leaf"]

#: Last part of the name of a convolution's weight.
LEAF = re.compile(
    r"weights?|kernel|w|W|filters?|(depthwise|pointwise)_(kernel|weights)|weight_orig"
)
#: Endings that do as well for four axes or more, where little else has so many.
_ENDING = re.compile(r".*_(weights?|kernel|w|W)(_\d+)?")


@functools.lru_cache(maxsize=200_000)  # asked several times for each tensor
def split_leaf(name: str) -> tuple[str, str]:
    """The name of a tensor's layer and the tensor's own, which a dot, slash or comma divides.

    Examples
    --------
    >>> split_leaf("params,Conv_0,kernel")
    ('params,Conv_0', 'kernel')
    """
    end = max(name.rfind("."), name.rfind("/"), name.rfind(","))
    return name[: max(end, 0)], name[end + 1 :]


def is_weight_name(name: str, ndim: int) -> bool:
    """Whether a tensor of so many axes is named like a convolution's weight.

    Examples
    --------
    >>> is_weight_name("conv1.kernel", 3), is_weight_name("conv1_w", 3), is_weight_name("x_w", 4)
    (True, False, True)
    """
    leaf = split_leaf(name)[1]
    return bool(LEAF.fullmatch(leaf) or (ndim > 3 and _ENDING.fullmatch(leaf)))
