"""Names of trained networks: built in, of torchvision, of timm and of the Hugging Face hub."""

from __future__ import annotations

import difflib
import importlib.resources
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cwda.brief import brief
from cwda.errors import SourceError, close_names
from cwda.models.torchvision_models import (
    as_trained,
    builder_options,
    is_quantized,
    torchvision_names,
)
from cwda.zoo.download import from_hugging_face, from_url, hub_path

__all__ = ["Found", "ZooEntry", "available", "find", "is_known", "is_prefixed", "unknown"]

BUILT_IN = "resnet20-cifar10"
_PREFIXES = ("timm:", "hf:")


@dataclass(frozen=True)
class ZooEntry:
    """One line of the list of names.

    Attributes
    ----------
    name : str
        What `load` takes.
    source : str
        ``built-in``, ``torchvision``, ``timm`` or ``Hugging Face``.
    state : str
        ``ready``, ``cached``, ``to download`` or ``pattern`` (a name to be completed).
    detail : str
        URL, or what the name stands for.
    """

    name: str
    source: str
    state: str
    detail: str


@dataclass(frozen=True, eq=False)
class Found:
    """Where a name leads.

    Attributes
    ----------
    origin : str
        URL or name for the provenance.
    path : Path or None
        The file with the weights.
    blueprint : Module or None
        The architecture without values, which tells groups and transposition.
    module : Module or None
        A network in memory, in place of a file.
    finish : callable or None
        Sets on a module what its library sets along with these weights.
    """

    origin: str
    path: Path | None = None
    blueprint: nn.Module | None = None
    module: nn.Module | None = None
    finish: Callable[[nn.Module], None] | None = None

    __repr__ = brief


def available() -> list[ZooEntry]:
    """All names that `load` knows, and whether their weights are at hand.

    Examples
    --------
    >>> available()[0].name
    'resnet20-cifar10'
    """
    entries = [
        ZooEntry(BUILT_IN, "built-in", "ready", "CIFAR-10 ResNet-20, trained"),
        ZooEntry(f"{BUILT_IN}:init", "built-in", "ready", "the same network before training"),
    ]
    for name in torchvision_names():
        for weights in _torchvision_weights(name):
            state = "cached" if hub_path(weights.url).exists() else "to download"
            label = f"{name}:{weights.name}"
            entries.append(ZooEntry(label, "torchvision", state, weights.url))
    return [
        *entries,
        ZooEntry(
            "timm:NAME", "timm", "pattern", "a pretrained model of timm, such as timm:resnet18"
        ),
        ZooEntry(
            "hf:ORG/REPO[/FILE]", "Hugging Face", "pattern", "a repository, or one file in it"
        ),
    ]


def is_prefixed(text: str) -> bool:
    """Whether a name says which library it belongs to."""
    return text.startswith(_PREFIXES)


def is_known(text: str) -> bool:
    """Whether a name stands for a network, without looking whether its weights can be had."""
    if is_prefixed(text) or text in (BUILT_IN, f"{BUILT_IN}:init"):
        return True
    return text.partition(":")[0] in torchvision_names()


def find(text: str) -> Found | None:
    """Where a name leads, downloading if need be; None if no library knows it."""
    if text in (BUILT_IN, f"{BUILT_IN}:init"):
        return _built_in(text)
    if text.startswith("timm:"):
        return _timm(text.removeprefix("timm:"))
    if text.startswith("hf:"):
        return _hugging_face(text.removeprefix("hf:"))
    return _torchvision(text)


def unknown(text: str) -> SourceError:
    """The error for a name that nobody knows, with the nearest ones."""
    names = [BUILT_IN, f"{BUILT_IN}:init", *torchvision_names()]
    near = close_names(text, names)
    hint = f"did you mean {' or '.join(near)}?" if near else f"built in is {BUILT_IN};"
    return SourceError(
        f"{text!r} is neither a known model nor a file; {hint} `cwda models` lists the names"
    )


def _built_in(text: str) -> Found:
    folder = importlib.resources.files("cwda.models") / "weights"
    weights, about = (Path(str(folder / f"{BUILT_IN}{end}")) for end in (".safetensors", ".json"))
    try:
        recipe = json.loads(about.read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(
            f"{about}: the built-in weights are missing or damaged; install cwda again"
        ) from None
    from cwda.models import cifar_resnet, initialise

    if text.endswith(":init"):
        model = cifar_resnet(20)
        initialise(model, recipe["seed"])
        return Found(f"initial weights of {BUILT_IN}, seed {recipe['seed']}", module=model)
    return Found(f"{BUILT_IN}, which cwda brings", weights, _on_meta(lambda: cifar_resnet(20)))


def _torchvision(text: str) -> Found | None:
    name, _, wanted = text.partition(":")
    if is_quantized(name):
        raise SourceError(
            f"{name}: torchvision's quantised networks hold packed integers, which are not read; "
            f"take {name.removeprefix('quantized_')}"
        )
    if name not in torchvision_names():
        return None
    from torchvision import models

    members = {member.name: member for member in _torchvision_weights(name)}
    if wanted and wanted != "DEFAULT" and wanted not in members:
        raise SourceError(f"{name} has no weights {wanted!r}; it has {', '.join(members)}")
    default = models.get_model_weights(name).DEFAULT.name
    weights = members[wanted if wanted in members else default]
    builder = models.get_model_builder(name)
    # Drawing initial weights would cost seconds; on the meta device they are nothing anyway.
    blueprint = _on_meta(lambda: builder(weights=None, **builder_options(name)))
    finish = partial(as_trained, name=name, weights=weights.name)
    return Found(weights.url, from_url(weights.url), blueprint, finish=finish)


def _torchvision_weights(name: str) -> list[Any]:
    from torchvision import models

    return list(models.get_model_weights(name))


def _timm(name: str) -> Found:
    try:
        import timm
    except ImportError:
        raise SourceError('names of timm need timm: pip install "cwda[timm]"') from None
    architecture = name.partition(".")[0]
    config = timm.models.get_pretrained_cfg(name) if timm.is_model(architecture) else None
    if config is None or not (config.hf_hub_id or config.url):
        near = difflib.get_close_matches(name, timm.list_models(pretrained=True), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()"
        raise SourceError(f"timm has no pretrained weights of {name!r}; {hint}")
    blueprint = _on_meta(lambda: timm.create_model(name, pretrained=False))
    if config.hf_hub_id:
        path = from_hugging_face(config.hf_hub_id, config.hf_hub_filename)
        return Found(f"hf:{config.hf_hub_id}/{path.name}", path, blueprint)
    url = str(config.url)
    return Found(url, from_url(url), blueprint)


def _hugging_face(text: str) -> Found:
    parts = [part for part in text.split("/") if part]
    if len(parts) < 2:
        raise SourceError(f"'hf:{text}' names no repository; write hf:ORG/REPO or hf:ORG/REPO/FILE")
    repository, file = "/".join(parts[:2]), "/".join(parts[2:]) or None
    path = from_hugging_face(repository, file)
    return Found(f"hf:{repository}/{file or path.name}", path)


def _on_meta(build: Any) -> nn.Module | None:
    """A module without values; None where its constructor needs some."""
    try:
        with torch.device("meta"):
            module = build()
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return None
    return module if isinstance(module, nn.Module) else None
