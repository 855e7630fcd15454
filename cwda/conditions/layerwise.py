"""Conditions over the layers of networks, one layer at a time; knows no particular condition."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from cwda.arguments import require_between
from cwda.choices import Scale
from cwda.conditions.directions import directions_of
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult, adjusted
from cwda.conditions.workspace import Workspace, leave_moments
from cwda.errors import OutOfMemory
from cwda.layers import ConvLayer, Network
from cwda.numerics.device import Placement, resolve_device
from cwda.progress import steps
from cwda.typing import Device

if TYPE_CHECKING:
    from cwda.conditions.condition import Condition

__all__ = ["check_layer", "check_networks", "needs_of", "require_level", "require_margin"]

_LOG = logging.getLogger(__name__)


def check_networks(
    networks: Sequence[Network],
    conditions: Sequence[Condition],
    margins: Mapping[str, float],
    level: float,
    device: Device,
    scale: Scale = "raw",
) -> CheckResult:
    """Test conditions in every layer, and adjust the p-values over the layers of each network."""
    where = resolve_device(device)
    rows: list[ConditionResult] = []
    for network in networks:
        _LOG.info("testing %d layers of %s on %s", len(network), network.name, where)
        own: list[ConditionResult] = []
        for layer in steps(network.layers, f"testing {network.name}"):
            own += check_layer(layer, conditions, margins, level, device, network.name, scale)
        rows += adjusted(own)
    return CheckResult(tuple(rows), tuple(networks), level=level, scale=scale)


def check_layer(
    layer: ConvLayer,
    conditions: Sequence[Condition],
    margins: Mapping[str, float],
    level: float,
    device: Device,
    network: str = "",
    scale: Scale = "raw",
) -> list[ConditionResult]:
    """Test conditions in one layer.

    Once the layer has proved too large for a GPU that was not asked for by name, the CPU goes on
    with it; what the GPU has measured stays.
    """
    _LOG.debug("testing %r", layer)
    layer, left_out = directions_of(layer) if scale == "unit" else (layer, 0)
    placement = Placement(device, f"layer {layer.name}", layer.n_weights)
    spaces: dict[torch.device, Workspace] = {}

    def test(condition: Condition, device: torch.device) -> ConditionResult:
        if device not in spaces:
            spaces.clear()  # its memory is wanted
            spaces[device] = Workspace(layer, device, level, needs_of(conditions))
        return condition.test(spaces[device], margins[condition.name], network, scale, left_out)

    rows = []
    for condition in conditions:
        try:
            rows.append(placement.run(functools.partial(test, condition)))
        except OutOfMemory as error:
            margin = margins[condition.name]
            row = condition.not_applicable(layer, margin, network, str(error), scale, left_out)
            rows.append(row)
    if scale == "raw":
        for space in spaces.values():
            leave_moments(space)
    return rows


def needs_of(conditions: Sequence[Condition]) -> frozenset[str]:
    """All kernel matrices that the conditions read."""
    return frozenset().union(*(condition.needs for condition in conditions))


def require_level(level: object) -> float:
    """The confidence of an interval.

    Raises
    ------
    CwdaError
        If it does not lie between 0 and 1.
    """
    return require_between(level, 0, 1, "level")


def require_margin(name: str, margin: object) -> float:
    """A margin of the condition of this name.

    Raises
    ------
    CwdaError
        If it is not a positive number.
    """
    return require_between(margin, 0, math.inf, f"the margin of {name}")
