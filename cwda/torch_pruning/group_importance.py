"""The importance of a group of coupled channels by a criterion of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch_pruning.pruner.function import prune_conv_out_channels, prune_linear_out_channels
from torch_pruning.pruner.importance import GroupMagnitudeImportance

from cwda.errors import CriterionError
from cwda.layers import ConvLayer, turn
from cwda.models.batches import Data
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criterion
from cwda.scoring.scores import LayerScores, score_layer, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

__all__ = ["GroupImportance"]

#: Prune the filters of a layer; others prune what reads them.
_PRODUCERS = (prune_conv_out_channels, prune_linear_out_channels)

#: What scores are divided by, of their absolute values: to divide negative ones by their own mean
#: would turn the ranking round.
_SIZES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
}


# Torch-Pruning has no types.
class GroupImportance(GroupMagnitudeImportance):  # type: ignore[misc]
    """An importance that reduces the scores of the layers that produce a group's channels.

    `cwda.importance` makes it. Reduction and normalisation are the base class's own, but for
    negative scores, which that does not foresee.
    """

    def __init__(
        self,
        criterion: Criterion,
        data: Data | Collected | None,
        batch_size: int,
        device: Device,
        *,
        group_reduction: str,
        normalizer: str | Callable[[Tensor], Tensor] | None,
    ) -> None:
        super().__init__(group_reduction=group_reduction, normalizer=normalizer)
        self.criterion = criterion
        self._data = data
        self._batch_size = batch_size
        self._device = device
        self._passed = False
        #: Scores by layer, from one pass over the data, of those that are still to be asked for.
        self._scored: dict[nn.Module, LayerScores] = {}

    def __repr__(self) -> str:
        return f"cwda.importance({self.criterion.name!r})"

    @torch.no_grad()
    def __call__(self, group: Any) -> Tensor | None:
        """Scores of the group's channels, float32; None where it has none."""
        producers = [item for item in group if item[0].handler in _PRODUCERS]
        if not producers:
            return None
        scored = self._scores([dep.target.module for dep, _ in producers], group)
        # Where a group is of some channels only, the base class would look beyond its end.
        position = {channel: at for at, channel in enumerate(group[0].root_idxs)}
        values, places, reasons = [], [], []
        for item, found in zip(producers, scored, strict=True):
            if found.reasons[0]:
                reasons.append(f"{item[0].target.name}: {found.reasons[0]}")
            else:
                weight = item[0].target.module.weight
                values.append(found.values[0][item.idxs].to(weight.device))
                places.append([position.get(channel) for channel in item.root_idxs])
        # The base class takes the number of channels from the first layer.
        if not values or len(values[0]) != len(group[0].idxs):
            told = reasons[0] if reasons else "its first layer has another number of channels"
            warnings.warn(
                f"{self!r} gives no scores, and a pruner leaves these channels: {told}",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        reduced: Tensor = self._normalize(self._reduce(values, places), self.normalizer)
        return reduced

    def _normalize(self, scores: Tensor, normalizer: Any) -> Tensor:
        size = _SIZES.get(normalizer) if isinstance(normalizer, str) else None
        if size is not None:
            return scores / size(scores.abs())
        if normalizer == "lamp" and bool((scores < 0).any()):
            raise CriterionError(
                f"normalizer 'lamp' is of sums of scores, and those of {self.criterion.name!r} "
                "are negative; take 'mean' or 'gaussian'"
            )
        normalised: Tensor = super()._normalize(scores, normalizer)
        return normalised

    def _scores(self, layers: list[nn.Module], group: Any) -> list[LayerScores]:
        """The scores of some layers, each by its weights or from one pass for the whole model."""
        if not self.criterion.needs:
            names = {part: name for name, part in group._DG.model.named_modules()}
            named = [_as_layer(each, names.get(each, "")) for each in layers]
            return [score_layer(layer, [self.criterion], self._device) for layer in named]
        known = isinstance(self._data, Collected)
        if any(isinstance(layer, _ConvNd) and not self._fits(layer) for layer in layers):
            if known and self._scored:
                raise CriterionError(
                    "the statistics given to cwda.importance are of the model before it was "
                    "pruned; give the images, data=..., to make a pass at each step"
                )
            if self._passed and isinstance(self._data, Iterator):
                raise CriterionError(
                    "the data given to cwda.importance are an iterator, used up by the pass of the "
                    "first step; give what starts anew each time: tensors, a list of batches or a "
                    "DataLoader"
                )
            self._scored = self._of_model(group._DG.model)
        found = [self._scored.get(layer) or self._unknown(layer) for layer in layers]
        if not known:  # a layer that is asked for again has been pruned or trained since
            self._scored = {at: each for at, each in self._scored.items() if at not in layers}
        return found

    def _fits(self, layer: _ConvNd) -> bool:
        scored = self._scored.get(layer)
        return scored is not None and scored.layer.n_filters == layer.out_channels

    def _of_model(self, model: nn.Module) -> dict[nn.Module, LayerScores]:
        network, collected = prepare(
            model,
            [self.criterion],
            data=self._data,
            batch_size=self._batch_size,
            device=self._device,
        )
        self._passed = True
        modules = dict(model.named_modules())
        scored = score_network(network, [self.criterion], self._device, collected.layers)
        return {modules[found.layer.name]: found for found in scored}

    def _unknown(self, layer: nn.Module) -> LayerScores:
        reason = f"criterion {self.criterion.name!r} is of convolutions, not of a"
        reason += f" {type(layer).__name__}"
        return LayerScores(_as_layer(layer), (), torch.empty(0), (reason,))


def _as_layer(module: nn.Module, name: str = "") -> ConvLayer:
    """The weight of a convolution or linear layer, which its place in the model names."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    name = name or type(module).__name__
    if not isinstance(module, _ConvNd):
        return ConvLayer(name, weight.detach()[:, :, None, None])
    turned = turn(weight.detach(), module.groups) if module.transposed else weight.detach()
    return ConvLayer(name, turned, module.groups, module.transposed)
