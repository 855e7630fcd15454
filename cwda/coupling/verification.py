"""Whether pruned channels are zero where the next layer reads them, seen by computing.

Rules say what a mask does; here it is tried. Channels are masked, half of them at a time so that
nothing is zero for want of life, on the weights as they are and on others, so that no weight that
happens to be 0 hides a branch. What is read and not exactly zero is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from cwda.coupling.places import Marks, Read, Slot
from cwda.errors import TracingError
from cwda.progress import steps
from cwda.tracing.graph import evaluation_mode, reproducible

__all__ = [
    "Readings",
    "alive",
    "places_to_zero",
    "random_like",
    "require_same_outputs",
    "scramble",
    "survivors",
]

#: A tensor of a module, an axis, and indices along it.
Place = tuple[nn.Module, str, int, Tensor]

_ROUNDS = 8


def alive(
    graph: fx.GraphModule, image: Tensor, reads: Sequence[Read], marked: Marks
) -> dict[int, str]:
    """The marked channels that are not zero where they are read, and the layer that reads.

    Raises
    ------
    KeyError
        If the graph has other nodes than the one in which the reads were found.
    """
    nodes = {node.name for node in graph.graph.nodes}
    if missing := {read.node for read in reads} - nodes:
        raise KeyError(min(missing))
    run = _Alive(graph, reads, marked)
    with evaluation_mode(graph), reproducible(), torch.no_grad():
        run.run(image)
    return run.alive


class Readings(fx.Interpreter):
    """Runs a graph and looks at what layers read, before they read it."""

    def __init__(self, graph: fx.GraphModule, reads: Sequence[Read]) -> None:
        super().__init__(graph)
        self._reads = {read.node: read for read in reads}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, once what it reads has been looked at."""
        read = self._reads.get(n.name)
        if read is not None:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            self.look(read, args[0] if args else kwargs["input"])
        return super().run_node(n)

    def look(self, read: Read, values: Tensor) -> None:
        """Look at what one layer reads."""
        raise NotImplementedError


class _Alive(Readings):
    """Notes which marked channels are not zero where they are read."""

    def __init__(self, graph: fx.GraphModule, reads: Sequence[Read], marked: Marks) -> None:
        super().__init__(graph, [read for read in reads if marked[read.channels].any()])
        self.alive: dict[int, str] = {}
        self._marked = marked
        self._poisoned = False

    def look(self, read: Read, values: Tensor) -> None:
        """Note the marked channels that are not zero."""
        if self._poisoned:
            return
        places = np.flatnonzero(self._marked[read.channels])
        index = torch.from_numpy(places).to(values.device)
        planes = values.movedim(read.axis, 0).index_select(0, index).flatten(1)
        lively = (planes != 0).any(1).cpu().numpy()
        for channel in read.channels[places[lively]].tolist():
            self.alive.setdefault(channel, read.layer)
        self._poisoned = bool(planes.isnan().any())  # and so is what comes after it


def survivors(
    model: nn.Module,
    graph: fx.GraphModule,
    image: Tensor,
    slots: Sequence[Slot],
    reads: Sequence[Read],
    fixed: Sequence[int],
    n_channels: int,
) -> dict[int, str]:
    """The channels that masks do not make zero where they are read, and the layer that reads.

    `model` loses its weights: it must be a copy, and that of which `graph` is the graph.
    """
    readers: dict[int, str] = {}
    free = np.ones(n_channels, dtype=bool)
    free[list(fixed)] = False
    generator = np.random.default_rng(0)
    halves = generator.permutation(n_channels) % 2 == 0
    inputs = [image, random_like(image)]
    trials = [(attempt, half) for attempt in range(len(inputs)) for half in (halves, ~halves)]
    scrambled = False
    for attempt, half in steps(trials, "trying masks"):
        x = inputs[attempt]
        if attempt and not scrambled:
            scramble(model)
            scrambled = True
            if not _finite(graph, x):
                break  # other weights may lead out of the domain of an operation
        for _ in range(_ROUNDS):
            with _zeroed(places_to_zero(model, slots, free & half)):
                lively = alive(graph, x, reads, free & half)
            readers.update(lively)
            free[list(lively)] = False
            if not lively:
                break
        else:
            readers.update(dict.fromkeys(np.flatnonzero(free & half).tolist(), "another layer"))
    return readers


def places_to_zero(model: nn.Module, slots: Sequence[Slot], marked: Marks) -> list[Place]:
    """The parts of a model that masks zero.

    Raises
    ------
    AttributeError
        If the model has no such tensors.
    """
    places = []
    for slot in slots:
        index = np.flatnonzero(marked[slot.channels])
        if slot.zeroed and len(index):
            owner, _, name = slot.name.rpartition(".")
            try:
                module = model.get_submodule(owner)
                getattr(module, name)
            except AttributeError:
                raise AttributeError(f"{type(model).__name__} has no layer {owner!r}") from None
            places.append((module, name, slot.axis, torch.from_numpy(index)))
    return places


def require_same_outputs(model: nn.Module, graph: fx.GraphModule, image: Tensor) -> None:
    """Refuse a graph that computes something else than its model.

    Raises
    ------
    TracingError
        If the outputs differ.
    """
    with evaluation_mode(model), torch.no_grad():
        with reproducible():
            wanted = tree_leaves(model(image))
        with reproducible():
            outputs = tree_leaves(graph(image))
    pairs = zip(wanted, outputs, strict=False)
    same = all(
        torch.equal(a, b) or torch.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
        for a, b in pairs
        if isinstance(a, Tensor) and isinstance(b, Tensor)
    )
    if not same:
        raise TracingError(
            f"the forward pass of {type(model).__name__} does not compute the same each time, or "
            "does what its graph does not show; channels cannot be followed through it"
        )


@contextmanager
def _zeroed(places: list[Place]) -> Iterator[None]:
    tensors = {id(getattr(module, name)): getattr(module, name) for module, name, *_ in places}
    before = [(tensor, tensor.detach().clone()) for tensor in tensors.values()]
    with torch.no_grad():
        for module, name, axis, index in places:
            tensor = getattr(module, name)
            tensor.index_fill_(axis, index.to(tensor.device), 0)
        yield
        for tensor, values in before:
            tensor.copy_(values)


def random_like(image: Tensor, seed: int = 1) -> Tensor:
    """Another input of the same form: of whole numbers, such as words, those in other places."""
    generator = torch.Generator().manual_seed(seed)
    if not image.is_floating_point():
        order = torch.randperm(image.numel(), generator=generator).to(image.device)
        return image.flatten()[order].reshape(image.shape)
    drawn = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    return drawn.to(image)


def scramble(model: nn.Module) -> None:
    """Other weights of the same signs and sizes, in place; zeros become small numbers."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for tensor in {id(t): t for t in (*model.parameters(), *model.buffers())}.values():
            if not tensor.is_floating_point():
                continue
            drawn = torch.rand(tensor.shape, generator=generator).to(tensor)
            inputs = max(1, tensor[0].numel()) if tensor.ndim > 1 else 100
            small = (drawn + 0.1) / inputs
            tensor.copy_(torch.where(tensor == 0, small, tensor * (drawn + 0.5)))


def _finite(graph: fx.GraphModule, image: Tensor) -> bool:
    with evaluation_mode(graph), reproducible(), torch.no_grad():
        leaves = tree_leaves(graph(image))
    return all(bool(leaf.isfinite().all()) for leaf in leaves if isinstance(leaf, Tensor))
