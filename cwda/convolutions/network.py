"""Choose the convolutions among a source's tensors and settle groups and transposition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from cwda.containers.names import split_leaf
from cwda.containers.tensors import Content, NamedTensor
from cwda.convolutions.adapters import add_adapters
from cwda.convolutions.attention import not_convolutions
from cwda.convolutions.axes.arrange import arrange
from cwda.convolutions.conventions import usual_names
from cwda.convolutions.copies.copies import kept_averages, merge_names, split_copies
from cwda.convolutions.depthwise import groups_of_single_channels
from cwda.convolutions.names import layer_names
from cwda.convolutions.norms.batchnorms import batchnorms_of
from cwda.convolutions.options import Options
from cwda.convolutions.parametrised import combine
from cwda.convolutions.positions import with_positions
from cwda.convolutions.recognise import UNNAMED, why_not
from cwda.convolutions.scales import along_axes, apply_scales
from cwda.convolutions.stacked import without_stacks
from cwda.errors import SourceError, UnreadableError
from cwda.formatting import every
from cwda.layers import ConvLayer, Network, Provenance, Skipped, matches, turn

__all__ = ["network_from"]

#: Most convolutions of a network, and most bytes that they may have beyond their file's, for
#: instance where it is compressed or where weights are tied.
MAX_LAYERS, MAX_REPEATED = 20_000, 1 << 29


#: What PyTorch and Keras call the running variance of BatchNorm.
_RUNNING_VARIANCES = {"running_var", "moving_variance"}


def network_from(content: Content, name: str, provenance: Provenance, options: Options) -> Network:
    """The network of a source's convolutions.

    Raises
    ------
    UnreadableError
        If there is no convolution among the tensors.
    SourceError
        If an option names nothing that exists.
    """
    skipped = list(content.skipped)
    tensors = _under_key(content.tensors, options.weights_key, skipped)
    tensors = add_adapters(apply_scales(combine(usual_names(tensors))))
    tensors = without_stacks(with_positions(tensors), options.layout)
    weights = _convolutions(tensors, skipped, content.format, options.weights_key or "")
    if not weights:
        raise UnreadableError(_nothing(content, skipped))
    _require_size(weights, content.stored)
    names = layer_names(weights)
    _check_patterns(names, options)
    by_user = [matches(name, options.transposed) for name in names]
    weights = arrange(weights, names, tensors, options.layout, by_user, content.format)
    weights = along_axes(weights, by_user)
    refused = [t for t in weights if t.reason]
    if refused:
        skipped += [Skipped(t.path, t.shape, t.reason) for t in refused]
        names = [name for name, t in zip(names, weights, strict=True) if not t.reason]
        weights = [t for t in weights if not t.reason]
    if not weights:
        raise UnreadableError(_nothing(content, skipped))
    guesses = groups_of_single_channels(weights, tensors)
    settled, notes = _settle(weights, names, options, guesses)
    layers = _with_batchnorms(
        [
            _layer(tensor, name, *kind)
            for tensor, name, kind in zip(weights, names, settled, strict=True)
        ],
        weights,
        content.tensors,
    )
    notes += kept_averages(weights, content.format)
    assumptions = (*content.assumptions, *notes)
    batchnorm = any(split_leaf(t.name)[1] in _RUNNING_VARIANCES for t in tensors)
    return Network(name, layers, provenance, tuple(skipped), assumptions, batchnorm)


def _require_size(weights: list[NamedTensor], stored: int) -> None:
    """Refuse sources whose tensors repeat one another without end."""
    if len(weights) > MAX_LAYERS:
        raise UnreadableError(
            f"{len(weights):,} convolutions, more than {MAX_LAYERS:,}; give a part of the network"
        )
    needed = sum(math.prod(t.shape) * (t.dtype.itemsize if t.dtype else 1) for t in weights)
    if stored and needed > stored + MAX_REPEATED:
        raise UnreadableError(
            f"its convolutions take {needed:,} bytes, the file {stored:,}: the same data are "
            "used again and again; save the state dict alone"
        )


def _under_key(
    tensors: list[NamedTensor], key: str | None, skipped: list[Skipped]
) -> list[NamedTensor]:
    if key is None:
        return tensors
    inside = [tensor for tensor in tensors if tensor.path.startswith(f"{key}.")]
    if not inside:
        tops = dict.fromkeys(tensor.path.partition(".")[0] for tensor in tensors)
        raise SourceError(
            f"weights_key {key!r} leads to no tensor; the source has: {', '.join(list(tops)[:8])}"
        )
    kept = {id(tensor) for tensor in inside}
    skipped += [
        Skipped(tensor.path, tensor.shape, f"outside weights_key {key!r}")
        for tensor in tensors
        if id(tensor) not in kept and len(tensor.shape) >= 3
    ]
    return inside


def _convolutions(
    tensors: list[NamedTensor], skipped: list[Skipped], format: str, key: str
) -> list[NamedTensor]:
    """The convolution weights in order; other tensors of 3 axes or more go to `skipped`."""
    biases = {split_leaf(t.path)[0]: t for t in tensors if split_leaf(t.name)[1] in ("bias", "b")}
    others = not_convolutions(tensors)
    weights: list[NamedTensor] = []
    left_out: list[Skipped] = []
    for tensor in tensors:
        if len(tensor.shape) < 3:
            continue
        reason = why_not(tensor, biases.get(split_leaf(tensor.path)[0]), key)
        reason = reason or others.get(id(tensor), "")
        if reason:
            left_out.append(Skipped(tensor.path, tensor.shape, reason))
        else:
            weights.append(tensor)
    weights, copies = split_copies(weights, format)
    left_out += [Skipped(t.path, t.shape, reason) for t, reason in copies]
    skipped += left_out
    return merge_names(weights)


def _settle(
    weights: list[NamedTensor],
    names: list[str],
    options: Options,
    guesses: list[tuple[int, str]],
) -> tuple[list[tuple[int, bool]], list[str]]:
    """Groups and transposition of each layer, and in words what was assumed."""
    settled: list[tuple[int, bool]] = []
    notes: dict[str, list[str]] = {}
    for tensor, name, guess in zip(weights, names, guesses, strict=True):
        kind, assumed = _settle_one(tensor, name, options, guess)
        for note in filter(None, (*tensor.assumption.split("; "), *assumed)):
            notes.setdefault(note, []).append(name)
        settled.append(kind)
    lines = [_note(text, layers, len(names)) for text, layers in notes.items()]
    return settled, lines + _aliases(weights, names)


def _aliases(weights: list[NamedTensor], names: list[str]) -> list[str]:
    """In words which layers have several names."""
    several = [(n, t.also) for t, n in zip(weights, names, strict=True) if t.also]
    if not several:
        return []
    shown = "; ".join(
        f"{name} also as {', '.join(path.removesuffix('.weight') for path in also[:3])}"
        + (", ..." if len(also) > 3 else "")
        for name, also in several[:8]
    ) + ("; ..." if len(several) > 8 else "")
    return [f"one tensor under several names is one layer: {shown}"]


def _settle_one(
    tensor: NamedTensor, name: str, options: Options, guess: tuple[int, str]
) -> tuple[tuple[int, bool], list[str]]:
    assumed: list[str] = []
    transposed, groups = tensor.transposed, tensor.groups
    if matches(name, options.transposed):
        transposed = True
    for pattern, number in options.groups.items():
        if matches(name, pattern):
            groups = number
    if transposed is None:
        transposed = False
        assumed.append("not transposed: the source does not say")
    if groups is None:
        groups, why = guess
        assumed.append(why or "groups = 1: the source does not say")
    if groups < 1 or tensor.shape[0] % groups:
        raise SourceError(
            f"layer {name!r} of shape {tensor.shape} cannot have {groups} groups; "
            "the first axis must be a multiple"
        )
    return (groups, transposed), assumed


def _check_patterns(names: list[str], options: Options) -> None:
    layout = options.layout if isinstance(options.layout, Mapping) else {}
    whole = options.transposed in names
    transposed = [options.transposed] if whole else options.transposed.split(",")
    for pattern in (*options.groups, *layout, *filter(None, map(str.strip, transposed))):
        if not any(matches(name, str(pattern)) for name in names):
            raise SourceError(
                f"no layer matches {pattern!r}; the first layers are {', '.join(names[:4])}"
            )


def _note(text: str, layers: list[str], total: int) -> str:
    if len(layers) == total:
        return f"{every(total, 'layer') if total > 1 else 'the layer'}: {text}"
    shown = ", ".join(layers[:3]) + (", ..." if len(layers) > 3 else "")
    return f"{len(layers)} of {total} layers ({shown}): {text}"


def _layer(tensor: NamedTensor, name: str, groups: int, transposed: bool) -> ConvLayer:
    weight = tensor.read()
    if weight.is_floating_point() and weight.dtype.itemsize == 1:
        weight = weight.to(torch.float32)  # numpy has no 8-bit floats; float32 holds them exactly
    if transposed:
        weight = turn(weight, groups)
    return ConvLayer(name, weight, groups, transposed)


def _with_batchnorms(
    layers: list[ConvLayer], weights: list[NamedTensor], tensors: list[NamedTensor]
) -> tuple[ConvLayer, ...]:
    """The layers with the BatchNorms that the source leaves no doubt of."""
    sizes = [(layer.n_filters, layer.channels * layer.groups) for layer in layers]
    found = batchnorms_of(weights, sizes, tensors)
    return tuple(
        replace(layer, batchnorm=norm, no_batchnorm=reason)
        for layer, (norm, reason) in zip(layers, found, strict=True)
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _tells(entry: Skipped) -> tuple[bool, int]:
    """How much the reason of a tensor says about a source: that of its largest the most."""
    return not entry.reason.startswith("outside weights_key"), math.prod(entry.shape)


def _nothing(content: Content, skipped: list[Skipped]) -> str:
    """Why there is no layer, in one line."""
    if not content.tensors and not skipped:
        return f"this {content.format} holds no tensors; give a file with trained weights"
    if skipped:
        first = max(skipped, key=_tells)
        shape = " x ".join(map(str, first.shape))
        told = f"{first.name} ({shape}): {first.reason}"
        if first.reason == UNNAMED:
            told += "; rename its key, or test the array itself in Python by cwda.check"
        if len(skipped) == 1:
            return f"no convolution: the only tensor of 3 axes or more was left out, {told}"
        return (
            f"no convolution: {every(len(skipped), 'tensor')} of 3 axes or more were left out, "
            f"such as {told}"
        )
    largest = max(content.tensors, key=lambda tensor: math.prod(tensor.shape))
    return (
        f"no convolution among {_count(len(content.tensors), 'tensor')} (a convolution's weight "
        f"has 3 to 5 axes; the largest here is {largest.path} of shape {largest.shape}); linear "
        "layers are not tested"
    )
