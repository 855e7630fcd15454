"""The network that a file's weights belong to, with the weights in it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from cwda.containers.tensors import Content, NamedTensor
from cwda.errors import SourceError
from cwda.formatting import listed
from cwda.loading.architectures.head_size import classes_of
from cwda.loading.architectures.naming import OPTIONAL, names_that_fit
from cwda.loading.architectures.old_names import current_name
from cwda.loading.architectures.resnet_keys import is_stem, resnet_plan
from cwda.loading.architectures.states import State, StateDict, state_dicts, under_prefixes
from cwda.loading.architectures.vgg_keys import vgg_plan
from cwda.models import CifarResNet, CifarVGG, build
from cwda.models.resnet import Shortcut

__all__ = ["fitted"]

# Parts of losses and metrics, and counters of profilers, that lie among a network's weights.
_NO_WEIGHTS = re.compile(
    r"((\w+_)?(criterion|loss(es)?|metrics?|acc(uracy)?|auroc|auc|f1|conf(usion)?_?mat(rix)?)"
    r"(_\w+)?(\.|$).*)|(.*\.)?(total_ops|total_params|n_averaged)",
    re.IGNORECASE,
)
_FIRST = re.compile(r"(.*\.)?(?=features?\.0\.weight$)")
_STEM = re.compile(r"(.*\.)?(?=(conv_?1|conv1\.0)\.weight$)")


@dataclass(frozen=True, eq=False)
class _Fit:
    """A network, the weights for it, and what is wrong with them; empty if they fit."""

    model: nn.Module
    state_dict: StateDict
    state: State
    problem: str


def fitted(
    content: Content, arch: str | None, weights_key: str | None = None
) -> tuple[nn.Module, list[str]]:
    """The network of an architecture, by default of the one that the keys tell, and notes.

    Raises
    ------
    SourceError
        If no architecture is recognised, the weights do not fit it, or several networks do.
    """
    fits = list(_fits(content, arch, weights_key))
    if not fits:
        raise SourceError(_unrecognised(content, weights_key))
    good = [fit for fit in fits if not fit.problem]
    if not good:
        raise SourceError(fits[0].problem)
    fit = _chosen(good)
    _fill(fit.model, fit.state)
    return fit.model, _notes(fit, good, arch)


def _fits(content: Content, arch: str | None, weights_key: str | None) -> Iterator[_Fit]:
    """What may be meant, the best first where nothing fits."""
    states = state_dicts(content, weights_key)
    if arch is not None:
        model = build(arch)
        recognised = list(_recognised_as(states, model))
        yield from recognised or _as_named(states, arch, model)
        return
    for path, state in states:
        for state_dict in under_prefixes(path, state, _beginning):
            model_or_none = _recognised(state_dict.tensors)
            if model_or_none is not None:
                yield _compared(model_or_none, state_dict, state_dict.tensors)


def _beginning(key: str) -> str | None:
    """The prefix of the key of a first convolution."""
    match = _FIRST.match(key) or (_STEM.match(key) if is_stem(key) else None)
    return match[0] if match else None


def _recognised(state: State, shortcut: Shortcut | None = None) -> nn.Module | None:
    """The network for small images whose keys these are."""
    resnet = resnet_plan(state, shortcut)
    vgg = vgg_plan(state) if resnet is None else None
    with torch.random.fork_rng(devices=[]):
        if resnet is not None:
            return CifarResNet(resnet)
        return None if vgg is None else CifarVGG(vgg)


def _recognised_as(states: list[tuple[str, State]], model: nn.Module) -> Iterator[_Fit]:
    """Networks of the same family and depth as a built-in one, whatever their parts are called."""
    if not isinstance(model, CifarResNet | CifarVGG):
        return
    shortcut = model.plan.shortcut if isinstance(model, CifarResNet) else None
    for path, state in states:
        for state_dict in under_prefixes(path, state, _beginning):
            here = _recognised(state_dict.tensors, shortcut)
            if here is not None and _same_family(here, model):
                yield _compared(here, state_dict, state_dict.tensors)


def _same_family(here: nn.Module, wanted: CifarResNet | CifarVGG) -> bool:
    if isinstance(here, CifarResNet) and isinstance(wanted, CifarResNet):
        return (here.plan.depth, here.plan.shortcut, len(here.plan.stages)) == (
            wanted.plan.depth,
            wanted.plan.shortcut,
            len(wanted.plan.stages),
        )
    if isinstance(here, CifarVGG) and isinstance(wanted, CifarVGG):
        return here.plan.depth == wanted.plan.depth
    return False


def _as_named(states: list[tuple[str, State]], arch: str, model: nn.Module) -> list[_Fit]:
    """The state dicts that have all keys of an architecture, or the one that has most of them."""
    expected = set(model.state_dict())
    anchors = _anchors(model)
    candidates = [
        state_dict
        for path, state in states
        for state_dict in under_prefixes(path, state, lambda key: _before(key, anchors))
    ]
    if not candidates:
        path, state = states[0]
        candidates = [StateDict(state, path, (), False)]
    found_keys = [
        {current_name(key, expected): tensor for key, tensor in state_dict.tensors.items()}
        for state_dict in candidates
    ]
    needed = {key for key in expected if not OPTIONAL.fullmatch(key)}
    complete = [i for i, keys in enumerate(found_keys) if needed <= keys.keys()]
    best = max(range(len(candidates)), key=lambda i: len(expected & found_keys[i].keys()))
    built: dict[int | None, nn.Module] = {None: model}
    fits = []
    for i in complete or [best]:
        renamed = found_keys[i]
        classes = classes_of(arch, renamed) if complete and _differs(model, renamed) else None
        if classes not in built:
            built[classes] = build(arch, classes)
        fits.append(_compared(built[classes], candidates[i], renamed))
    return fits


def _differs(model: nn.Module, state: State) -> bool:
    """Whether a shape is not the model's."""
    return any(
        key in state and state[key].shape != tuple(value.shape)
        for key, value in model.state_dict().items()
    )


