"""By what networks and layers are set beside each other: depth, width, kernel, task, family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cwda.conditions.reference import kernel_kind, width_band

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GROUPINGS", "Grouping", "ordered"]

_WIDTHS = tuple(dict.fromkeys(map(width_band, range(1, 300))))
_KERNELS = ("1x1", "3x3", "along one axis", "other")
_CHANNELS = ("ordinary", "grouped", "depthwise")
_DEPTHS = ("first quarter", "second quarter", "third quarter", "last quarter")


@dataclass(frozen=True)
class Grouping:
    """A way to divide the layers of a survey.

    Attributes
    ----------
    name : str
        What is asked for, such as "width".
    words : str
        What its groups are.
    label : callable
        From the table of layers to the group of each.
    of_networks : bool
        Whether all layers of a network are in one group.
    order : tuple of str
        The groups in their order; empty if they have none.
    """

    name: str
    words: str
    label: Callable[[pd.DataFrame], pd.Series]
    of_networks: bool = False
    order: tuple[str, ...] = ()


def _depth(layers: pd.DataFrame) -> pd.Series:
    quarter = np.clip((4 * layers["depth"].to_numpy(dtype=float)).astype(int), 0, 3)
    return _series(layers, [_DEPTHS[each] for each in quarter])


def _channels(layers: pd.DataFrame) -> pd.Series:
    labels = []
    for groups, channels in zip(layers["groups"], layers["channels"], strict=True):
        grouped = "depthwise" if channels == 1 else "grouped"
        labels.append("ordinary" if groups == 1 else grouped)
    return _series(layers, labels)


def _series(layers: pd.DataFrame, labels: list[str]) -> pd.Series:
    import pandas as pd

    return pd.Series(labels, index=layers.index, dtype=object)


#: By name, in the order of the report.
GROUPINGS: dict[str, Grouping] = {
    each.name: each
    for each in (
        Grouping("all", "all layers", lambda layers: _series(layers, ["all"] * len(layers)), True),
        Grouping("family", "networks of one family", lambda layers: layers["family"], True),
        Grouping("task", "networks of one task", lambda layers: layers["task"], True),
        Grouping(
            "depth", "quarters of the network, by the place of the layer", _depth, order=_DEPTHS
        ),
        Grouping(
            "width",
            "number of filters",
            lambda layers: _series(layers, [width_band(int(n)) for n in layers["n_filters"]]),
            order=_WIDTHS,
        ),
        Grouping(
            "kernel",
            "shape of the kernel",
            lambda layers: _series(layers, [kernel_kind(each) for each in layers["kernel"]]),
            order=_KERNELS,
        ),
        Grouping("groups", "groups of channels", _channels, order=_CHANNELS),
    )
}


def ordered(rows: pd.DataFrame, grouping: Grouping, value: str) -> list[str]:
    """The groups of the column `row` in their order, or by their median value."""
    seen = set(rows["row"])
    if grouping.order:
        return [name for name in grouping.order if name in seen]
    medians = rows.groupby("row")[value].median().sort_values(kind="stable")
    return [str(name) for name in medians.index]
