"""The network of an experiment: whether data fit it, which layers are pruned, and its scores."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from cwda.coupling import Coupling, couple
from cwda.errors import CwdaError, DataError
from cwda.experiment.finetune import Precision, autocast
from cwda.models.data import ImageData, Images
from cwda.models.evaluate import accuracy, evaluation_mode
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import resolve
from cwda.scoring.scores import score_network

__all__ = ["Scope", "Scores", "Subject", "data_digest", "weights_digest"]

Scope = Literal["free", "all"]

#: By layer: the scores of its filters, or why it has none.
Scores = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network with the images it is tested on.

    Attributes
    ----------
    model : nn.Module
        A copy on the device of the experiment, in evaluation mode.
    coupling : Coupling
        Which of its filters are tied.
    layers : frozenset of str
        The convolutions that are pruned.
    test : Images
        What accuracies are measured on.
    precision : {"float32", "mixed"}
        In which accuracies are computed.
    """

    model: nn.Module
    coupling: Coupling
    layers: frozenset[str]
    test: Images
    precision: Precision

    @classmethod
    def of(
        cls,
        model: nn.Module,
        data: ImageData,
        test: Images,
        scope: Scope,
        precision: Precision,
        device: torch.device,
    ) -> Subject:
        """A copy of a model, once the data are known to fit it.

        Raises
        ------
        DataError
            If channels or classes differ.
        CwdaError
            If there is no convolution to prune.
        TracingError
            If the graph of the model cannot be traced.
        """
        _require_fitting(model, data)
        coupling = couple(model, (1, *data.x_test.shape[1:]))
        replica = copy.deepcopy(model).to(device).to(memory_format=torch.channels_last).eval()
        return cls(replica, coupling, _layers(coupling, scope), test, precision)

    def accuracy(self, model: nn.Module, on_images: Callable[[int], None]) -> float:
        """Accuracy of the model, or of a pruned copy, in percent."""

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for x, y in self.test.batches(500):
                yield x, y
                on_images(len(x))

        with autocast(next(model.parameters()).device, self.precision):
            return accuracy(model, batches())

    def scores(self, criteria: Sequence[str], calibration: Images, seed: int) -> dict[str, Scores]:
        """Scores of several criteria, with one pass over the calibration images."""
        found = resolve(criteria)
        device = next(self.model.parameters()).device
        network, statistics = prepare(
            self.model, found, data=calibration, batch_size=128, device=device
        )
        scores: dict[str, Scores] = {name: {"scores": {}, "reasons": {}} for name in criteria}
        for each in score_network(network, found, device, statistics):
            layer = each.layer.name
            if layer not in self.layers:
                continue
            for name, values, reason in zip(criteria, each.values, each.reasons, strict=True):
                if reason:
                    scores[name]["reasons"][layer] = reason
                else:
                    row = _random(layer, len(values), seed) if name == "random" else values
                    scores[name]["scores"][layer] = row.tolist()
        return scores


def _random(layer: str, n: int, seed: int) -> Tensor:
    """Scores that differ from seed to seed, as those of the criterion `random` do not."""
    digest = hashlib.sha256(f"{seed} {layer}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.rand(n, generator=generator, dtype=torch.float64)


def _layers(coupling: Coupling, scope: Scope) -> frozenset[str]:
    if scope not in ("free", "all"):
        raise CwdaError(f"the scope is 'free' or 'all', not {scope!r}")
    if scope == "all":
        return frozenset(coupling.filters)
    free = {group[0] for group in coupling.groups if len(group) == 1}
    free = {layer for layer in free if not coupling.reason(layer)}
    if not free:
        raise CwdaError(
            f"every convolution of {coupling.network} shares its filters with others, as in a "
            "residual sum; take scope 'all', which prunes tied filters together"
        )
    return frozenset(free)


def _require_fitting(model: nn.Module, data: ImageData) -> None:
    """Refuse images and classes that the model does not take."""
    channels = data.x_test.shape[1]
    first = next((part for part in model.modules() if isinstance(part, _ConvNd)), None)
    if first is not None and first.in_channels != channels:
        raise DataError(
            f"the model takes images with {first.in_channels} channels, the data have {channels}"
        )
    where = next(model.parameters(), torch.empty(0))
    x, _ = next(Images(data.x_test[:1], data.y_test[:1], data.mean, data.std).batches(1))
    with evaluation_mode(model), torch.inference_mode():
        try:
            outputs = model(x.to(where))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"the model does not take images of {tuple(x.shape[1:])} ({reason})"
            ) from error
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        raise DataError("the model gives no row of class scores for each image")
    classes = max(data.num_classes, int(data.y_test.max()) + 1)
    if outputs.shape[1] != classes:
        raise DataError(f"the model has {outputs.shape[1]} classes, the data have {classes}")


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of all parameters and buffers with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def data_digest(data: ImageData) -> str:
    """SHA-256 of images, labels and normalisation."""
    digest = hashlib.sha256(f"{data.mean} {data.std}".encode())
    for value in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(f"{tuple(value.shape)} ".encode())
        digest.update(value.contiguous().numpy().data)
    return digest.hexdigest()
