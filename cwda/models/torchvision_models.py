"""What torchvision calls its networks, and how it builds them for its own weights."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import nn

__all__ = ["as_trained", "builder_options", "is_quantized", "torchvision_names"]

# Drawing the initial weights of these two takes seconds.
_SLOW = ("googlenet", "inception_v3")
# Published weights of these were trained with a BatchNorm that adds nothing to the variance.
_WITHOUT_EPS = tuple(
    f"{name}_resnet50_fpn" for name in ("fasterrcnn", "maskrcnn", "keypointrcnn", "retinanet")
)


def _modules() -> tuple[ModuleType, ...]:
    from torchvision import models

    return models, models.detection, models.segmentation, models.video, models.optical_flow


def torchvision_names() -> list[str]:
    """Names of the networks: classification, detection, segmentation, video, optical flow."""
    from torchvision import models

    return [name for module in _modules() for name in models.list_models(module=module)]


def is_quantized(name: str) -> bool:
    """Whether torchvision has a network of that name whose weights are packed integers."""
    from torchvision import models

    return name in models.list_models(module=models.quantization)


def builder_options(name: str) -> dict[str, Any]:
    """Arguments with which a builder gives the parts that the published weights have.

    Nothing is downloaded: the weights of a backbone are left out as well.
    """
    from torchvision import models

    if name in _SLOW:
        return {"init_weights": False}
    options: dict[str, Any] = {}
    if name in (
        *models.list_models(module=models.detection),
        *models.list_models(module=models.segmentation),
    ):
        options["weights_backbone"] = None
    if name.startswith(("fcn_", "deeplabv3_")):
        options["aux_loss"] = True
    return options


def as_trained(model: nn.Module, name: str, weights: str) -> None:
    """Set what torchvision sets together with the weights of one of its networks."""
    if name in _SLOW:  # these expect another normalisation
        setattr(model, "transform_input", True)  # noqa: B010 (no attribute of Module)
    if name in _WITHOUT_EPS and weights == "COCO_V1":
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps = 0.0
