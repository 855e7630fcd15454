"""One network: its fingerprint, and all that a survey computes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cwda.comparison import applicability, compare
from cwda.comparison.transition import is_transition
from cwda.conditions import BUILT_IN, check
from cwda.layers import ConvLayer, Network
from cwda.scoring import similarity
from cwda.sharing import sharing
from cwda.surveys.settings import CRITERIA, PREDICTED_LEVEL, RATIO, RUNG, SCALE
from cwda.surveys.store import as_part
from cwda.surveys.tables import MEASURED, LayerFacts
from cwda.theory import predict

__all__ = ["cost_of", "fingerprint", "measure"]


def fingerprint(network: Network) -> str:
    """SHA-256 of the weights of a network, in the order of its layers.

    Neither names nor the type in which a file stores the numbers count, as long as the numbers
    are the same.

    Examples
    --------
    >>> import torch, cwda
    >>> weight = torch.ones(4, 2, 3, 3)
    >>> one, other = cwda.load({"a.weight": weight}), cwda.load({"b.weight": weight.half()})
    >>> fingerprint(one) == fingerprint(other)
    True
    """
    digest = hashlib.sha256()
    for layer in network:
        digest.update(f"{tuple(layer.weight.shape)} {layer.groups} {layer.transposed}".encode())
        digest.update(np.ascontiguousarray(_numbers(layer)).data)
    return digest.hexdigest()


def _numbers(layer: ConvLayer) -> npt.NDArray[Any]:
    """The weights as float32 where that holds them all, else as float64."""
    weights = layer.filters
    if weights.dtype == np.float32:
        return weights
    with np.errstate(over="ignore"):
        narrow = weights.astype(np.float32)
    return narrow if np.array_equal(narrow, weights, equal_nan=True) else weights.astype(np.float64)


def cost_of(network: Network) -> float:
    """How much work a network is, in seconds of one core of 2024, roughly.

    Each layer costs something whatever its size; beyond that, kernel matrices of n filters of d
    weights cost n^2 d. Used to begin with the largest networks.

    Examples
    --------
    >>> import cwda
    >>> round(cost_of(cwda.load("resnet20-cifar10")), 1)
    0.8
    """
    return sum(0.04 + 3e-9 * layer.n_filters**2 * layer.dim for layer in network)


def measure(network: Network, level: float) -> tuple[dict[str, bytes], str, str]:
    """The parts of all tables of one network, its verdict, and the sentence on it.

    Everything is computed on the CPU, in float64.

    Parameters
    ----------
    network : Network
        Its rows get the fingerprint in place of the name.
    level : float
        Confidence of the intervals of the conditions.
    """
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    with sharing(), torch.inference_mode():  # moments, scores and fits serve several analyses
        conditions = check(network, BUILT_IN, scale=SCALE, level=level, **options)
        options["level"] = PREDICTED_LEVEL
        measured = similarity(network, CRITERIA, **options)
        predicted = predict(network, CRITERIA, rungs=[RUNG], **options)
        discriminating = applicability(network, CRITERIA, ratio=RATIO, **options)
    rows: dict[str, tuple[Any, ...]] = {
        "layers": tuple(_facts(network)),
        "conditions": conditions.rows,
        "network_conditions": conditions.network.rows,
        "similarity": compare(measured, predicted).rows,
        "applicability": discriminating.rows,
    }
    digest = fingerprint(network)
    parts = {each.name: as_part(each, each.cells(rows[each.name], digest)) for each in MEASURED}
    (verdict,) = conditions.network.verdicts
    return parts, verdict.verdict, " ".join(verdict.sentences)


def _facts(network: Network) -> Iterator[LayerFacts]:
    last = max(len(network) - 1, 1)
    for position, layer in enumerate(network):
        yield LayerFacts(
            network=network.name,
            layer=layer.name,
            position=position,
            depth=position / last,
            n_filters=layer.n_filters,
            channels=layer.channels,
            kernel="x".join(map(str, layer.kernel)),
            kernel_size=layer.kernel_size,
            dim=layer.dim,
            n_weights=layer.n_weights,
            groups=layer.groups,
            transposed=layer.transposed,
            batchnorm=layer.batchnorm is not None,
            dead_filters=int((~torch.as_tensor(layer.weight != 0).flatten(1).any(1)).sum()),
            transition=is_transition(layer),
        )
