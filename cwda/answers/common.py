"""Columns that many tables share: what they mean is said once."""

from __future__ import annotations

from typing import Any

from cwda.answers.answer import column

__all__ = ["common"]

_MEANINGS = {
    "network": "Name of the network; a second one of the same name is followed by ` (2)`.",
    "layer": "Path of the parameter, without `.weight`.",
    "criterion": "Name of the criterion.",
    "criterion_a": "First criterion of the pair.",
    "criterion_b": "Second criterion of the pair.",
    "n_filters": "Number of filters, $N'$.",
    "dim": "Number of weights of one filter, $d = N k^2$.",
    "n_weights": "Number of weights of the layer, $N' d$.",
}


def common(name: str, **options: Any) -> Any:
    """The column of this name as most tables have it; see `cwda.answers.column`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from cwda.answers import columns_of
    >>> @dataclass(frozen=True)
    ... class Size:
    ...     layer: str = common("layer")
    >>> columns_of(Size)
    {'layer': 'Path of the parameter, without `.weight`.'}
    """
    return column(_MEANINGS[name], **options)
