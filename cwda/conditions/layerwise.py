"""Conditions over the layers of networks, one layer at a time; knows no particular condition."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cwda.arguments import require_between
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult, adjusted
from cwda.conditions.workspace import Workspace
from cwda.layers import Network
from cwda.numerics.device import resolve_device
from cwda.progress import steps
from cwda.typing import Device

if TYPE_CHECKING:
    from cwda.conditions.condition import Condition

__all__ = ["check_networks", "check_workspace", "needs_of", "require_level", "require_margin"]

_LOG = logging.getLogger(__name__)


def check_networks(
    networks: Sequence[Network],
    conditions: Sequence[Condition],
    margins: Mapping[str, float],
    level: float,
    device: Device,
) -> CheckResult:
    """Test conditions in every layer, and adjust the p-values over the layers of each network."""
    device = resolve_device(device)
    needs = needs_of(conditions)
    rows: list[ConditionResult] = []
    for network in networks:
        _LOG.info("testing %d layers of %s on %s", len(network), network.name, device)
        own: list[ConditionResult] = []
        for layer in steps(network.layers, f"testing {network.name}"):
            work = Workspace(layer, device, level, needs)
            own += check_workspace(work, conditions, margins, network.name)
        rows += adjusted(own)
    return CheckResult(tuple(rows), tuple(networks), level=level)


def check_workspace(
    work: Workspace, conditions: Sequence[Condition], margins: Mapping[str, float], network: str
) -> list[ConditionResult]:
    """Test conditions in one layer."""
    _LOG.debug("testing %r", work.layer)
    return [condition.test(work, margins[condition.name], network) for condition in conditions]


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
