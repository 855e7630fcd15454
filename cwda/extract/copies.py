"""Copies of a network beside it in one source: averages, settings, names of one tensor."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from cwda.extract.tensors import NamedTensor

__all__ = ["merge_names", "names_average", "split_copies"]

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
    if all(tensor.origin.startswith("onnx.") for tensor in chosen):
        return chosen, left_out  # what a graph computes with is no copy, whatever its name

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
    was part of another name; `key` whether it was a key of a container.
    """

    plain: Parts
    group: Parts | None = None
    hole: int = -1
    derived: bool = False
    key: bool = False


def _place(tensor: NamedTensor, swapped: bool) -> _Place:
    parts = (*tensor.container, *tensor.name.split("."))
    plain: list[str] = []
    place = _Place(())
    for index, part in enumerate(parts[:-1]):
        pure, stem = _without_average(part)
        if (pure or stem or (swapped and part == "state_dict")) and place.group is None:
            key = index < len(tensor.container)
            place = _Place((), parts[: index + 1], len(plain) if pure else -1, not pure, key)
        kept = (stem or part).lower()
        if not pure and kept not in _WRAPPERS and kept != _SWAPPED:
            plain.append(kept)
    return replace(place, plain=(*plain, parts[-1]))


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
    found = _AFFIX.fullmatch(part)
    if not found:
        return False, ""
    named = found.groupdict()
    left = "_".join(filter(None, (named["before"], named["after"])))
    return False, (left or named["stem"] or named["camel"] or named["tail"] or "")


def _averages(chosen: list[NamedTensor]) -> set[int]:
    """Averages of other weights: of the same remaining name and shape."""
    swapped = any(_SWAPPED in tensor.container for tensor in chosen)
    if not swapped and not any(_HINT.search(tensor.path) for tensor in chosen):
        return set()
    places = [_place(tensor, swapped) for tensor in chosen]
    if all(place.group is None for place in places):
        return set()
    raws: set[Hashable] = set()
    for tensor, place in zip(chosen, places, strict=True):
        if place.group is None:
            raws.update(_keys(tensor, place.plain))
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


def _raw_names(place: _Place) -> list[tuple[int, Parts]]:
    """What the raw twin of an average may be called, as `_keys` gives it."""
    names = [(-1, place.plain), (place.hole, place.plain)]
    if place.key and place.hole > 0:  # kept among other keys than the network itself
        names += [(-1, place.plain[place.hole :]), (0, place.plain[place.hole :])]
    return names


def _twins(
    group: list[tuple[NamedTensor, _Place]], raws: set[Hashable], alone: bool
) -> list[NamedTensor]:
    """The tensors of an average that have a raw twin; none where it is no average.

    A layer or an attention block may be called ``ema`` and have one neighbour of its shape by
    chance: one pair is enough only where it is all there is, or the names say more.
    """
    twins = [
        (tensor, place)
        for tensor, place in group
        if any((*name, tensor.shape) in raws for name in _raw_names(place))
    ]
    derived = any(place.derived for _, place in twins)
    whole = 2 * len(twins) > len(group)
    return [tensor for tensor, _ in twins] if whole and (len(twins) > 1 or derived or alone) else []


def merge_names(chosen: list[NamedTensor]) -> list[NamedTensor]:
    """One tensor for all names of the same data, with what each of them tells.

    A tensor that serves one convolution and one transposed convolution is two layers: their
    filters differ.
    """
    groups: dict[Hashable, list[NamedTensor]] = {}
    for tensor in chosen:
        key: Hashable = id(tensor) if tensor.storage is None else tensor.storage
        first = groups.get((key, None))
        told = tensor.transposed
        other = first is not None and None not in (first[0].transposed, told)
        turned = other and first is not None and first[0].transposed != told
        groups.setdefault((key, told if turned else None), []).append(tensor)
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
