"""The line that `cwda advise` ends with: what to do next, as a command or as Python that runs."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cwda.advice.nothing import least_ratio
from cwda.errors import CwdaError
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.registry import get_criterion

if TYPE_CHECKING:
    from cwda.advice import Advice
    from cwda.cli.screen.screen import Screen
    from cwda.cli.sources import Prunable
    from cwda.layers import Network

__all__ = ["Way", "show_next"]


@dataclass(frozen=True, eq=False)
class Way:
    """How a network can be named and pruned.

    Attributes
    ----------
    typed, whole : str
        The source with the options about it, for other verbs; and the same with all its layers.
    pattern : str
        That of the layers wanted, where it leaves layers out; else empty.
    prunable : Prunable or None
        What `cwda prune` takes; None where it cannot prune the network.
    obstacle : str
        Why it cannot; empty where it can.
    broken : str
        Which weights are not finite, so that nothing can be pruned; empty if all are.
    data : str or None
        The path of the images given.
    """

    typed: str
    whole: str
    pattern: str
    prunable: Prunable | None
    obstacle: str
    broken: str
    data: str | None


def show_next(advice: Advice, way: Way, screen: Screen) -> None:
    """Print what prunes as was advised; where nothing was, what leads on."""
    if not advice.criterion:
        screen.command(*_without_criterion(advice, way))
        return
    if way.broken:
        screen.line(f"nothing can be pruned as it is: {way.broken}")
        screen.command("next, what the layers look like", f"cwda describe {way.typed}")
        return
    criterion = advice.criterion if advice.ranks else RANDOM
    looks = get_criterion(criterion).needs_images
    if way.prunable is None:
        of = ", `images` a batch of images" * looks
        screen.line(
            f"next, prune: `cwda prune` needs a module, and {way.obstacle}. With one as `module`, "
            f"and `shape` that of one image, such as (1, 3, 224, 224){of}, in Python:"
        )
    elif way.pattern:
        obstacle = _alone(advice, way.prunable)
        if obstacle:
            screen.line(f"These layers cannot be pruned without others: {obstacle}.")
            screen.command("next, advice on all layers", f"cwda advise {way.whole}")
            return
        of = "; `images` is a batch of images" * looks
        screen.line(
            "next, prune these layers and no others, which `cwda prune` cannot; filters tied to "
            f"other layers stay{of}. In Python:"
        )
        screen.code(f"module = {way.prunable.call}")
        screen.code(f"shape = {way.prunable.shape}")
    else:
        images = f"--data {shlex.quote(way.data)} " if looks and way.data else ""
        screen.command(
            "next, prune",
            f"cwda prune {way.prunable.words} --criterion {criterion} --ratio {advice.ratio:g} "
            f"{images}--output pruned.safetensors",
        )
        return
    for line in _python(criterion, advice.ratio, way.pattern, looks):
        screen.code(line)


def _python(criterion: str, ratio: float, pattern: str, looks: bool) -> list[str]:
    """Lines that prune `module`, all of it or the layers that match a pattern."""
    images = ", data=images" * looks
    last = "pruned = cwda.remove(module, plan, shape).model"
    name = json.dumps(criterion)
    if not pattern:
        return [f"plan = cwda.make_plan(module, {name}, {ratio:g}, shape{images})", last]
    return [
        f"wanted = cwda.load(module).select({json.dumps(pattern)})",
        f"scores = cwda.scores(module, {name}{images})",
        f"scores = {{one.name: scores.wide(one.name)[{name}].to_numpy() for one in wanted}}",
        f"plan = cwda.make_plan(module, scores, {ratio:g}, shape)",
        last,
    ]


def _alone(advice: Advice, prunable: Prunable) -> str:
    """Why none of the layers can be pruned while all others stay; empty if some can."""
    import torch

    import cwda

    network: Network = advice.networks[0]
    known = {layer.name for layer in cwda.load(prunable.model)}
    if not {layer.name for layer in network} <= known:
        return "the module calls its layers by other names"
    scores = {layer.name: torch.arange(layer.n_filters) for layer in network}
    try:
        cwda.make_plan(prunable.model, scores, advice.ratio, prunable.shape, progress=False)
    except CwdaError as error:
        return str(error)
    return ""


def _without_criterion(advice: Advice, way: Way) -> tuple[str, str]:
    if not advice.clusters and len(advice):
        return "next, other criteria", "cwda criteria"
    if least := least_ratio(advice.rows):
        return "next, a ratio that prunes", f"cwda advise {way.typed} --ratio {least:g}"
    return "next, what the layers look like", f"cwda describe {way.typed}"
