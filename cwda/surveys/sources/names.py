"""Names of models that a pattern stands for, with what is known of them."""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cwda.errors import SourceError, nearest, reason_of
from cwda.models.torchvision_models import torchvision_names

__all__ = ["Name", "labels_of", "matching_names"]

_GLOB = re.compile(r"[*?\[]")

#: What the networks in a module of torchvision are for.
_TASKS = {
    "detection": "detection",
    "segmentation": "segmentation",
    "video": "video classification",
    "optical_flow": "optical flow",
}


@dataclass(frozen=True)
class Name:
    """The name of a model as `cwda.load` takes it, with its labels."""

    text: str
    task: str = ""
    family: str = ""


def matching_names(text: str) -> list[Name]:
    """The models that a name or pattern with a prefix stands for.

    ``torchvision:PATTERN`` stands for networks with their default weights, and
    ``torchvision:PATTERN:PATTERN`` chooses the weights too; ``timm:PATTERN`` for pretrained
    networks; ``hf:ORG/PATTERN`` for repositories.

    Raises
    ------
    SourceError
        If nothing matches, or the list cannot be had.

    Examples
    --------
    >>> [name.text for name in matching_names("torchvision:vgg1?")]
    ['vgg11', 'vgg13', 'vgg16', 'vgg19']
    >>> matching_names("torchvision:vgg16")
    [Name(text='vgg16', task='classification', family='vgg')]
    """
    prefix, _, pattern = text.partition(":")
    return {"torchvision": _torchvision, "timm": _timm, "hf": _hugging_face}[prefix](pattern)


def labels_of(name: str) -> tuple[str, str]:
    """Task and family of a network of torchvision, or of the built-in one.

    Examples
    --------
    >>> labels_of("resnet20-cifar10"), labels_of("fcn_resnet50")
    (('classification', 'resnet'), ('segmentation', 'fcn'))
    """
    bare = name.partition(":")[0]
    if bare not in torchvision_names():
        return "classification", "resnet"
    from torchvision import models

    *_, package, module = models.get_model_builder(bare).__module__.split(".")
    return _TASKS.get(package, "classification"), module


def _torchvision(pattern: str) -> list[Name]:
    wanted, _, weights = pattern.partition(":")
    names = [name for name in torchvision_names() if fnmatch.fnmatchcase(name, wanted)]
    if not names:
        raise _nothing("torchvision", wanted, torchvision_names())
    if weights:
        names = [each for name in names for each in _weights(name, weights)]
        if not names:
            raise SourceError(f"torchvision:{pattern}: no such weights; `cwda models` lists them")
    return [Name(name, *labels_of(name)) for name in names]


def _weights(name: str, pattern: str) -> list[str]:
    from torchvision import models

    members = [member.name for member in models.get_model_weights(name)]
    return [f"{name}:{each}" for each in members if fnmatch.fnmatchcase(each, pattern)]


def _timm(pattern: str) -> list[Name]:
    try:
        import timm
    except ImportError:
        raise SourceError('names of timm need timm: pip install "cwda[timm]"') from None
    names = timm.list_models(pattern, pretrained=True) if _GLOB.search(pattern) else [pattern]
    known = [name for name in names if timm.is_model(name.partition(".")[0])]
    if not known:
        raise _nothing("timm", pattern, [*timm.list_models(), *timm.list_models(pretrained=True)])
    families = {
        name: timm.models.model_entrypoint(name.partition(".")[0]).__module__ for name in known
    }
    return [
        Name(f"timm:{name}", "classification", module.rpartition(".")[2])
        for name, module in families.items()
    ]


def _hugging_face(pattern: str) -> list[Name]:
    if not _GLOB.search(pattern):
        return [Name(f"hf:{pattern}")]
    owner, _, repository = pattern.partition("/")
    if _GLOB.search(owner) or not repository:
        raise SourceError(f"hf:{pattern}: a pattern needs its owner, such as hf:timm/resnet*")
    try:
        from huggingface_hub import list_models

        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # the error says it all
        literal = max(_GLOB.split(repository), key=len)
        found = [each.id for each in list_models(author=owner, search=literal or None)]
    except ImportError:
        raise SourceError('names of the hub need its library: pip install "cwda[hf]"') from None
    except Exception as error:  # whatever the network raises
        raise SourceError(f"hf:{pattern}: the hub cannot be asked ({reason_of(error)})") from None
    names = [name for name in found if fnmatch.fnmatchcase(name, pattern)]
    if not names:
        raise _nothing("hf", pattern, found)
    return [Name(f"hf:{name}") for name in sorted(names)]


def _nothing(prefix: str, pattern: str, known: Iterable[str]) -> SourceError:
    hint = nearest(_GLOB.sub("", pattern), known)
    return SourceError(f"{prefix}:{pattern}: no such network{hint}")
