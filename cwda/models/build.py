"""Architectures by name: built in, of torchvision and of timm."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cwda.errors import SourceError, close_names
from cwda.models.resnet import DEPTHS, FOUR_STAGES, Shortcut, cifar_resnet, cifar_resnet_4
from cwda.models.torchvision_models import builder_options, torchvision_names
from cwda.models.vgg import CONFIGURATIONS, cifar_vgg

__all__ = ["ARCHITECTURES", "build", "shapes_of"]

_SHORTCUTS: dict[str, Shortcut] = {"": "padding", "_projection": "projection", "_noshort": "none"}

#: The built-in architectures for 32 x 32 images.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    f"cifar_resnet{depth}{ending}": partial(cifar_resnet, depth, shortcut=shortcut)
    for ending, shortcut in _SHORTCUTS.items()
    for depth in DEPTHS
}
ARCHITECTURES |= {f"cifar_resnet{depth}": partial(cifar_resnet_4, depth) for depth in FOUR_STAGES}
ARCHITECTURES |= {f"cifar_vgg{depth}_bn": partial(cifar_vgg, depth) for depth in CONFIGURATIONS}


def build(name: str, num_classes: int | None = None) -> nn.Module:
    """An untrained network of a named architecture.

    Parameters
    ----------
    name : str
        A key of `ARCHITECTURES`, a name of torchvision (classification, detection,
        segmentation, video or optical flow), or ``timm:NAME``. Segmentation networks come with
        the auxiliary output that their published weights have.
    num_classes : int, optional
        Number of outputs; by default 10 for the built-in ones, else what the library says.

    Raises
    ------
    SourceError
        If nobody knows the name, or the network has no classes.

    Examples
    --------
    >>> from cwda.models import build
    >>> build("cifar_resnet56", num_classes=100).linear
    Linear(in_features=64, out_features=100, bias=True)
    """
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if name in ARCHITECTURES:
        return ARCHITECTURES[name](**options)
    # Layers draw initial weights from the global generator; its state is given back.
    with torch.random.fork_rng(devices=[]):
        if name.startswith("timm:"):
            return _timm(name.removeprefix("timm:"), options)
        return _torchvision(name, options)


@functools.cache
def shapes_of(name: str, num_classes: int | None = None) -> Mapping[str, tuple[int, ...]] | None:
    """The shape of each entry of an architecture's state dict, without making any values.

    None where a network of that name cannot be made without them, or has no such classes.

    Examples
    --------
    >>> from cwda.models.build import shapes_of
    >>> shapes_of("resnet18")["conv1.weight"]
    (64, 3, 7, 7)
    """
    for valueless in (torch.device("meta"), _Valueless()):
        try:
            with valueless:
                model = build(name, num_classes)
        except RuntimeError:  # it calculates with tensors, as RegNet does
            continue
        except (TypeError, ValueError):  # also what `build` refuses
            return None
        return {key: tuple(value.shape) for key, value in model.state_dict().items()}
    return None


class _Valueless(TorchFunctionMode):
    """Parameters and buffers that are made empty, or of one value, have no values."""

    _MAKE = (torch.empty, torch.zeros, torch.ones)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func in self._MAKE and options.get("device") is None:
            options["device"] = "meta"
        return func(*args, **options)


def _timm(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise SourceError('names of timm need timm: pip install "cwda[timm]"') from None
    if not timm.is_model(name.partition(".")[0]):
        raise SourceError(f"timm has no model {name!r}; see timm.list_models()")
    model: nn.Module = timm.create_model(name, pretrained=False, **options)
    return model


def _torchvision(name: str, options: dict[str, Any]) -> nn.Module:
    from torchvision import models

    others = torchvision_names()
    if name not in others:
        close = close_names(name, [*ARCHITECTURES, *others], most=2)
        hint = f"did you mean {' or '.join(close or list(ARCHITECTURES)[:3])}?"
        raise SourceError(f"no architecture {name!r}; {hint}")
    if options and name.startswith("raft_"):
        raise SourceError(f"{name} gives optical flow, not classes; leave num_classes out")
    model: nn.Module = models.get_model(name, weights=None, **options, **builder_options(name))
    return model
