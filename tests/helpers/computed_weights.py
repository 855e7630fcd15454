"""Small networks whose weights are computed before each forward pass, in all ways of torch."""

from __future__ import annotations

import random
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

CLASSES = 4
IMAGE = (1, 3, 8, 8)


def _masked(layer):
    prune.random_unstructured(layer, "weight", 0.5)
    prune.l1_unstructured(layer, "weight", 0.2)
    prune.random_unstructured(layer, "bias", 0.3)


def _chain(layer):
    class Halved(nn.Module):
        def forward(self, x):
            return x / 2

    parametrizations.weight_norm(layer)
    parametrize.register_parametrization(layer, "weight", Halved())
    parametrize.register_parametrization(layer, "bias", Halved())


#: How a layer computes its weight, by name.
WAYS = {
    "plain": lambda layer: None,
    "prune": _masked,
    "old weight norm": nn.utils.weight_norm,
    "old spectral norm": nn.utils.spectral_norm,
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "chain": _chain,
}


def network(way, seed=0):
    """A network whose last convolution and head compute their weights."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch recommends parametrisations instead
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, CLASSES),
        )  # fmt: skip
        nn.init.normal_(model[3].bias)
        for place in (5, 9):
            WAYS[way](model[place])
    return model.eval()


def stored(model):
    """The same network with the computed weights as plain parameters, made from scratch."""
    twin = network("plain")
    with torch.no_grad():
        model.eval()(images()[0])  # hooks compute their weights now
        for one, other in zip(twin, model, strict=True):
            for name in ("weight", "bias", "running_mean", "running_var"):
                if getattr(one, name, None) is not None:
                    getattr(one, name).copy_(getattr(other, name))
    return twin


def images(n=32):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, *IMAGE[1:], generator=generator)
    return x, torch.randint(CLASSES, (n,), generator=generator)


def state_of(model):
    """All of a model and of the process that a function must leave as it was."""
    parts = list(model.modules())
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {
        "classes": [type(part) for part in parts],
        "of classes": [{*vars(type(part))} - {"__slotnames__"} for part in parts],
        "modes": [part.training for part in parts],
        "hooks": [(len(part._forward_pre_hooks), len(part._forward_hooks)) for part in parts],
        "attributes": [
            {k: id(v) for k, v in vars(part).items() if k != "training"} for part in parts
        ],
        "tensors": [(name, id(tensor)) for name, tensor in tensors],
        "asking": [tensor.requires_grad for _, tensor in tensors],
        "values": [tensor.detach().numpy().copy() for _, tensor in tensors],
        "gradients": [
            None if tensor.grad is None else (id(tensor.grad), tensor.grad.numpy().copy())
            for _, tensor in tensors
        ],
        "random": (torch.get_rng_state().numpy(), random.getstate(), np.random.get_state()),  # noqa: NPY002
        "contexts": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_default_dtype(),
            torch.backends.cudnn.allow_tf32,
        ),
    }
