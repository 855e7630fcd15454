"""What to say where no criterion can be advised, and the way out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from cwda.advice.result import Cluster, LayerAdvice
from cwda.formatting import every, many

__all__ = ["SELECTS_NONE", "ZERO", "least_ratio", "nothing_to_advise"]

#: Why a criterion has no place where it orders the filters of no layer.
SELECTS_NONE = "it selects filters in no layer"

#: Why a layer without any weight has no ranking.
ZERO = "all weights are 0"


def least_ratio(layers: Sequence[LayerAdvice]) -> float | None:
    """The ratio from which every layer of two filters or more loses one, rounded up.

    None where the ratio asked for takes filters of a layer, or where no ratio would.

    Examples
    --------
    >>> rows = [LayerAdvice("net", name, "", pruned=0, n_filters=n, dim=9, reason="")
    ...         for name, n in (("a", 16), ("b", 64))]
    >>> least_ratio(rows)
    0.063
    """
    sizes = [row.n_filters for row in layers if row.n_filters > 1]
    if not sizes or any(row.pruned for row in layers):
        return None
    return math.ceil(1000 / min(sizes)) / 1000


def nothing_to_advise(
    ratio: float, clusters: Sequence[Cluster], layers: Sequence[LayerAdvice]
) -> str:
    """One sentence: why no criterion is advised, and what to do about it.

    Parameters
    ----------
    ratio : float
        The share of the filters asked for.
    clusters : sequence of Cluster
        The criteria, none of which has a place; nothing if `random` was the only one.
    layers : sequence of LayerAdvice
        The layers.
    """
    if not layers:
        return "No criterion can be advised: there is no layer."
    if not clusters:
        return (
            "No criterion can be advised: random is the zero that others are held against; give "
            "another."
        )
    reasons = Counter(row.reason for row in layers if row.reason)
    if set(reasons) == {ZERO}:
        return (
            f"All weights of {every(len(layers), 'layer')} are 0: there is nothing to rank; give "
            "the weights of a trained network."
        )
    if least := least_ratio(layers):
        sizes = sorted({row.n_filters for row in layers})
        filters = many(sizes[-1], "filter")
        has = f"{sizes[0]} to {filters}" if len(sizes) > 1 else filters
        where = "the one layer" if len(layers) == 1 else "any layer"
        return (
            f"No criterion can be advised: a ratio of {ratio:g} takes no filter of {where}, with "
            f"{has}; give {least:g} or more."
        )
    if any(row.reason != SELECTS_NONE for row in clusters):
        return "No criterion can be advised: none could be placed."
    reason, found = reasons.most_common(1)[0]
    where = every(found, "layer") if found == len(layers) else f"{found} of {len(layers)} layers"
    return (
        "No criterion can be advised: none orders the filters of any layer, as in "
        f"{where}: {reason}."
    )
