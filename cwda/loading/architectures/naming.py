"""Which architecture of torchvision a state dict is of, by its keys and shapes."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cwda.containers.tensors import Content, NamedTensor
from cwda.loading.architectures.head_size import classes_of
from cwda.loading.architectures.old_names import current_name
from cwda.loading.architectures.states import State, state_dicts
from cwda.models.build import shapes_of
from cwda.models.torchvision_models import torchvision_names

__all__ = ["OPTIONAL", "names_that_fit"]

#: Keys that a state dict may lack.
OPTIONAL = re.compile(r"(.*\.)?num_batches_tracked|aux_classifier\..*")


def names_that_fit(content: Content, weights_key: str | None = None) -> list[str]:
    """The names, as `build` takes them, of the architectures whose keys and shapes a file has.

    The number of classes may be another one. No values are made, and only networks of those
    modules of torchvision are looked at whose code has the names of the file's parts; none where
    torchvision is not installed.
    """
    for _, whole in state_dicts(content, weights_key):
        state = _without_common_prefix(whole)
        if found := [name for name in _candidates(state) if _fits(name, state)]:
            return found
    return []


def _without_common_prefix(state: State) -> State:
    """The keys without the parts that all begin with, such as `model.` of Lightning."""
    while state:
        heads = {key.partition(".")[0] for key in state}
        if len(heads) > 1 or not all("." in key for key in state):
            break
        state = {key.partition(".")[2]: tensor for key, tensor in state.items()}
    return state


def _candidates(state: State) -> Iterator[str]:
    """Names from the modules that may be meant."""
    parts = {re.escape(key.partition(".")[0]) for key in state}
    signs = [re.compile(rf"\bself\.{part}\b|[\"']{part}[\"']") for part in parts]
    meant = {place for place, code in _code().items() if all(sign.search(code) for sign in signs)}
    if not meant:  # torchvision need not be imported, which takes a second
        return
    for module, names in _families().items():
        _, _, place, *inside = module.split(".")
        if place not in meant:
            continue
        if not inside:  # of classification, where a module is one family
            keys = list(shapes_of(names[0]) or [""])
            if not {keys[0], keys[-1]} <= {current_name(key, keys) for key in state}:
                continue
        yield from names


@functools.cache
def _code() -> dict[str, str]:
    """The text of torchvision's networks by module, those in one folder together."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return {}
    code: dict[str, str] = {}
    root = Path(spec.origin).parent / "models"
    for file in root.rglob("*.py"):
        place = file.relative_to(root).parts[0].removesuffix(".py")
        code[place] = code.get(place, "") + file.read_text(encoding="utf-8")
    return code


@functools.cache
def _families() -> Mapping[str, list[str]]:
    """The names by the module that builds them."""
    from torchvision import models

    families: dict[str, list[str]] = {}
    for name in torchvision_names():
        families.setdefault(models.get_model_builder(name).__module__, []).append(name)
    return families


def _fits(name: str, state: State) -> bool:
    """Whether all keys and shapes are those of the architecture, with some number of classes."""
    expected = shapes_of(name)
    if expected is None:
        return False
    renamed: dict[str, NamedTensor] = {
        current_name(key, expected): tensor for key, tensor in state.items()
    }
    different = expected.keys() ^ renamed.keys()
    if any(key in renamed or not OPTIONAL.fullmatch(key) for key in different):
        return False
    if _same(expected, renamed):
        return True
    classes = classes_of(name, renamed)
    other = None if classes is None else shapes_of(name, classes)
    return other is not None and _same(other, renamed)


def _same(expected: Mapping[str, tuple[int, ...]], state: State) -> bool:
    return all(tuple(tensor.shape) == expected[key] for key, tensor in state.items())
