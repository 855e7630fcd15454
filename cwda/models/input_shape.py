"""The shape of the images that a network was made for, as far as its library tells."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

__all__ = ["usual_input_shape"]

_SIDE = {"cwda": 32, "torchvision": 224}
_INCEPTION = "torchvision.models.inception"
_VIDEO_RESNET = "torchvision.models.video.resnet"


def usual_input_shape(model: nn.Module) -> tuple[int, ...] | None:
    """Shape of one image for a model of this package, of torchvision or of timm, channels first.

    Parameters
    ----------
    model : nn.Module
        What `cwda.load_model` gives.

    Returns
    -------
    tuple of int or None
        Without the batch; None for the model of any other code.

    Examples
    --------
    >>> from cwda.models import build
    >>> from cwda.models.input_shape import usual_input_shape
    >>> usual_input_shape(build("cifar_resnet20")), usual_input_shape(build("resnet18"))
    ((3, 32, 32), (3, 224, 224))
    """
    config: Any = getattr(model, "default_cfg", None)
    if isinstance(config, dict) and "input_size" in config:  # timm
        return tuple(map(int, config["input_size"]))
    module = type(model).__module__
    side = _SIDE.get(module.partition(".")[0])
    first = next((part for part in model.modules() if isinstance(part, _ConvNd)), None)
    if side is None or first is None:
        return None
    if isinstance(first, nn.Conv3d):
        side = 112 if module == _VIDEO_RESNET else side
        return first.in_channels, 16, side, side
    side = 299 if module == _INCEPTION else int(getattr(model, "image_size", side))
    return first.in_channels, side, side
