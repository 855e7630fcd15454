"""`load_model`: trained weights in the module of their architecture, ready to run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from cwda.errors import SourceError, UnreadableError
from cwda.extract import zoo
from cwda.extract.formats import read_file
from cwda.extract.load import is_path, one_line
from cwda.extract.tensors import Content, NamedTensor
from cwda.models import build, cifar_resnet, cifar_vgg16

__all__ = ["load_model"]

State = Mapping[str, NamedTensor]

_WRAPPERS = re.compile(r"^((module|_orig_mod)\.)+")
# Old DenseNet files write "conv.1" for what the module calls "conv1".
_DOTTED = re.compile(r"\.(\d)(\.\w+)$")
# torchvision turns these on with its weights: they expect another normalisation.
_TRANSFORM_INPUT = ("googlenet", "inception_v3")


def load_model(source: str | Path, arch: str | None = None) -> nn.Module:
    """A trained network that can run, in evaluation mode on the CPU.

    Weights are read as `load` reads them: nothing in a file is executed. They must fit the
    architecture key by key.

    Parameters
    ----------
    source : str or Path
        The name of a model, as `load` takes it, or a checkpoint.
    arch : str, optional
        Architecture of a checkpoint, a name of `cwda.models.build`. Without it the CIFAR
        ResNets (any depth and width) and VGG16 are recognised by their keys. The number of
        classes is the checkpoint's.

    Raises
    ------
    SourceError
        If the source or the architecture is unknown, or the weights do not fit it.
    UnreadableError
        If the file cannot be read.

    Examples
    --------
    >>> from cwda.extract import load_model
    >>> load_model("resnet20-cifar10").linear
    Linear(in_features=64, out_features=10, bias=True)
    """
    if not isinstance(source, str | Path):
        raise SourceError(
            f"cannot make a model of an object of type {type(source).__name__}; give a name, or "
            "the path of a checkpoint"
        )
    if arch is not None or is_path(source):
        return _from_path(Path(source).expanduser(), arch)
    text = str(source)
    found = zoo.find(text)
    if found is None:
        raise zoo.unknown(text)
    if found.module is not None:
        return found.module.eval()
    assert found.path is not None
    model = _from_path(found.path, _architecture(text))
    if text.partition(":")[0] in _TRANSFORM_INPUT:
        setattr(model, "transform_input", True)  # noqa: B010 (no attribute of Module)
    return model


def _architecture(text: str) -> str | None:
    """The architecture that a name stands for; None where the keys must tell."""
    if text.startswith("timm:"):
        return text.partition(".")[0]
    return None if text.startswith(("hf:", zoo.BUILT_IN)) else text.partition(":")[0]


def _from_path(path: Path, arch: str | None) -> nn.Module:
    with one_line(path):
        states = _states(read_file(path))
        model, state = _fitting(states, arch)
        _fill(model, state)
    return model.eval()


def _states(content: Content) -> list[State]:
    """The state dicts of a file, the largest first, without prefixes of wrappers."""
    found: dict[tuple[str, ...], dict[str, NamedTensor]] = {}
    for tensor in content.tensors:
        name = _WRAPPERS.sub("", tensor.name)
        found.setdefault(tensor.container, {})[name] = tensor
    if not found:
        raise UnreadableError("no tensors")
    return sorted(found.values(), key=len, reverse=True)


def _fitting(states: list[State], arch: str | None) -> tuple[nn.Module, State]:
    """The architecture, and the state dict that has most keys in common with it."""
    if arch is None:
        for state in states:
            model = _recognised(state)
            if model is not None:
                return model, state
        raise SourceError("its keys fit no built-in architecture; give arch=NAME")
    model = build(arch)
    expected = set(model.state_dict())
    renamed = [_renamed(state, expected) for state in states]
    state = max(renamed, key=lambda each: len(expected & set(each)))
    classes = _classes(model, state)
    return (model if classes is None else build(arch, classes)), state


def _renamed(state: State, expected: set[str]) -> State:
    return {
        key if key in expected else _DOTTED.sub(r"\1\2", key): tensor
        for key, tensor in state.items()
    }


def _recognised(state: State) -> nn.Module | None:
    """The built-in architecture of a state dict, by its keys."""
    convolutions = [key for key, tensor in state.items() if len(tensor.shape) == 4]
    head, stem = state.get("linear.weight"), state.get("conv1.weight")
    blocks = {key for key in convolutions if re.fullmatch(r"layer1\.\d+\.conv1\.weight", key)}
    if head is not None and stem is not None and len(convolutions) == 6 * len(blocks) + 1 > 1:
        return cifar_resnet(6 * len(blocks) + 2, head.shape[0], stem.shape[0])
    head = state.get("classifier.weight")
    if head is not None and len(convolutions) == 13 and "features.0.weight" in state:
        return cifar_vgg16(head.shape[0])
    return None


def _classes(model: nn.Module, state: State) -> int | None:
    """The checkpoint's number of classes if it differs from the model's."""
    heads = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not heads or f"{heads[-1]}.weight" not in state:
        return None
    classes = state[f"{heads[-1]}.weight"].shape[0]
    return None if classes == model.get_submodule(heads[-1]).out_features else classes


def _fill(model: nn.Module, state: State) -> None:
    """Copy the values; each key and shape must fit."""
    expected = model.state_dict()
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = [key for key in expected if key not in state and key not in counters]
    strange = [key for key in state if key not in expected]
    if missing or strange:
        parts = [f"{len(missing)} are missing, as {missing[0]}"] if missing else []
        parts += [f"{len(strange)} are unknown, as {strange[0][:80]}"] if strange else []
        raise SourceError(
            f"the weights do not fit {type(model).__name__}: {'; '.join(parts)}; give the right "
            "arch="
        )
    for key, tensor in state.items():
        if tensor.shape != tuple(expected[key].shape):
            raise SourceError(
                f"the weights do not fit {type(model).__name__}: {key} has shape {tensor.shape}, "
                f"not {tuple(expected[key].shape)}; give the right arch="
            )
    with torch.no_grad():
        for key, tensor in state.items():
            expected[key].copy_(tensor.read())
