"""A criterion of this package as an importance of Torch-Pruning."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from cwda.arguments import choose, require_count
from cwda.errors import CriterionError
from cwda.models.batches import Data
from cwda.numerics.device import resolve_device
from cwda.scoring.registry import Criterion, resolve
from cwda.scoring.statistics.collected import Collected
from cwda.torch_pruning.library import require_torch_pruning
from cwda.typing import Device

if TYPE_CHECKING:
    from cwda.torch_pruning.group_importance import GroupImportance

__all__ = ["importance"]

#: What Torch-Pruning's own importances offer, by its names.
_REDUCTIONS = ("mean", "sum", "max", "prod", "first")
_NORMALIZERS = ("mean", "sum", "max", "standarization", "gaussian", "lamp")


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
    group_reduction : str
        How the layers of a group are reduced, as in Torch-Pruning: ``mean``, ``sum``, ``max``,
        ``prod`` or ``first``.
    normalizer : str, callable or None
        How a group is normalised, as in Torch-Pruning: ``mean``, ``sum``, ``max``,
        ``standarization`` (its spelling), ``gaussian``, ``lamp``, a function or None.

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
        If the criterion is unknown, not just one is given, or another value is unknown.

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
    if not isinstance(criterion, str | Criterion):
        raise CriterionError(f"one criterion or its name is needed, not {criterion!r:.60}")
    require_count(batch_size, 1, "batch_size, the images per batch,", CriterionError)
    resolve_device(device)
    (reduction,) = choose([group_reduction], _REDUCTIONS, "group_reduction", CriterionError)
    if not (normalizer is None or callable(normalizer)):
        choose([normalizer], _NORMALIZERS, "normalizer", CriterionError)
    (resolved,) = resolve(criterion)
    from cwda.torch_pruning.group_importance import GroupImportance

    return GroupImportance(
        resolved, data, batch_size, device, group_reduction=reduction, normalizer=normalizer
    )
