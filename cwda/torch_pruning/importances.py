"""A criterion of this package as an importance of Torch-Pruning."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from cwda.arguments import require_type
from cwda.errors import CriterionError
from cwda.models.batches import Data
from cwda.scoring.registry import Criterion, resolve
from cwda.scoring.statistics.collected import Collected
from cwda.torch_pruning.library import require_torch_pruning
from cwda.typing import Device

if TYPE_CHECKING:
    from cwda.torch_pruning.group_importance import GroupImportance

__all__ = ["importance"]


def importance(
    criterion: str | Criterion,
    *,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    group_reduction: str = "mean",
    normalizer: str | Callable[[Tensor], Tensor] | None = "mean",
) -> GroupImportance:
    """A criterion as an importance of Torch-Pruning, for the ``importance`` of its pruners.

    For a group of coupled channels i it gives reduce_l s_l(i), over the layers l of the group that
    produce the channels; s_l are the scores of the filters of l among all filters of l, as
    `cwda.scores` gives them. A larger score is more important. Layers that read the channels
    do not count, nor do norms: the criterion is one quantity.

    Parameters
    ----------
    criterion : str or Criterion
        A name in `cwda.criteria()`, or a criterion.
    data : Images, ImageData, tensors, iterable of batches or Collected
        What a criterion that needs activations or gradients runs the model on. The pass is made,
        on the model as it then is, when its first group is scored, and again when a layer is
        scored a second time, as in the next step of a pruner; so an iterable must start anew each
        time. The result of `cwda.scoring.collect` is taken as it is and serves one step.
    batch_size : int
        Images per batch where `data` is not in batches already.
    device : str or torch.device
        Where to compute, in float64; "auto" is CUDA where there is one.
    group_reduction, normalizer : str, callable or None
        How layers are reduced and groups normalised, as in Torch-Pruning's own importances:
        by default the mean over layers, divided by the group's mean.

    Returns
    -------
    torch_pruning.importance.Importance
        From a group to float32 scores, one per channel. For a group without scores, such as one
        without BatchNorm by ``bn_gamma``, it gives None, which a pruner leaves as it is, and
        a `RuntimeWarning` says why. Linear layers are scored like 1 x 1 convolutions by
        criteria of the weights alone; depthwise convolutions follow their inputs.

    Raises
    ------
    CwdaError
        If Torch-Pruning is not installed.
    CriterionError
        If the criterion is unknown, or not just one is given.

    Examples
    --------
    >>> import cwda, torch
    >>> import torch_pruning as tp
    >>> model = cwda.load_model("resnet20-cifar10")
    >>> pruner = tp.pruner.BasePruner(
    ...     model,
    ...     torch.zeros(1, 3, 32, 32),
    ...     importance=cwda.importance("gm"),
    ...     pruning_ratio=0.5,
    ...     ignored_layers=[model.linear],
    ... )
    >>> pruner.step()
    >>> model.layer1[0].conv1
    Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    """
    require_torch_pruning()
    require_type(criterion, (str, Criterion), "one criterion or its name", CriterionError)
    from cwda.torch_pruning.group_importance import GroupImportance

    (resolved,) = resolve(criterion)
    return GroupImportance(
        resolved, data, batch_size, device, group_reduction=group_reduction, normalizer=normalizer
    )
