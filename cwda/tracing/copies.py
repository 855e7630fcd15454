"""Copies of a model to run and to change, which share no tensor and no class with it.

PyTorch gives a parametrised module a class of its own, which a deep copy shares: whoever takes the
parametrisation from the copy takes it from the model too. Hooks such as those of
`torch.nn.utils.prune` keep a tensor that is computed anew before each forward pass, and that
cannot be copied once it has a gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from cwda.errors import TracingError

__all__ = ["channels_last", "duplicate", "effective", "first_line", "plain_weight"]

Model = TypeVar("Model", bound=nn.Module)

#: Kinds of hooks that compute a tensor of their module, the endings of the names of what they
#: compute it from, and what takes them away.
_COMPUTING: tuple[tuple[type, tuple[str, ...], str], ...] = (
    (prune.BasePruningMethod, ("orig", "mask"), 'prune.remove(module, "{}")'),
    (WeightNorm, ("g", "v"), 'remove_weight_norm(module, "{}")'),
    (SpectralNorm, ("orig", "u", "v"), 'remove_spectral_norm(module, "{}")'),
)


def duplicate(model: Model) -> Model:
    """A copy of a model, also where it keeps results of its last forward pass.

    Raises
    ------
    TracingError
        If something in it cannot be copied.
    """
    for name, value in model.named_parameters():
        if isinstance(value, nn.parameter.UninitializedParameter):
            raise TracingError(
                f"{name} of {type(model).__name__} has no size yet; run the model once on an input"
            )
    memo = {
        id(value): value.detach().clone()
        for part in model.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        with torch.no_grad():  # tensors of TorchScript would be results of the original's
            twin = copy.deepcopy(model, memo)
    except Exception as error:  # whatever a part of the model cannot do
        raise TracingError(
            f"{type(model).__name__} cannot be copied ({first_line(error)})"
        ) from error
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        other.requires_grad_(own.requires_grad)
    return twin


def effective(model: Model) -> Model:
    """A copy in evaluation mode that has each computed tensor as a parameter of its own.

    Masks of `torch.nn.utils.prune`, weight norm and spectral norm, as hooks or parametrisations,
    and all other parametrisations are gone; the copy computes what the model computes in
    evaluation mode. Other hooks stay.

    Raises
    ------
    TracingError
        If something in the model cannot be copied, or a tensor cannot be computed.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.utils.parametrizations import weight_norm
    >>> model = weight_norm(torch.nn.Conv2d(3, 4, 1))
    >>> [name for name, _ in model.named_parameters()][1:]
    ['parametrizations.weight.original0', 'parametrizations.weight.original1']
    >>> [name for name, _ in effective(model).named_parameters()]
    ['bias', 'weight']
    """
    twin = duplicate(model).eval()
    with torch.no_grad():
        for path, part in twin.named_modules():
            try:
                _without_parametrisations(part)
                _without_hooks(part)
            except Exception as error:  # code of the user computes them
                raise TracingError(
                    f"a weight of {path or type(model).__name__} cannot be computed "
                    f"({first_line(error)})"
                ) from error
    return twin


def channels_last(model: nn.Module) -> None:
    """Lay weights of two-dimensional convolutions out with their channels last, in place."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim == 4:  # PyTorch would take those of three dimensions too, and refuse
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


def plain_weight(part: nn.Module, name: str = "weight") -> str:
    """How a computed tensor of a module becomes one that is stored; empty where it is not known.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.utils import prune
    >>> plain_weight(prune.identity(torch.nn.Conv2d(3, 4, 1), "weight"))
    'prune.remove(module, "weight")'
    """
    if is_parametrized(part, name):
        return f'parametrize.remove_parametrizations(module, "{name}")'
    words = [words for _, computed, _, words in _hooks(part) if computed == name]
    return words[0].format(name) if words else ""


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its class."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _without_parametrisations(part: nn.Module) -> None:
    if not is_parametrized(part):
        return
    computing: Any = part.parametrizations
    values = {
        name: _own(each(), any(origin.requires_grad for origin in each.parameters(recurse=False)))
        for name, each in computing.items()
    }
    trained = {name for name, each in computing.items() if [*each.parameters(recurse=False)]}
    del part.parametrizations
    # The class that PyTorch made is the model's as well: it stays as it is.
    part.__class__ = type(part).__bases__[0]
    for name, value in values.items():
        _store(part, name, value, trained=name in trained)


def _without_hooks(part: nn.Module) -> None:
    found = [*_hooks(part)]
    hooks = vars(part).get("_forward_pre_hooks", {})
    for key, *_ in found:
        hooks[key](part, None)  # in the order of a forward pass
    values = {name: getattr(part, name) for _, name, _, _ in found}
    sources = {source for _, _, names, _ in found for source in names}
    origins = [
        each for name, each in part._parameters.items() if name in sources and each is not None
    ]
    asks = any(each.requires_grad for each in origins)
    for key, *_ in found:
        part._forward_pre_hooks.pop(key)
    for source in sources:
        for table in (part._parameters, part._buffers, vars(part)):
            table.pop(source, None)
    for name, value in values.items():
        if name not in sources:
            vars(part).pop(name, None)
            _store(part, name, _own(value, asks), trained=bool(origins))
    if found:
        _forget_state_hooks(part)


def _hooks(part: nn.Module) -> Iterator[tuple[int, str, tuple[str, ...], str]]:
    """The keys of known hooks, what they compute, from what, and what takes them away."""
    for key, hook in vars(part).get("_forward_pre_hooks", {}).items():
        for kind, endings, words in _COMPUTING:
            if isinstance(hook, kind):
                name: str = vars(hook).get("_tensor_name") or vars(hook)["name"]
                yield key, name, tuple(f"{name}_{ending}" for ending in endings), words


def _forget_state_hooks(part: nn.Module) -> None:
    """Spectral norm reads and writes state dicts of its own."""
    for hooks in (part._state_dict_hooks, part._load_state_dict_pre_hooks):
        for key, hook in [*hooks.items()]:
            inner = getattr(hook, "hook", hook)
            if type(inner).__module__ == SpectralNorm.__module__:
                hooks.pop(key)


def _own(value: Tensor, asks: bool) -> Tensor:
    """A tensor in memory of its own."""
    return value.detach().clone().requires_grad_(asks and value.is_floating_point())


def _store(part: nn.Module, name: str, value: Tensor, *, trained: bool) -> None:
    if trained:
        # Recurrent layers also list their weights, when they are set as attributes.
        setattr(part, name, nn.Parameter(value.detach(), value.requires_grad))
    else:
        part.register_buffer(name, value)
