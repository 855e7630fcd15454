"""Runs a traced model on images and notes what the statistics need on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from cwda.errors import DataError
from cwda.scoring.statistics.one_pass import ImageGradients
from cwda.scoring.statistics.tally import ActivationSums, as_rows, image_gradient_sums, rank_sums
from cwda.scoring.statistics.units import Unit

__all__ = ["BatchRecord", "Recorder"]


@dataclass
class BatchRecord:
    """Sums over the images of one batch: activations by node, gradients by layer."""

    activations: dict[str, list[ActivationSums]] = field(default_factory=dict)
    map_ranks: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    image_gradients: dict[str, ImageGradients] = field(default_factory=dict)


class Recorder(fx.Interpreter):
    """Interprets the graph node by node.

    Parameters
    ----------
    graph : fx.GraphModule
        A model that belongs to the recorder: which of its parameters ask for gradients is
        changed.
    units : mapping of str to Unit
        Its convolutions.
    needs : frozenset of str
        What to note.
    """

    def __init__(
        self, graph: fx.GraphModule, units: Mapping[str, Unit], needs: frozenset[str]
    ) -> None:
        super().__init__(graph)
        self._needs = needs
        self._watched = {unit.activation for unit in units.values()} - {None}
        single = {name: unit.calls[0] for name, unit in units.items() if len(unit.calls) == 1}
        self._names = {node: name for name, node in single.items()}
        self._convs = {name: _convolution(graph, name) for name in single}
        graph.requires_grad_(False)
        for conv in self._convs.values():
            conv.weight.requires_grad_(self._differentiates)
        self._record = BatchRecord()
        self._inputs: dict[str, Tensor] = {}
        self._deltas: dict[str, Tensor] = {}

    @property
    def _differentiates(self) -> bool:
        return bool(self._needs & {"gradients", "image_gradients"})

    def record(self, images: Tensor, labels: Tensor | None, size: int) -> BatchRecord:
        """The sums over one batch, taken `size` images at a time."""
        self._record = BatchRecord()
        parts = [None] * len(images) if labels is None else labels.split(size)
        for x, y in zip(images.split(size), parts, strict=False):
            with torch.set_grad_enabled(self._differentiates):
                outputs = self._forward(x)
                if self._differentiates:
                    self._backward(outputs, y)
        return self._record

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and note its value before a later one may change it in place."""
        result = super().run_node(n)
        name = self._names.get(n)
        if name is not None and "image_gradients" in self._needs:
            self._inputs[name] = self.fetch_args_kwargs_from_env(n)[0][0].detach()
            result.register_hook(self._keep_delta(name))
        if n in self._watched and isinstance(result, Tensor):
            if "activations" in self._needs:
                sums = ActivationSums.of(result)
                self._record.activations.setdefault(n.name, []).append(sums)
            if "map_ranks" in self._needs:
                _add(self._record.map_ranks, n.name, rank_sums(result))
        return result

    def _keep_delta(self, name: str) -> Callable[[Tensor], None]:
        def keep(gradient: Tensor) -> None:
            self._deltas[name] = gradient.detach()

        return keep

    def _forward(self, images: Tensor) -> Any:
        try:
            return self.run(images)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
            if "can't allocate memory" in reason:
                raise
            shape = " x ".join(map(str, images.shape[1:]))
            raise DataError(f"images of {shape} do not fit the model ({reason})") from error

    def _backward(self, outputs: Any, labels: Tensor | None) -> None:
        if not isinstance(outputs, Tensor) or outputs.ndim != 2:
            raise DataError("gradients need a model that gives images x classes logits")
        if labels is None:
            raise DataError("gradients need labels: give data as pairs (images, labels)")
        if not 0 <= int(labels.min()) <= int(labels.max()) < outputs.shape[1]:
            raise DataError(
                f"labels run from {int(labels.min())} to {int(labels.max())}, but the model has "
                f"{outputs.shape[1]} classes, 0 to {outputs.shape[1] - 1}"
            )
        loss = nn.functional.cross_entropy(outputs, labels, reduction="sum")
        if not bool(loss.isfinite()):
            raise DataError("the loss is not finite; check the weights and the scale of the images")
        weights = [conv.weight for conv in self._convs.values()]
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        for (name, conv), gradient in zip(self._convs.items(), found, strict=True):
            if gradient is not None and "gradients" in self._needs:
                _add(self._record.gradients, name, as_rows(gradient, conv))
            if name in self._deltas:
                sums = image_gradient_sums(conv, self._inputs[name], self._deltas[name])
                _add(self._record.image_gradients, name, sums)
        self._inputs.clear()
        self._deltas.clear()


def _convolution(graph: fx.GraphModule, name: str) -> _ConvNd:
    conv = graph.get_submodule(name)
    assert isinstance(conv, _ConvNd)
    if nn.utils.parametrize.is_parametrized(conv, "weight"):
        nn.utils.parametrize.remove_parametrizations(conv, "weight", leave_parametrized=True)
    return conv


def _add(sums: dict[str, Any], name: str, part: Any) -> None:
    sums[name] = sums[name] + part if name in sums else part
