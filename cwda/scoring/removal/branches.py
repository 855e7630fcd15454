"""Runs a traced model once, and at each layer the rest of it again with channels removed.

The values before the layer are those of the one run: whatever later nodes take of them, such as
the shortcut of a residual block, is handed on. An entry is an image and a set of channels; as many
entries are computed at a time as there are images, so that sizes in the graph stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map

from cwda.errors import DataError, reason_of
from cwda.models.classes import require_labels
from cwda.numerics.device import is_out_of_memory
from cwda.progress import advance
from cwda.scoring.removal.channels import Offsets, carriers, last_alone

__all__ = ["Branches", "channels_of", "image_losses"]


@dataclass(frozen=True, eq=False)
class _Cut:
    """Where the model is cut for one layer.

    Attributes
    ----------
    layer : str
        Path of the convolution.
    removed : Tensor
        Sets of channels, bool, sets x N'.
    forced : mapping of fx.Node to Offsets
        The nodes after the cut whose removed channels are set to zero.
    after : tuple of fx.Node
        The nodes that are computed again, in order.
    live : tuple of fx.Node
        The values before the cut that they take.
    """

    layer: str
    removed: Tensor
    forced: Mapping[fx.Node, Offsets]
    after: tuple[fx.Node, ...]
    live: tuple[fx.Node, ...]


class _SplitError(Exception):
    """A value cannot be divided into images."""


class Branches(fx.Interpreter):
    """Runs a graph on a batch and branches off at its convolutions.

    Parameters
    ----------
    graph : fx.GraphModule
        The model, in evaluation mode.
    removed : mapping of fx.Node to (str, Tensor)
        The convolutions: path, and the sets of filters to remove, bool, sets x N'.
    channels : mapping of fx.Node to int
        What `channels_of` gives.

    Attributes
    ----------
    reasons : dict of str to str
        Why a layer could not be computed.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        removed: Mapping[fx.Node, tuple[str, Tensor]],
        channels: Mapping[fx.Node, int],
    ) -> None:
        super().__init__(graph)
        self.extra_traceback = False  # no node is added to what our own errors say
        self.reasons: dict[str, str] = {}
        self._cuts: dict[fx.Node, list[_Cut]] = {}
        nodes = [*graph.graph.nodes]
        places = {node: place for place, node in enumerate(nodes)}
        for start, (layer, sets) in removed.items():
            found = carriers(graph, start, channels)
            at = last_alone(start, found)
            after = nodes[places[at] + 1 :]
            live = {source for node in after for source in node.all_input_nodes}
            forced = {node: where for node, where in found.items() if places[node] >= places[at]}
            cut = _Cut(layer, sets, forced, tuple(after), tuple(live - {*after} - {at}))
            self._cuts.setdefault(at, []).append(cut)
        cuts = [cut for own in self._cuts.values() for cut in own]
        nodes_after = sum(len(cut.removed) * len(cut.after) for cut in cuts)
        #: Steps of an entry per node after it: as many in all as there are images times sets.
        self._steps = sum(len(cut.removed) for cut in cuts) / max(1, nodes_after)
        self._of_images = _computed_from_input(nodes)
        self._rest = fx.Interpreter(graph)
        self._last_use = _last_uses(nodes)
        self._checked: set[str] = set()
        self._labels = torch.empty(0)
        self._losses: dict[str, Tensor] = {}
        self._unchanged: dict[str, Tensor] = {}

    def increases(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """By layer, the loss of each image without each set of filters, less that with all.

        Float64, images x sets.
        """
        self._labels, self._losses, self._unchanged = labels, {}, {}
        base = image_losses(self.run(images), labels)
        for layer, losses in self._unchanged.items():
            if not torch.allclose(losses, base, rtol=1e-3, atol=1e-3):
                self.reasons[layer] = "the model computes something else from this layer on"
            self._checked.add(layer)
        return {
            # A channel that is 0 for an image changes nothing, and was not computed again.
            layer: torch.where(losses.isnan(), 0.0, losses - base[:, None])
            for layer, losses in self._losses.items()
            if layer not in self.reasons
        }

    def run_node(self, n: fx.Node) -> Any:
        """Run one node; behind a layer, first all that follows from its channels removed."""
        result = super().run_node(n)
        for cut in self._cuts.get(n, ()):
            if cut.layer in self.reasons:
                continue
            try:
                self._branch_off(cut, n, result)
            except _SplitError as error:
                self.reasons[cut.layer] = str(error)
        return result

    def _branch_off(self, cut: _Cut, at: fx.Node, value: Any) -> None:
        """The losses of all images without each set of channels."""
        images, (sets, filters) = len(self._labels), cut.removed.shape
        if not isinstance(value, Tensor) or value.ndim < 2 or value.shape[0] != images:
            raise _SplitError("its output does not have images on its first axis")
        if value.shape[1] != filters:
            raise _SplitError("its output has another number of channels")
        losses = value.new_full((images, sets), torch.nan, dtype=torch.float64)
        if [*cut.forced] == [at]:
            lively = (value != 0).flatten(2).any(2) if value.ndim > 2 else value != 0
            entries = (lively.float() @ cut.removed.to(value).float().T > 0).nonzero()
        else:
            entries = torch.ones_like(losses, dtype=torch.bool).nonzero()
        of_entry = self._steps * len(cut.after)
        advance(of_entry * (losses.numel() - len(entries)))
        for part in entries.split(images):
            full = torch.cat([part, part[:1].expand(images - len(part), 2)])
            channels = cut.removed.to(value.device)[full[:, 1]]
            found = self._losses_after(cut, at, value, full[:, 0], channels)
            losses[part[:, 0], part[:, 1]] = found[: len(part)]
            advance(of_entry * len(part))
        self._losses[cut.layer] = losses
        if cut.layer not in self._checked:
            every = torch.arange(images, device=value.device)
            none = torch.zeros(images, filters, dtype=torch.bool, device=value.device)
            self._unchanged[cut.layer] = self._losses_after(cut, at, value, every, none)

    def _losses_after(
        self, cut: _Cut, at: fx.Node, value: Tensor, index: Tensor, channels: Tensor
    ) -> Tensor:
        """The losses of the images of an index, each without the channels of its row."""
        env: dict[fx.Node, Any] = {node: self._picked(node, index) for node in cut.live}
        env[at] = _rows(value, index)
        _clear(env[at], cut.forced[at], channels)
        self._rest.env = env
        result: Any = None
        for node in cut.after:
            result = self._rest.run_node(node)
            if node in cut.forced and isinstance(result, Tensor):
                _clear(result, cut.forced[node], channels)
            env[node] = result
            for used in self._last_use.get(node, ()):
                env.pop(used, None)
        return image_losses(result, self._labels[index])

    def _picked(self, node: fx.Node, index: Tensor) -> Any:
        """The value of a node for the images of an index."""
        value = self.env[node]
        if node not in self._of_images:
            return value
        return tree_map(lambda each: self._pick(each, index), value)

    def _pick(self, value: Any, index: Tensor) -> Any:
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        if value.shape[0] != len(index):
            raise _SplitError("a value beside it does not have images on its first axis")
        return _rows(value, index)


def _rows(value: Tensor, index: Tensor) -> Tensor:
    """The rows of an index, in memory of their own and in the order in which it lies."""
    if value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last):
        return value.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return value.index_select(0, index)


