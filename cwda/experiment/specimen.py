"""The network of an experiment: whether data fit it, which layers are pruned, and its scores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from cwda.arguments import choose
from cwda.choices import Scope
from cwda.coupling import Coupling, couple
from cwda.errors import CwdaError, DataError, reason_of
from cwda.experiment.trials import Scores
from cwda.models.data import ImageData, Images
from cwda.models.evaluate import accuracy, evaluation_mode
from cwda.models.loop import Precision, autocast
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import resolve
from cwda.scoring.scores import score_network
from cwda.tracing.copies import channels_last, effective

__all__ = ["Scope", "Specimen", "pruned_layers", "require_fitting", "weights_digest"]


#: Test images that go through the network at a time.
_BATCH = 500


@dataclass(frozen=True, eq=False)
class Specimen:
    """A network with the images it is tested on.

    Attributes
    ----------
    model : nn.Module
        A copy on the device of the experiment, in evaluation mode, with weights as they are used.
    coupling : Coupling
        Which of its filters are tied.
    layers : frozenset of str
        The convolutions that are pruned.
    test : Images
        Accuracies are measured on these.
    precision : {"float32", "mixed"}
        Precision in which accuracies are computed.
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
    ) -> Specimen:
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
        require_fitting(model, data)
        replica = effective(model)
        coupling = couple(replica, (1, *data.x_test.shape[1:]))
        replica.to(device)
        channels_last(replica)
        return cls(replica, coupling, pruned_layers(coupling, scope), test, precision)

    def accuracy(self, model: nn.Module) -> float:
        """Accuracy of the model, or of a pruned copy, in percent."""
        device = next(model.parameters()).device
        with autocast(device, self.precision):
            return accuracy(model, self.test, batch_size=_BATCH, device=device)

    def scores(self, criteria: Sequence[str], calibration: Images, seed: int) -> dict[str, Scores]:
        """Scores of several criteria, with one pass over the calibration images."""
        resolved = resolve(criteria)
        device = next(self.model.parameters()).device
        network, statistics = prepare(
            self.model, resolved, data=calibration, batch_size=128, device=device
        )
        scores: dict[str, dict[str, tuple[float, ...]]] = {name: {} for name in criteria}
        reasons: dict[str, dict[str, str]] = {name: {} for name in criteria}
        for scored in score_network(network, resolved, device, statistics.layers):
            layer = scored.layer.name
            if layer not in self.layers:
                continue
            for name, values, reason in zip(criteria, scored.values, scored.reasons, strict=True):
                if reason:
                    reasons[name][layer] = reason
                else:
                    row = _random(layer, len(values), seed) if name == RANDOM else values
                    scores[name][layer] = tuple(row.tolist())
        return {name: Scores(scores[name], reasons[name]) for name in criteria}


def _random(layer: str, n: int, seed: int) -> Tensor:
    """Scores that differ from seed to seed, unlike those of the criterion `random`."""
    digest = hashlib.sha256(f"{seed} {layer}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.rand(n, generator=generator, dtype=torch.float64)


def pruned_layers(coupling: Coupling, scope: Scope) -> frozenset[str]:
    """The convolutions that are pruned.

    Raises
    ------
    CwdaError
        If there is none.
    """
    choose([scope], get_args(Scope), "scope")
    if scope == "all":
        return frozenset(coupling.filters)
    free = {group[0] for group in coupling.groups if len(group) == 1}
    free = {layer for layer in free if not coupling.reason(layer)}
    if not free:
        raise CwdaError(
            f"every convolution of {coupling.network} shares its filters with others, such as in a "
            "residual sum; take scope 'all', which prunes tied filters together"
        )
    return frozenset(free)


def require_fitting(model: nn.Module, data: ImageData) -> None:
    """Refuse images and classes that the model does not take.

    Raises
    ------
    DataError
        If there are such.
    """
    channels = data.x_test.shape[1]
    first = next((part for part in model.modules() if isinstance(part, _ConvNd)), None)
    if first is not None and first.in_channels != channels:
        raise DataError(
            f"the model takes images with {first.in_channels} channels, the data have {channels}"
        )
    like = next(model.parameters(), torch.empty(0))  # its device and type
    x, _ = next(Images(data.x_test[:1], data.y_test[:1], data.mean, data.std).batches(1))
    with evaluation_mode(model), torch.inference_mode():
        try:
            outputs = model(x.to(like))
        except RuntimeError as error:
            shape = tuple(x.shape[1:])
            reason = reason_of(error, 120)
            raise DataError(f"the model does not take images of {shape} ({reason})") from error
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        raise DataError("the model does not give a row of class scores for each image")
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
