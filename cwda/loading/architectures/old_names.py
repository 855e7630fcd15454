"""What files of earlier releases of torchvision call the parts that have other names now."""

from __future__ import annotations

import re
from collections.abc import Callable, Container

__all__ = ["current_name"]

#: Patterns of earlier names; `{}` in the new one takes the number, turned by the function.
_RENAMED: tuple[tuple[re.Pattern[str], str, Callable[[int], int]], ...] = tuple(
    (re.compile(pattern), new, turn)
    for pattern, new, turn in (
        # DenseNet: "conv.1" for "conv1".
        (r"\.(?P<n>\d)(?P<end>\.\w+)$", "{}", lambda n: n),
        # Feature pyramids, region proposals, heads of RetinaNet and Mask R-CNN.
        (r"(?<=_blocks)\.(?P<n>\d+)(?P<end>\.\w+)$", ".{}.0", lambda n: n),
        (r"(?<=rpn\.head\.conv)(?P<n>)(?P<end>\.\w+)$", ".0.0", lambda n: n),
        (r"(?<=_head\.conv)\.(?P<n>\d+)(?P<end>\.\w+)$", ".{}.0", lambda n: n // 2),
        (r"(?<=mask_head)\.mask_fcn(?P<n>\d+)(?P<end>\.\w+)$", ".{}.0", lambda n: n - 1),
        # Vision transformers.
        (r"(?<=\.mlp)\.linear_(?P<n>\d)(?P<end>\.\w+)$", ".{}", lambda n: 3 * (n - 1)),
    )
)


def current_name(key: str, expected: Container[str]) -> str:
    """The key under which a network has what a file calls `key`; `key` itself if it has none.

    Examples
    --------
    >>> current_name("fpn.inner_blocks.2.bias", {"fpn.inner_blocks.2.0.bias"})
    'fpn.inner_blocks.2.0.bias'
    """
    if key in expected:
        return key
    for pattern, new, turn in _RENAMED:
        match = pattern.search(key)
        if match is None:
            continue
        number = str(turn(int(match["n"]))) if match["n"] else ""
        name = key[: match.start()] + new.format(number) + match["end"]
        if name in expected:
            return name
    return key
