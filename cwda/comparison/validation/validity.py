"""`validity`: whether criteria rank filters as the loss does when they are removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from torch import nn

from cwda.arguments import as_list
from cwda.comparison.validation.layerwise import of_layer, rows_of
from cwda.comparison.validation.options import Options
from cwda.comparison.validation.result import LayerValidity, Validity
from cwda.comparison.validation.selections import RANDOM_SELECTIONS, increases_of_selections
from cwda.errors import CwdaError, DataError, nearest
from cwda.layers import Network
from cwda.loading.sources import model_and_network_of
from cwda.models.batches import Batch, Data, as_batches
from cwda.progress import overall, showing
from cwda.scoring.catalogue import PAPER, RANDOM
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.statistics.collect import collect
from cwda.scoring.statistics.removal import REMOVAL
from cwda.typing import Device

__all__ = ["validity", "validity_of"]


def validity(
    source: nn.Module | str | Path,
    criteria: Criteria = PAPER,
    *,
    data: Data,
    layers: Iterable[str] | None = None,
    ratio: float = 0.5,
    level: float = 0.95,
    draws: int = 1000,
    batch_size: int = 128,
    device: Device = "auto",
    seed: int = 0,
    progress: bool = True,
) -> Validity:
    r"""Say for each layer and criterion whether it ranks filters as their removal does.

    The *oracle* is the increase of the mean loss when one filter is removed. A criterion is
    compared with it by Spearman's coefficient, each on its own half of the images, so that noise
    that both share cannot pass for agreement; what noise takes away is corrected for
    (``disattenuated``). `random` rankings are the zero. The verdict is

    - *oracle too noisy* where two halves of the images give oracles that correlate below .5;
    - *not better than random* where random rankings reach the coefficient too easily;
    - *valid* where the interval of the disattenuated coefficient lies at .7 or above, which is half
      of the variance of the ranks;
    - *weak* where it lies below;
    - *inconclusive* where it holds .7, or where there is none.

    `regret` says what the order is worth: the increase of the loss when all filters below
    `ratio` are removed at once, 0 if it is that of the oracle's choice and 1 if it is that of
    random choices.

    Parameters
    ----------
    source : nn.Module, str or Path
        A model that runs, or a name or file that `cwda.load_model` reads.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria; `random` is always there.
    data : Images, ImageData, tensors or iterable of batches
        Labelled images, two batches or more; every other batch is the other half. See
        `cwda.models.batches.as_batches`. They are held in memory.
    layers : iterable of str, optional
        Paths of the convolutions wanted; by default all. The oracle runs the rest of the network
        for each filter and image: about a third of a second per image for ResNet-20 on one core.
    ratio : float
        Share of the filters that is removed for the regret, between 0 and 1.
    level : float
        Confidence level of the intervals; 1 - level is that of the comparison with random.
    draws : int
        Number of random rankings.
    batch_size : int
        Images per batch where `data` is not in batches already.
    device : str or torch.device
        Where to compute.
    seed : int
        Of random rankings, selections and halves.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Validity

    Raises
    ------
    CriterionError
        If a criterion is unknown.
    SelectionError
        If the ratio or the level does not lie between 0 and 1.
    DataError
        If there are fewer than two batches, no labels, or they do not fit the model.
    CwdaError
        If a layer is unknown.

    References
    ----------
    Molchanov et al. (2017, 2019) compare criteria with this oracle. Spearman (1904), The proof and
    measurement of association between two things.

    Examples
    --------
    >>> import torch
    >>> import cwda
    >>> generator = torch.Generator().manual_seed(0)
    >>> images = torch.randn(8, 3, 32, 32, generator=generator)
    >>> labels = torch.arange(8)
    >>> result = cwda.validity(
    ...     "resnet20-cifar10", ["l1"], data=(images, labels), layers="layer3.2.conv2", batch_size=4
    ... )
    >>> result.table[["layer", "criterion", "half_reliability"]].values.tolist()
    [['layer3.2.conv2', 'l1', 1.0], ['layer3.2.conv2', 'random', nan]]
    """
    options = Options(resolve(criteria), ratio, level, draws, seed, batch_size, device)
    with showing(progress):
        model, network = model_and_network_of(source)
        return validity_of(model, _selected(network, layers), data, options)


def validity_of(model: nn.Module, network: Network, data: Data, options: Options) -> Validity:
    """The validity of criteria in the layers of a network, whose model runs on the data."""
    halves = _halves(as_batches(data, options.batch_size))
    names = [layer.name for layer in network]
    needs = frozenset({REMOVAL.name}).union(*(each.needs for each in options.criteria))
    with overall("removing filters", _removals(network, halves, options), unit=" removals"):
        sides = [
            collect(
                model, needs, layers=names, data=half, batch_size=options.batch_size,
                device=options.device,
            )
            for half in halves
        ]  # fmt: skip
        found = [of_layer(layer, sides, options) for layer in network]
        chosen = [
            {layer.name: sets[side] for layer, _, sets in found if len(sets[side])}
            for side in (0, 1)
        ]
        increases = increases_of_selections(model, chosen, halves, options.device)
    rows = [
        LayerValidity(network=network.name, **row)
        for layer, part, _ in found
        for row in rows_of(layer, part, increases.get(layer.name), options)
    ]
    criteria = (*(each.name for each in options.criteria), RANDOM)
    return Validity(
        tuple(rows), (network,), level=options.level, criteria=criteria, ratio=options.ratio
    )


def _removals(network: Network, halves: Iterable[list[Batch]], options: Options) -> int:
    """How often filters are removed for an image: each by itself, then those of selections."""
    images = sum(len(batch) for half in halves for batch, _ in half)
    selected = len(options.criteria) + 1 + RANDOM_SELECTIONS  # and those of the oracle
    return images * sum(layer.n_filters + selected for layer in network)


def _selected(network: Network, layers: Iterable[str] | None) -> Network:
    if layers is None:
        return network
    names, known = as_list(layers, "layer"), [layer.name for layer in network]
    for name in names:
        if name not in known:
            raise CwdaError(f"{network.name} has no layer {name!r}{nearest(name, known)}")
    return replace(network, layers=tuple(layer for layer in network if layer.name in names))


def _halves(batches: Iterable[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Every other batch, and those between."""
    every = list(batches)
    if len(every) < 2:
        raise DataError(
            "validity needs two batches of images or more, one half for the criteria and one for "
            "the oracle; give more images, or a smaller batch_size"
        )
    if any(labels is None for _, labels in every):
        raise DataError("the loss needs labels: give data as pairs (images, labels)")
    return every[0::2], every[1::2]
