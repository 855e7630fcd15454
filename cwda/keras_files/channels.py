"""What the channels of all layers tell of those whose kind a Keras file leaves open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cwda.containers.layout import Layout
from cwda.keras_files.guess import says_depthwise
from cwda.keras_files.kernels import Kernel
from cwda.keras_files.layers import StoredLayer

__all__ = ["only_as_transposed", "settle_by_channels"]

#: Most different numbers of channels; networks have a few dozen.
_MOST_SIZES = 200


@dataclass
class _Channels:
    """Numbers of channels that the layers take and give, and the kernels that are unclear."""

    inputs: Counter[int] = field(default_factory=Counter)
    outputs: Counter[int] = field(default_factory=Counter)
    sides: list[tuple[StoredLayer, int, tuple[int, int, int]]] = field(default_factory=list)
    singles: list[tuple[StoredLayer, int, int]] = field(default_factory=list)


def settle_by_channels(layers: Iterable[StoredLayer], layout: Layout) -> None:
    """Settle transposed kernels, and those that see one channel, where nothing else does."""
    channels = _Channels()
    for layer in layers:
        _count(layer, layout, channels)
    if max(len(channels.inputs), len(channels.outputs)) > _MOST_SIZES:
        return
    for layer, index, (first, last, smallest) in channels.sides:
        inputs, outputs = channels.inputs - Counter([first]), channels.outputs - Counter([last])
        if only_as_transposed(first, last, inputs, outputs, even=smallest % 2 == 0):
            note = "taken for transposed, because only so its channels fit the other layers'"
            changed = replace(layer.kernels[index], role="transposed", groups=1, assumption=note)
            layer.kernels[index] = replace(changed, open=False)
    _settle_singles(channels)


def only_as_transposed(
    first: int, last: int, inputs: Iterable[int], outputs: Iterable[int], *, even: bool
) -> bool:
    """Whether a kernel's channels fit the other layers' only as a transposed one.

    `first` and `last` are its two last axes, `inputs` and `outputs` the channels of the other
    layers. As an ordinary kernel it would need channels that no layer and no two layers put
    together give, and would give channels that no layer takes. Groups would explain that as
    well, but hardly with a kernel of `even` length.

    Examples
    --------
    >>> only_as_transposed(16, 32, inputs=[3, 16], outputs=[32, 1], even=True)
    True
    """
    inputs, outputs = set(inputs), set(outputs)
    sums = any(first - size in outputs for size in outputs)
    grouped = not even and any(size % first == 0 for size in outputs)
    ordinary = first in outputs or sums or grouped or first <= 4 or last in inputs - {first}
    return not ordinary and last in outputs and first in inputs


def _settle_singles(channels: _Channels) -> None:
    """Groups of convolutions whose filters see one channel.

    Such a layer sees a grey image, or it is depthwise, written with as many groups as filters.
    """
    depthwise = "depthwise (groups = channels), because a filter sees one channel"
    alone = len(channels.singles) == 1
    for layer, index, filters in channels.singles:
        if says_depthwise(layer.place.words):
            groups, note = filters, f"{depthwise} and its name says so"
        elif alone and layer.path[-1:] != ("vars",):
            continue  # the file states the layers' order, and so which is the first
        elif alone:
            groups, note = 1, "groups = 1, because no other layer's filters see one channel"
        elif channels.outputs[1]:
            groups, note = 1, "groups = 1, because a filter sees one channel and a layer gives one"
        elif channels.outputs[filters]:
            groups, note = filters, depthwise
        else:
            groups, note = 1, "groups = 1, because no layer gives as many channels as filters"
        kernel = layer.kernels[index]
        notes = "; ".join(filter(None, (kernel.assumption, note)))
        layer.kernels[index] = replace(kernel, groups=groups, assumption=notes)


def _count(layer: StoredLayer, layout: Layout, channels: _Channels) -> None:
    for index, variable in enumerate(layer.variables(layout)):
        kernel = layer.kernels.get(index)
        if 0 in variable.shape:  # an empty array tells nothing
            continue
        if kernel is None or not kernel.role:
            if len(variable.shape) == 2 and index == 0:
                channels.inputs[variable.shape[0]] += 1
                channels.outputs[variable.shape[1]] += 1
            continue
        *kernel_axes, first, last = variable.shape
        if kernel.role == "conv" and kernel.groups is None and first == 1 and last > 1:
            channels.singles.append((layer, index, last))
            continue
        _count_kernel(kernel, first, last, channels)
        if kernel.open and first != last and not layout.first:
            channels.sides.append((layer, index, (first, last, min(kernel_axes))))


def _count_kernel(kernel: Kernel, first: int, last: int, channels: _Channels) -> None:
    turned, depthwise = kernel.role == "transposed", kernel.role == "depthwise"
    channels.inputs[last if turned else first] += 1
    channels.outputs[first * last if depthwise else first if turned else last] += 1