def _anchors(model: nn.Module) -> list[str]:
    """The keys of the first and the last parameter."""
    names = [name for name, _ in model.named_parameters()]
    return [names[0], names[-1]] if names else []


def _before(key: str, anchors: list[str]) -> str | None:
    for anchor in anchors:
        if key == anchor or key.endswith(f".{anchor}"):
            return key.removesuffix(anchor)
    return None


def _compared(model: nn.Module, state_dict: StateDict, state: State) -> _Fit:
    """Whether each key and shape fits."""
    model = _without_absent_output(model, state)
    expected = model.state_dict()
    state = {k: t for k, t in state.items() if k in expected or not _NO_WEIGHTS.fullmatch(k)}
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = [key for key in expected if key not in state and key not in counters]
    strange = [key for key in state if key not in expected]
    parts = [f"{len(missing)} are missing, such as {missing[0]}"] if missing else []
    parts += [f"{len(strange)} are unknown, such as {strange[0][:80]}"] if strange else []
    if not parts:
        unusable = (_unusable(key, state[key], expected[key]) for key in state)
        parts = [text for text in unusable if text][:1]
    problem = f"the weights do not fit {type(model).__name__}: {'; '.join(parts)}; give the right "
    return _Fit(model, state_dict, state, problem + "arch=" if parts else "")


def _without_absent_output(model: nn.Module, state: State) -> nn.Module:
    """The model, without the auxiliary output of segmentation networks where the file has none."""
    auxiliary = getattr(model, "aux_classifier", None)
    if auxiliary is not None and not any(key.startswith("aux_classifier.") for key in state):
        model = copy.copy(model)
        model._modules = {**model._modules, "aux_classifier": None}
    return model


def _unusable(key: str, tensor: NamedTensor, expected: torch.Tensor) -> str:
    if tensor.shape != tuple(expected.shape):
        return f"{key} has shape {tensor.shape}, not {tuple(expected.shape)}"
    if tensor.reason:
        return f"{key}: {tensor.reason}"
    if tensor.dtype is None or tensor.dtype.is_floating_point != expected.is_floating_point():
        kind = "a type that torch lacks" if tensor.dtype is None else str(tensor.dtype)
        return f"{key} has elements of {kind.removeprefix('torch.')}"
    return ""


def _chosen(good: list[_Fit]) -> _Fit:
    """The one network that is meant: raw weights before averages of them, equal ones once."""
    raw = [fit for fit in good if not fit.state_dict.is_average] or good
    others = [fit for fit in raw[1:] if not _equal(raw[0].state, fit.state)]
    if others:
        places = ", ".join(fit.state_dict.place or "the top level" for fit in (raw[0], *others[:3]))
        raise SourceError(
            f"it holds {len(others) + 1} networks that fit ({places}); choose one by weights_key="
        )
    return raw[0]


def _equal(one: State, other: State) -> bool:
    if one.keys() != other.keys():
        return False
    return all(
        tensor.shape == other[key].shape and torch.equal(tensor.read(), other[key].read())
        for key, tensor in one.items()
    )


def _notes(fit: _Fit, good: list[_Fit], arch: str | None) -> list[str]:
    """What the user has to know, in words."""
    notes = []
    kept = {id(tensor) for tensor in fit.state.values()}
    left_out = [key for key, tensor in fit.state_dict.tensors.items() if id(tensor) not in kept]
    left_out += fit.state_dict.others
    if left_out:
        notes.append(
            f"{len(left_out)} tensors are not part of the network and were left out, such as "
            f"{left_out[0][:80]}"
        )
    averages = [fit.state_dict.place for fit in good if fit.state_dict.is_average]
    if averages and not fit.state_dict.is_average:
        notes.append(f"the raw weights are taken; weights_key={averages[0]!r} takes their average")
    if isinstance(fit.model, CifarVGG) and fit.model.plan.assumes_relu:
        names = " and ".join(layer.name for layer in fit.model.plan.head[:2])
        notes.append(f"ReLU is assumed between {names}: the file does not say")
    if isinstance(fit.model, CifarResNet) and fit.model.plan.shortcut == "none" and not arch:
        notes.append(
            "the running means of BatchNorm say that no block has a shortcut; where that is wrong, "
            f"give arch=, such as cifar_resnet{fit.model.plan.depth}"
        )
    return notes


def _unrecognised(content: Content, weights_key: str | None) -> str:
    """Why no architecture was recognised, in words."""
    shapes = {tensor.name.rpartition("module.")[2]: tensor.shape for tensor in content.tensors}
    stem = next((shape for key, shape in shapes.items() if key.endswith("conv1.weight")), ())
    four = any(key.endswith("layer4.0.downsample.0.weight") for key in shapes)
    if four and stem[2:] == (3, 3):
        return (
            "its keys are those of a four-stage ResNet with a 3 x 3 stem, and do not tell whether "
            "pooling follows the stem; without pooling, give arch=, such as cifar_resnet18"
        )
    if names := names_that_fit(content, weights_key):
        choices = " or ".join(f"arch={name}" for name in names)
        return f"its keys and shapes are those of {listed(names)}; give {choices}"
    return (
        "its keys fit no built-in architecture; give arch=NAME if `cwda models` lists it, else "
        "load the weights into a module of your own and use that in Python"
    )


def _fill(model: nn.Module, state: State) -> None:
    expected = model.state_dict()
    with torch.no_grad():
        for key, tensor in state.items():
            expected[key].copy_(tensor.read())
