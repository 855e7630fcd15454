"""Copies of a network beside it in one source: averages, settings, names of one tensor."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from cwda.extract.tensors import NamedTensor

__all__ = ["merge_names", "split_copies"]

Parts = tuple[str, ...]

AVERAGE = "a moving average (EMA, SWA); the raw weights are taken, weights_key chooses"
SETTINGS = "kept among the settings; the network's own weights are taken, weights_key chooses"
CALLBACK = "kept by a callback; the network's own weights are taken, weights_key chooses"

#: Parts of a path that name an average and nothing else.
_PURE = re.compile(
    r"ema|swa|averaged?|avg|ema_(teacher|target)|(teacher|target)_ema|shadow(_params|_state)?|polyak|"
    r"((exponential|moving|polyak|weight|model|running)_?)+(averag(e|es|ed|ing)|avg)|"
    r"(exponential|stochastic)_?(moving|weight)_?averag(e|ing)|ema\W.*",
    re.IGNORECASE,
)
#: The word for an average before or after another name.
_AFFIX = re.compile(
    r"(?P<before>.*?)_?(?<![A-Za-z])(?i:ema|swa|averaged?|avg|shadow)_(?P<after>.+)|"
    r"(?P<stem>.+)_(?i:ema|swa|averaged?|avg|shadow)|"
    r"(?P<camel>[A-Za-z]*[a-z])(Ema|EMA|Swa|SWA|Avg)|(Ema|EMA|Swa|SWA)(?P<tail>[A-Z]\w*)",
)
#: Keys around a state dict, which raw and averaged weights need not have alike.
_WRAPPERS = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "model", "net", "network", "state_dict"}
    | {"model_state_dict", "model_state", "params", "weights", "state", "online_model", "online"}
    | {"raw", "callbacks", "model_weights"}
)
_SETTINGS = re.compile(
    r"_?(hyper_?param(eter)?s|hparams)(_initial)?|config|cfg|args|arguments|kwargs|settings|"
    r"init_args|opts?|options",
    re.IGNORECASE,
)
#: A network's name after its average has swapped places with it (Lightning's WeightAveraging).
_SWAPPED = "current_model_state"
#: How deep in a path a lone word may stand for the part that names the raw network.
_DEEPEST = 4


def split_copies(
    chosen: list[NamedTensor],
) -> tuple[list[NamedTensor], list[tuple[NamedTensor, str]]]:
    """The network's own convolutions, and its copies with the reason why they are left out.

    A copy is only left out where the network itself is there too.
    """
    left_out: list[tuple[NamedTensor, str]] = []

    def leave(reason: str, is_copy: Callable[[NamedTensor], bool]) -> None:
        nonlocal chosen
        kept = [tensor for tensor in chosen if not is_copy(tensor)]
        if kept and len(kept) < len(chosen):
            left_out.extend((tensor, reason) for tensor in chosen if is_copy(tensor))
            chosen = kept

    leave(SETTINGS, _among_settings)
    averages = _averages(chosen)
    leave(AVERAGE, lambda tensor: id(tensor) in averages)
    leave(CALLBACK, lambda tensor: "callbacks" in tensor.container)
    return chosen, left_out


def _among_settings(tensor: NamedTensor) -> bool:
    first = tensor.name.partition(".")[0]
    named = tensor.name.count(".") > 1 and re.fullmatch(r"_?(hparams|hyper_parameters)\w*", first)
    return bool(named) or any(map(_SETTINGS.fullmatch, tensor.container))


@dataclass(frozen=True)
class _Place:
    """A path without the words for averages and wrappers.

    `plain` is what is left; `hole` the place where a word for an average stood alone;
    `group` the path up to that word, and None for raw weights; `derived` whether the word
    was part of another name.
    """

    plain: Parts
    group: Parts | None = None
    hole: int = -1
    derived: bool = False


def _place(tensor: NamedTensor, swapped: bool) -> _Place:
    parts = (*tensor.container, *tensor.name.split("."))
    plain: list[str] = []
    place = _Place(())
    for index, part in enumerate(parts[:-1]):
        pure, stem = _without_average(part)
        if (pure or stem or (swapped and part == "state_dict")) and place.group is None:
            place = _Place((), parts[: index + 1], len(plain) if pure else -1, not pure)
        kept = (stem or part).lower()
        if not pure and kept not in _WRAPPERS and kept != _SWAPPED:
            plain.append(kept)
    return replace(place, plain=(*plain, parts[-1]))


def _without_average(part: str) -> tuple[bool, str]:
    """Whether a part names only an average, and else what is left without that word."""
    if _PURE.fullmatch(part):
        return True, ""
    found = _AFFIX.fullmatch(part)
    if not found:
        return False, ""
    named = found.groupdict()
    left = "_".join(filter(None, (named["before"], named["after"])))
    return False, (left or named["stem"] or named["camel"] or named["tail"] or "")


def _averages(chosen: list[NamedTensor]) -> set[int]:
    """Averages of other weights: of the same remaining name and shape."""
    swapped = any(_SWAPPED in tensor.container for tensor in chosen)
    places = [_place(tensor, swapped) for tensor in chosen]
    raws: dict[Hashable, int] = {}
    for tensor, place in zip(chosen, places, strict=True):
        if place.group is None:
            for key in _keys(tensor, place.plain):
                raws[key] = raws.get(key, 0) + 1
    groups: dict[Parts, list[tuple[NamedTensor, _Place]]] = {}
    for tensor, place in zip(chosen, places, strict=True):
        if place.group is not None:
            groups.setdefault(place.group, []).append((tensor, place))
    alone = sum(place.group is None for place in places) == 1 and len(groups) == 1
    return {id(tensor) for group in groups.values() for tensor in _twins(group, raws, alone)}


def _keys(tensor: NamedTensor, plain: Parts) -> Iterable[Hashable]:
    """What an average of a raw tensor may be called: without any one of the first parts."""
    yield (-1, plain, tensor.shape)
    for hole in range(min(_DEEPEST, len(plain) - 1)):
        yield (hole, (*plain[:hole], *plain[hole + 1 :]), tensor.shape)


def _twins(
    group: list[tuple[NamedTensor, _Place]], raws: dict[Hashable, int], alone: bool
) -> list[NamedTensor]:
    """The tensors of an average that have a raw twin; none where it is no average.

    A layer or an attention block may be called ``ema`` and have one neighbour of its shape by
    chance: one pair is enough only where it is all there is, or the names say more.
    """
    twins = [
        (tensor, place)
        for tensor, place in group
        if (-1, place.plain, tensor.shape) in raws
        or (place.hole, place.plain, tensor.shape) in raws
    ]
    derived = any(place.derived for _, place in twins)
    whole = 2 * len(twins) > len(group)
    return [tensor for tensor, _ in twins] if whole and (len(twins) > 1 or derived or alone) else []


def merge_names(chosen: list[NamedTensor]) -> list[NamedTensor]:
    """One tensor for all names of the same data, with what each of them tells.

    A tensor that serves one convolution and one transposed convolution is two layers: their
    filters differ.
    """
    merged: dict[Hashable, NamedTensor] = {}
    for tensor in chosen:
        key: Hashable = tensor.storage
        key = id(tensor) if key is None else key
        first = merged.get((key, None))
        if first is not None and None not in (first.transposed, tensor.transposed):
            key = (key, tensor.transposed if tensor.transposed != first.transposed else None)
        else:
            key = (key, None)
        known = merged.get(key)
        merged[key] = tensor if known is None else _joined(known, tensor)
    return list(merged.values())


def _joined(first: NamedTensor, other: NamedTensor) -> NamedTensor:
    return replace(
        first,
        is_conv=other.is_conv if first.is_conv is None else first.is_conv,
        groups=other.groups if first.groups is None else first.groups,
        transposed=other.transposed if first.transposed is None else first.transposed,
        also=(*first.also, other.path, *other.also),
    )
