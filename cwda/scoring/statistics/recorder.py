"""Runs a traced model on a batch and shows the statistics what they see on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from cwda.errors import CwdaError, DataError, reason_of
from cwda.models.classes import require_labels
from cwda.numerics.device import is_out_of_memory
from cwda.scoring.statistics.followers import Followers
from cwda.scoring.statistics.statistic import (
    OfActivation,
    OfConvolution,
    OfGradient,
    Statistic,
    as_rows,
)
from cwda.tracing.finite import not_finite

__all__ = ["Record", "Recorder", "has_own_weight"]


@dataclass
class Record:
    """Sums over images, by the name of the statistic and the place of observation.

    `channels` are the numbers of channels of activations, by their node.
    """

    sums: dict[tuple[str, str], Any] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, place: str, part: Any) -> None:
        """Add what was observed at one place."""
        key = name, place
        self.sums[key] = self.sums[key] + part if key in self.sums else part


class Recorder(fx.Interpreter):
    """Interprets the graph node by node.

    Parameters
    ----------
    graph : fx.GraphModule
        A model that belongs to the recorder: which of its parameters ask for gradients is
        changed.
    layers : mapping of str to Followers
        Its convolutions.
    statistics : iterable of Statistic
        What to note.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        layers: Mapping[str, Followers],
        statistics: Iterable[Statistic[Any, Any]],
    ) -> None:
        super().__init__(graph)
        statistics = list(statistics)
        self._of_activation = [s for s in statistics if isinstance(s, OfActivation)]
        self._of_gradient = [s for s in statistics if isinstance(s, OfGradient)]
        self._of_convolution = [s for s in statistics if isinstance(s, OfConvolution)]
        watched = {layer.activation for layer in layers.values()} if self._of_activation else set()
        self._watched = watched - {None}
        single = {name: layer.calls[0] for name, layer in layers.items() if len(layer.calls) == 1}
        self._names = {node: name for name, node in single.items()}
        convs = {name: _convolution(graph, name) for name in single}
        # A hook that is not known would compute the weight anew in the forward pass.
        self._convs = {name: conv for name, conv in convs.items() if has_own_weight(conv)}
        self._differentiates = bool(self._convs and (self._of_gradient or self._of_convolution))
        graph.requires_grad_(False)
        for conv in self._convs.values():
            conv.weight.requires_grad_(self._differentiates)
        #: Why the loss has no gradient, where the weights of a layer are not finite.
        self.broken = ""
        self._record = Record()
        self._inputs: dict[str, Tensor] = {}
        self._deltas: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}

    def record(self, images: Tensor, labels: Tensor | None, size: int) -> Record:
        """The sums over one batch, taken `size` images at a time."""
        self._record = Record()
        self._gradients.clear()
        parts = [None] * len(images) if labels is None else labels.split(size)
        for x, y in zip(images.split(size), parts, strict=False):
            with torch.set_grad_enabled(self._differentiates):
                outputs = self._forward(x)
                if self._differentiates:
                    self._backward(outputs, y)
        for name, gradient in self._gradients.items():
            weight = as_rows(self._convs[name].weight, self._convs[name])
            for statistic in self._of_gradient:
                part = statistic.observe(gradient, weight, len(images))
                self._record.add(statistic.name, name, part)
        return self._record

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and note its value before a later one may change it in place."""
        result = super().run_node(n)
        name = self._names.get(n)
        if name in self._convs and self._of_convolution:
            self._inputs[name] = self.fetch_args_kwargs_from_env(n)[0][0].detach()
            result.register_hook(self._keep_delta(name))
        if n in self._watched and isinstance(result, Tensor):
            for statistic in self._of_activation:
                self._record.add(statistic.name, n.name, statistic.observe(result.detach()))
            self._record.channels[n.name] = result.shape[1]
        return result

    def _keep_delta(self, name: str) -> Callable[[Tensor], None]:
        def keep(gradient: Tensor) -> None:
            self._deltas[name] = gradient.detach()

        return keep

    def _forward(self, images: Tensor) -> Any:
        try:
            return self.run(images)
        except CwdaError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            if is_out_of_memory(error):
                raise
            reason = reason_of(error, 120)
            shape = " x ".join(map(str, images.shape[1:]))
            raise DataError(f"images of {shape} do not fit the model ({reason})") from error

    def _backward(self, outputs: Any, labels: Tensor | None) -> None:
        loss = _loss(outputs, labels)
        if not bool(loss.isfinite()):
            self._stop()
            return
        weights = [conv.weight for conv in self._convs.values()]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        for (name, conv), gradient in zip(self._convs.items(), gradients, strict=True):
            if gradient is not None and self._of_gradient:
                rows = as_rows(gradient, conv)
                before = self._gradients.get(name)
                self._gradients[name] = rows if before is None else before + rows
            if name in self._deltas:
                for statistic in self._of_convolution:
                    part = statistic.observe(conv, self._inputs[name], self._deltas[name])
                    self._record.add(statistic.name, name, part)
        self._inputs.clear()
        self._deltas.clear()

    def _stop(self) -> None:
        """No gradients from here on, if the weights of a layer are the reason.

        Raises
        ------
        DataError
            If they are not.
        """
        self.broken = next(iter(not_finite(self.module).values()), "")
        if not self.broken:
            raise DataError("the loss is not finite; check the weights and the scale of the images")
        self._differentiates = False
        self._of_gradient, self._of_convolution = [], []
        self.module.requires_grad_(False)
        for seen in (self._gradients, self._inputs, self._deltas):
            seen.clear()


def _loss(outputs: Any, labels: Tensor | None) -> Tensor:
    """The cross-entropy summed over the images."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        raise DataError("gradients need a model that gives images x classes logits")
    if labels is None:
        raise DataError("gradients need labels: give data as pairs (images, labels)")
    require_labels(int(labels.min()), int(labels.max()), outputs.shape[1])
    return nn.functional.cross_entropy(outputs, labels, reduction="sum")


def _convolution(graph: fx.GraphModule, name: str) -> _ConvNd:
    conv = graph.get_submodule(name)
    assert isinstance(conv, _ConvNd)
    return conv


def has_own_weight(conv: _ConvNd) -> bool:
    """Whether the weight is a parameter, and not computed by a class or hook of the user's."""
    return "weight" in conv._parameters