def _clear(value: Tensor, offsets: Offsets, channels: Tensor) -> None:
    """Set channels of each image to zero, in place; channels are bool, images x N'."""
    mask = channels.view(*channels.shape, *[1] * (value.ndim - 2))
    for offset in offsets:
        value.narrow(1, offset, channels.shape[1]).masked_fill_(mask, 0)


def _computed_from_input(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    for node in nodes:
        if node.op == "placeholder" or any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _last_uses(nodes: Iterable[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """By node, the values that no later node takes."""
    last: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        last |= dict.fromkeys(node.all_input_nodes, node)
    uses: dict[fx.Node, list[fx.Node]] = {}
    for value, node in last.items():
        uses.setdefault(node, []).append(value)
    return uses


def image_losses(outputs: Any, labels: Tensor) -> Tensor:
    """The cross-entropy of each image, float64.

    Raises
    ------
    DataError
        If the outputs are not images x classes, or the model does not have a label.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        raise DataError("losses need a model that gives images x classes logits")
    require_labels(int(labels.min()), int(labels.max()), outputs.shape[1])
    return nn.functional.cross_entropy(outputs.double(), labels, reduction="none")


def channels_of(graph: fx.GraphModule, image: Tensor) -> tuple[dict[fx.Node, int], int]:
    """The number of channels of each value, and the most elements that one has for an image.

    Raises
    ------
    DataError
        If the model does not take the image.
    """
    run = _Sizes(graph)
    try:
        run.run(image)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        shape = " x ".join(map(str, image.shape[1:]))
        raise DataError(
            f"images of {shape} do not fit the model ({reason_of(error, 120)})"
        ) from error
    return run.channels, run.largest // len(image)


class _Sizes(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.channels: dict[fx.Node, int] = {}
        self.largest = 1

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and note its size."""
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "get_attr":
            self.largest = max(self.largest, result.numel())
            if result.ndim > 1:
                self.channels[n] = result.shape[1]
        return result
