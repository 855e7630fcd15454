"""Cuts channels off the parameters of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from cwda.coupling.places import Marks, Site, Slot, kept

__all__ = ["cut"]


def cut(
    model: nn.Module,
    sites: Sequence[Site],
    slots: Sequence[Slot],
    marked: Marks,
) -> None:
    """Cut the channels marked off a model, in place, and renew the sizes that layers note."""
    parts = [*model.modules()]
    for slot in slots:
        if marked[slot.channels].any():
            _replace(model, parts, slot, kept(slot.channels, marked))
    modules = dict(model.named_modules())
    for site in sites:
        if site.layer in modules:
            _resize(modules[site.layer], site, marked)


def _replace(model: nn.Module, parts: Iterable[nn.Module], slot: Slot, index: Tensor) -> None:
    """Put a tensor without what is cut into all parts that hold it."""
    owner, _, attribute = slot.name.rpartition(".")
    old = getattr(model.get_submodule(owner), attribute)
    new = old.detach().index_select(slot.axis, index.to(old.device)).clone()
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    for part in parts:
        for table in (part._parameters, part._buffers):
            for name, held in table.items():
                if held is old:
                    table[name] = new


def _resize(module: nn.Module, site: Site, marked: Marks) -> None:
    rows = int((~marked[site.rows]).sum())
    columns = rows if site.columns is None else int((~marked[site.columns]).sum())
    if isinstance(module, _ConvNd):
        if site.columns is None:  # depthwise, with as many filters for each channel as before
            columns = rows * module.groups // module.out_channels
            module.groups = columns
        module.in_channels, module.out_channels = columns, rows
    elif isinstance(module, nn.Linear):
        module.in_features, module.out_features = columns, rows
    elif isinstance(module, _BatchNorm | _InstanceNorm):
        module.num_features = rows
    elif isinstance(module, nn.PReLU) and module.num_parameters > 1:
        module.num_parameters = rows
