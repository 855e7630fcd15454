"""Copies of a network in the same source: averages, settings, names of one tensor.

A name such as ``conv_avg`` or ``shadow_encoder`` may be an average's or a layer's own. The values
decide: an average lies close to the weights that it averages, other layers do not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from cwda.containers.tensors import NamedTensor
from cwda.convolutions.copies.close_values import are_close

__all__ = ["kept_averages", "merge_names", "names_average", "split_copies"]

Parts = tuple[str, ...]

AVERAGE = "a moving average (EMA, SWA); the raw weights are taken, weights_key chooses"
SETTINGS = "kept among the settings; the network's own weights are taken, weights_key chooses"
CALLBACK = "kept by a callback; the network's own weights are taken, weights_key chooses"

#: What each word for an average contains; most sources have none.
_HINT = re.compile(r"ema|swa|av(era)?g|polyak|shadow", re.IGNORECASE)
#: Parts of a path that name an average and nothing else.
_PURE = re.compile(
    r"ema|swa|averaged?|avg|ema_(teacher|target)|(teacher|target)_ema|shadow(_params|_state)?|polyak|"
    r"((exponential|moving|polyak|weight|model|running)_?)+(averag(e|es|ed|ing)|avg)|"
    r"(exponential|stochastic)_?(moving|weight)_?averag(e|ing)|ema\W.*",
    re.IGNORECASE,
)
_WORD = r"(?i:ema|swa|((exponential|moving|running|weighted)_)*(averaged?|avg)|shadow)"
#: The word for an average before or after another name.
_AFFIX = re.compile(
    rf"(?P<before>.*?)_?(?<![A-Za-z]){_WORD}_(?P<after>.+)|(?P<stem>.+?)_{_WORD}|"
    r"(?P<camel>[A-Za-z]*[a-z])(Ema|EMA|Swa|SWA|Avg)|(ema|Ema|EMA|swa|Swa|SWA)(?P<tail>[A-Z]\w*)",
)
#: Keys around a state dict, which raw and averaged weights need not have alike.
_WRAPPERS = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "model", "net", "network", "state_dict"}
    | {"model_state_dict", "model_state", "params", "weights", "state", "online_model", "online"}
    | {"raw", "callbacks", "model_weights", "named_parameters_dict"}
)
_SETTINGS = re.compile(
    r"_?(hyper_?param(eter)?s|hparams)(_initial)?|config|cfg|args|arguments|kwargs|settings|"
    r"init_args|opts?|options",
    re.IGNORECASE,
)
#: A network's name after its average has swapped places with it (Lightning's WeightAveraging).
_SWAPPED = "current_model_state"
#: Marks whole paths that are joined by ``_``.
_FLAT = "flat"
#: Sources that are networks themselves.
_PROGRAMS = ("module", "TorchScript", "torch.export")
#: How deep in a path a lone word may stand for the part that names the raw network.
_DEEPEST = 4


def split_copies(
    weights: list[NamedTensor], format: str = ""
) -> tuple[list[NamedTensor], list[tuple[NamedTensor, str]]]:
    """The network's own convolutions, and its copies with the reason why they are left out.

    A copy is only left out where the network itself is there too, and never from a network
    that the source holds as a program (`format`) rather than as named tensors.
    """
    left_out: list[tuple[NamedTensor, str]] = []
    if format in _PROGRAMS or all(tensor.origin.startswith("onnx.") for tensor in weights):
        return weights, left_out  # what a network computes with is not a copy, whatever its name

    def leave(reason: str, is_copy: Callable[[NamedTensor], bool]) -> None:
        nonlocal weights
        kept = [tensor for tensor in weights if not is_copy(tensor)]
        if kept and len(kept) < len(weights):
            left_out.extend((tensor, reason) for tensor in weights if is_copy(tensor))
            weights = kept

    leave(SETTINGS, _among_settings)
    averages = _averages(weights)
    leave(AVERAGE, lambda tensor: id(tensor) in averages)
    leave(CALLBACK, lambda tensor: "callbacks" in tensor.container)
    return weights, left_out


def kept_averages(weights: list[NamedTensor], format: str) -> list[str]:
    """A line about layers of a program that look like averages of others, and stay."""
    if format not in _PROGRAMS:
        return []
    averages = _averages(weights)
    paths = [tensor.path.removesuffix(".weight") for tensor in weights if id(tensor) in averages]
    if not paths:
        return []
    shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
    return [
        f"layers that look like moving averages of others are kept ({shown}); give the part "
        "of the network that counts"
    ]


def _among_settings(tensor: NamedTensor) -> bool:
    first = tensor.name.partition(".")[0]
    named = tensor.name.count(".") > 1 and re.fullmatch(r"_?(hparams|hyper_parameters)\w*", first)
    return bool(named) or any(map(_SETTINGS.fullmatch, tensor.container))


@dataclass(frozen=True)
class _Place:
    """A path without the words for averages and wrappers.

    `plain` is what is left; `hole` the place where a word for an average stood alone;
    `group` the path up to that word, and None for raw weights; `derived` whether the word
    was part of another name; `key` whether it was a key of a container; `flat` whether the
    word is in the tensor's own name, which may hold its whole path, joined by ``_``.
    """

    plain: Parts
    group: Parts | None = None
    hole: int = -1
    derived: bool = False
    key: bool = False
    flat: bool = False


def _place(tensor: NamedTensor, swapped: bool, common: int) -> _Place:
    """The place of a tensor; the first `common` parts of its path are those of all tensors."""
    parts = _parts(tensor)
    plain: list[str] = []
    place = _Place(())
    for index, part in enumerate(parts[:-1]):
        pure, stem = _without_average(part) if index >= common else (False, "")
        if (pure or stem or (swapped and part == "state_dict")) and place.group is None:
            key = index < len(tensor.container)
            alone = pure or (key and stem.lower() in _WRAPPERS)
            place = _Place((), parts[: index + 1], len(plain) if alone else -1, not pure, key)
        kept = (stem or part).lower()
        if not pure and kept not in _WRAPPERS and kept != _SWAPPED:
            plain.append(kept)
    leaf, group = parts[-1], place.group
    if group is None and (stem := _without_average(leaf)[1]):
        return _Place((*plain, stem), (*parts[: len(tensor.container)], ""), flat=True)
    return replace(place, plain=(*plain, leaf))


def _parts(tensor: NamedTensor) -> Parts:
    return (*tensor.container, *tensor.name.split("."))


def _common(weights: list[NamedTensor]) -> int:
    """How many of the first parts all paths have alike: those tell no tensor from another."""
    paths = [_parts(tensor)[:-1] for tensor in weights]
    first, last = min(paths), max(paths)
    return next(
        (n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other),
        min(len(first), len(last)),
    )


def names_average(part: str) -> bool:
    """Whether a part of a path says that averages (EMA, SWA) of other weights lie below.

    Examples
    --------
    >>> names_average("model_ema"), names_average("module"), names_average("avgpool")
    (True, False, False)
    """
    return any(_without_average(part))


@functools.lru_cache(maxsize=10_000)
def _without_average(part: str) -> tuple[bool, str]:
    """Whether a part names only an average, and else what is left without that word."""
    if _PURE.fullmatch(part):
        return True, ""
    match = _AFFIX.fullmatch(part)
    if not match:
        return False, ""
    named = match.groupdict()
    left = "_".join(filter(None, (named["before"], named["after"])))
    return False, (left or named["stem"] or named["camel"] or named["tail"] or "")


def _averages(weights: list[NamedTensor]) -> set[int]:
    """Averages of other weights: of the same remaining name and shape, and of close values."""
    swapped = any(_SWAPPED in tensor.container for tensor in weights)
    if not swapped and not any(_HINT.search(tensor.path) for tensor in weights):
        return set()
    common = _common(weights)
    places = [_place(tensor, swapped, common) for tensor in weights]
    if all(place.group is None for place in places):
        return set()
    raws: dict[Hashable, NamedTensor] = {}
    for tensor, place in zip(weights, places, strict=True):
        if place.group is None:
            for key in _keys(tensor, place.plain):
                raws.setdefault(key, tensor)
    groups: dict[Parts, list[tuple[NamedTensor, _Place]]] = {}
    for tensor, place in zip(weights, places, strict=True):
        if place.group is not None:
            groups.setdefault(place.group, []).append((tensor, place))
    alone = sum(place.group is None for place in places) == 1 and len(groups) == 1
    return {id(tensor) for group in groups.values() for tensor in _twins(group, raws, alone)}


def _keys(tensor: NamedTensor, plain: Parts) -> Iterable[Hashable]:
    """What an average of a raw tensor may be called: without any one of the first parts."""
    yield (-1, plain, tensor.shape)
    for hole in range(min(_DEEPEST, len(plain) - 1)):
        yield (hole, (*plain[:hole], *plain[hole + 1 :]), tensor.shape)
    for whole in (plain, tensor.name.lower().split(".")):
        yield (_FLAT, "_".join(whole), tensor.shape)


def _raw_names(place: _Place) -> list[tuple[object, object]]:
    """What the raw twin of an average may be called, as `_keys` gives it."""
    if place.flat:
        return [(_FLAT, "_".join(place.plain).lower())]
    names: list[tuple[object, object]] = [(-1, place.plain), (place.hole, place.plain)]
    if place.key and place.hole > 0:  # kept among other keys than the network itself
        names += [(-1, place.plain[place.hole :]), (0, place.plain[place.hole :])]
    return names


def _twins(
    group: list[tuple[NamedTensor, _Place]], raws: Mapping[Hashable, NamedTensor], alone: bool
) -> list[NamedTensor]:
    """The tensors of an average that have a raw twin; none where it is not an average.

    A layer or an attention block may be called ``ema`` and have one neighbour of its shape by
    chance: one pair is enough only where it is all there is, or the names say more.
    """
    pairs: list[tuple[NamedTensor, NamedTensor]] = []
    derived = False
    for tensor, place in group:
        keys = ((*name, tensor.shape) for name in _raw_names(place))
        raw = next((raws[key] for key in keys if key in raws), None)
        if raw is not None:
            pairs.append((tensor, raw))
            derived = derived or place.derived or place.flat
    whole = 2 * len(pairs) > len(group)
    named = whole and (len(pairs) > 1 or derived or alone)
    return [tensor for tensor, _ in pairs] if named and are_close(pairs) else []


def merge_names(weights: list[NamedTensor]) -> list[NamedTensor]:
    """One tensor for all names of the same data, with what each of them tells.

    A tensor that serves one convolution and one transposed convolution is two layers: their
    filters differ.
    """
    groups: dict[Hashable, list[NamedTensor]] = {}
    for tensor in weights:
        key: Hashable = id(tensor) if tensor.storage is None else tensor.storage
        first = groups.get((key, None))
        transposed = tensor.transposed
        other = first is not None and None not in (first[0].transposed, transposed)
        turned = other and first is not None and first[0].transposed != transposed
        groups.setdefault((key, transposed if turned else None), []).append(tensor)
    return [group[0] if len(group) == 1 else _joined(group) for group in groups.values()]


def _joined(group: list[NamedTensor]) -> NamedTensor:
    first = group[0]
    further = (path for tensor in group[1:] for path in (tensor.path, *tensor.also))
    return replace(
        first,
        is_conv=next((t.is_conv for t in group if t.is_conv is not None), None),
        groups=next((t.groups for t in group if t.groups is not None), None),
        transposed=next((t.transposed for t in group if t.transposed is not None), None),
        also=(*first.also, *further),
    )
