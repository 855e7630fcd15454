"""Choose the order of axes of a source's kernels by its header, their names and their shapes.

Files are homogeneous: one order is chosen for all kernels that have one kind of name and one
number of axes, so that no single layer of an unusual shape is turned by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor
from cwda.convolutions.axes.evidence import Kernel, Verdict, decide
from cwda.convolutions.axes.layouts import CHANNELS_FIRST, CHANNELS_LAST, FILTERS_FIRST, Order
from cwda.convolutions.axes.stated import contradictions, overruling, sparse_parts

__all__ = ["Choice", "choose"]

#: Orders by the library that a file's header names, and the bits that a header is worth.
_OF_LIBRARY = {
    "mlx": FILTERS_FIRST,
    **dict.fromkeys(("flax", "jax", "tf", "tensorflow", "keras"), CHANNELS_LAST),
    **dict.fromkeys(("pt", "pytorch", "torch"), CHANNELS_FIRST),
}
_HEADER = 15.0
#: TensorFlow, JAX and sparse libraries call a weight ``kernel``; PyTorch never does.
_KERNEL = re.compile(r"(.*_)?kernel")
_TENSORFLOW = re.compile(r"((depthwise|pointwise)_)?weights|filters?")
#: Bits in favour of PyTorch's order of a ``weight``, by the number of axes: the sparse
#: convolutions of spconv have five.
_PYTORCH = {3: 6.0, 4: 6.0, 5: 3.0}
#: Formats in which other libraries than PyTorch keep a ``weight`` too.
_SHARED = ("safetensors", "sharded", "npz", "npy")
#: Bits that the order of the kernels with another number of axes is worth.
_NEIGHBOURS = 8.0
#: Bits for PyTorch's order where the sides of no kernel tell it from MLX's: texts and strips.
_STRIPS = 8.0
#: An order that wins by less is doubted; one that is expected less is not thought of in a tie.
_SURE, _EXCLUDED, _TIE = 4.0, -2.0, 1.0
#: Most axes of the kernels that a file of PyTorch keeps in PyTorch's order: those of sparse
#: three-dimensional convolutions have five.
_MOST_AXES = 4


@dataclass(frozen=True)
class Choice:
    """The order of one kernel's axes, and in words what was assumed; empty if nothing."""

    order: Order
    note: str = ""


_SPARSE = Choice(
    FILTERS_FIRST,
    f"axes taken as {FILTERS_FIRST.named(4)}, as the shapes of a part of sparse convolutions "
    "tell (layout= corrects it)",
)


def choose(
    tensors: Sequence[NamedTensor], biases: Sequence[int | None], others: Set[int], format: str
) -> list[Choice]:
    """The order of each tensor's axes.

    Parameters
    ----------
    tensors : sequence of NamedTensor
        Weights of convolutions as they are stored.
    biases : sequence of int or None
        The size of each one's bias.
    others : set of int
        Numbers of channels that other tensors of the source have.
    format : str
        Format of the source.
    """
    kinds: dict[tuple[str, str, int], list[int]] = {}
    for index, tensor in enumerate(tensors):
        kind = (tensor.convention, _family(tensor.name), len(tensor.shape))
        kinds.setdefault(kind, []).append(index)
    made: dict[int, Choice] = {}
    sure: dict[tuple[str, str], dict[Order, float]] = {}
    for kind, members in sorted(kinds.items(), key=lambda item: -len(item[1])):
        expected = _expected(*kind)
        known = sure.setdefault(kind[:2], {})
        for order, bits in known.items():
            expected[order] = expected.get(order, 0.0) + bits
        kernels = [Kernel(tensors[i].shape, biases[i]) for i in members]
        strips = _STRIPS if kind[1] == "weight" and _has_strips_alone(kernels) else 0.0
        favoured = {**expected, CHANNELS_FIRST: expected[CHANNELS_FIRST] + strips}
        verdict = _verdict(kernels, others, favoured, _stated(*kind, format))
        if verdict.order == CHANNELS_FIRST:  # what is said of it counts the shapes alone
            behind = {order: bits - strips for order, bits in verdict.behind.items()}
            verdict = replace(verdict, behind=behind)
        if verdict.margin > 2 * _SURE:
            known[verdict.order] = _NEIGHBOURS
        notes = _notes(verdict, expected, kind)
        made.update(zip(members, (Choice(verdict.order, note) for note in notes), strict=True))
        if verdict.stated and verdict.order == CHANNELS_FIRST:
            modules = [_module(tensors[index].path) for index in members]
            sparse = zip(members, sparse_parts(kernels, modules), strict=True)
            made.update((index, _SPARSE) for index, is_sparse in sparse if is_sparse)
    return [made[index] for index in range(len(tensors))]


def _module(path: str) -> str:
    """The module in which a layer lies."""
    return split_leaf(split_leaf(path)[0])[0]


def _stated(convention: str, family: str, ndim: int, format: str) -> Order | None:
    """The order that a header or PyTorch's own format states; None where nothing does."""
    stated = _OF_LIBRARY.get(convention)
    if stated == CHANNELS_FIRST or (not convention and format not in _SHARED):
        # Sparse convolutions, whose modules keep other orders, are saved by PyTorch as well.
        pytorch = family == "weight" and ndim <= _MOST_AXES
        return CHANNELS_FIRST if pytorch else None
    return stated


def _has_strips_alone(kernels: list[Kernel]) -> bool:
    """Whether a plane's kernels would all be strips or single positions with filters first."""
    planes = [kernel.shape[1:3] for kernel in kernels if len(kernel.shape) == 4]
    return bool(planes) and all(1 in sides for sides in planes)


def _verdict(
    kernels: list[Kernel], others: Set[int], expected: Mapping[Order, float], stated: Order | None
) -> Verdict:
    """The stated order unless it is impossible; else the likeliest."""
    if stated is None:
        return decide(kernels, others, expected)
    against = overruling(kernels, stated)
    if against:
        free = {**expected, stated: 0.0}
        return decide(kernels, others, free, against)
    verdict = decide(kernels, others, expected, [stated])
    return replace(verdict, stated=True, misfits=tuple(contradictions(kernels, stated)))


def _family(name: str) -> str:
    leaf = split_leaf(name)[1]
    if _KERNEL.fullmatch(leaf):
        return "kernel"
    if _TENSORFLOW.fullmatch(leaf):
        return "weights"
    return leaf if leaf in ("w", "W") else "weight" if "weight" in leaf else "array"


def _expected(convention: str, family: str, ndim: int) -> dict[Order, float]:
    """Bits in favour of each order before the shapes are looked at."""
    bits = dict.fromkeys((CHANNELS_FIRST, CHANNELS_LAST, FILTERS_FIRST), 0.0)
    if convention in _OF_LIBRARY:
        bits[_OF_LIBRARY[convention]] += _HEADER
    if family == "kernel":
        bits[CHANNELS_LAST] += 10.0
        bits[FILTERS_FIRST] -= 10.0
    elif family == "weights":
        bits[CHANNELS_LAST] += 4.0
    elif family == "w":
        bits[CHANNELS_LAST] += 2.0
    elif family == "weight":
        bits[CHANNELS_FIRST] += _PYTORCH.get(ndim, 0.0)
    else:
        bits[CHANNELS_FIRST] += 1.0
    return bits


def _notes(verdict: Verdict, expected: dict[Order, float], kind: tuple[str, str, int]) -> list[str]:
    """What is said of each kernel."""
    ndim = kind[2]
    named, why = verdict.order.named(ndim), _why(verdict, expected, kind)
    usual = f"axes taken as {named}{why} (layout= corrects it)" if why is not None else ""
    odd = f"axes taken as {named}, although the shape looks like {{}} (layout= corrects it)"
    return [odd.format(other.named(ndim)) if other else usual for other in verdict.misfits]


def _why(verdict: Verdict, expected: dict[Order, float], kind: tuple[str, str, int]) -> str | None:
    """Why the order was chosen, to follow its name; None where nothing need be said."""
    convention, family, ndim = kind
    header, chosen = f"the file's header (format: {convention})", verdict.order
    stated = _OF_LIBRARY.get(convention)
    if stated not in (None, chosen):
        return f", as the shapes show, against {header}"
    if chosen == CHANNELS_FIRST:
        if verdict.stated:
            return None
        rivals = [order for order in verdict.behind if _is_rival(verdict, expected, order)]
        if rivals:
            told = " or ".join(order.named(ndim) for order in rivals)
            return f", which the shapes do not distinguish from {told}"
        return {"array": "", "kernel": ", as the shapes show"}.get(family)
    if stated == chosen:
        return f", as {header} says"
    if family not in ("kernel", "weights") or chosen != CHANNELS_LAST:
        return ", as the shapes show"
    if _is_untold(verdict, expected, CHANNELS_FIRST):
        return f", by the name ({family}) alone, since no shape tells"
    return f", as the name ({family}) and the shapes show"


def _is_rival(verdict: Verdict, expected: dict[Order, float], order: Order) -> bool:
    """Whether an order might as well be the right one: close, or told apart by no shape."""
    favour = expected[verdict.order] - expected[order]
    excluded = favour >= _NEIGHBOURS or expected[order] <= _EXCLUDED
    untold = _is_untold(verdict, expected, order)
    return verdict.behind[order] < _SURE or (untold and not excluded)


def _is_untold(verdict: Verdict, expected: dict[Order, float], order: Order) -> bool:
    return verdict.behind[order] - expected[verdict.order] + expected[order] < _TIE
