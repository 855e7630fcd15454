"""Downloads through the caches of torch.hub and huggingface_hub, with checked hashes."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from cwda.containers.mapped import sha256
from cwda.errors import SourceError, UnreadableError, reason_of
from cwda.progress import showing
from cwda.zoo.http import HashMismatchError, fetch

__all__ = ["HF_FILES", "from_hugging_face", "from_url", "hub_path"]

_LOG = logging.getLogger(__name__)

#: Files that hold a whole model on the Hugging Face hub, by preference.
HF_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
    "model.onnx",
)
_BUILT_IN = "built-in names need no network: resnet20-cifar10, resnet20-cifar10:init"


def hub_path(url: str) -> Path:
    """Where torch.hub keeps the file of a URL."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def from_url(url: str) -> Path:
    """The file of a URL in torch.hub's cache, downloaded if it is not there.

    The eight hexadecimal digits that torchvision puts into a file's name are compared with
    its SHA-256, of a cached file as well.

    Raises
    ------
    SourceError
        If it cannot be downloaded.
    UnreadableError
        If its hash is wrong.
    """
    path = hub_path(url)
    stated = re.search(r"-([0-9a-f]{8,})\.", path.name)
    prefix = stated.group(1) if stated else None
    if not path.exists():
        _download(url, path, prefix)
    elif prefix and not sha256(path).startswith(prefix):
        raise UnreadableError(
            f"{path}: its SHA-256 does not begin with {prefix} as its name says; delete it, "
            "it will be downloaded again"
        )
    return path


def _download(url: str, path: Path, prefix: str | None) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _LOG.info("downloading %s to %s", url, path)
        with showing(_LOG.isEnabledFor(logging.WARNING)):  # no bar where all is quiet
            fetch(url, path, prefix)
    except HashMismatchError:
        raise UnreadableError(
            f"{url}: the download's SHA-256 does not begin with {prefix}; it was removed, "
            "try again later"
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's are of OSError
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise SourceError(
            f"cannot download {url} ({reason}); put the file into {path.parent}, or {_BUILT_IN}"
        ) from None


def from_hugging_face(repository: str, file: str | None = None) -> Path:
    """A file of a repository on the Hugging Face hub, by default its model's weights.

    An index of shards brings its shards with it. Files in the cache need no network.

    Raises
    ------
    SourceError
        If the repository or file is missing or cannot be reached.
    """
    try:
        import huggingface_hub as hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise SourceError(
            'names of the Hugging Face hub need huggingface_hub: pip install "cwda[hf]"'
        ) from None
    candidates = (file,) if file else HF_FILES
    for name in candidates:
        try:
            cached = hub.try_to_load_from_cache(repository, name)
        except hub.errors.HFValidationError:
            raise SourceError(
                f"{repository!r} is not a repository on the hub; write hf:ORG/REPO"
            ) from None
        if isinstance(cached, str):
            return _with_shards(hub, repository, name, Path(cached))
    for name in candidates:
        found = _fetch(hub, repository, name)
        if found is not None:
            return _with_shards(hub, repository, name, found)
    raise SourceError(
        f"the repository {repository} has no {file or 'weights under a usual name'}; "
        "name a file, such as hf:ORG/REPO/FILE"
    )


def _fetch(hub: Any, repository: str, name: str) -> Path | None:
    """Download one file; None if the repository lacks it."""
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        # Asked first because it fails at once: the download waits half a minute for a network.
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, name, endpoint=endpoint))
        return Path(hub.hf_hub_download(repository, name, endpoint=endpoint))
    except hub.errors.LocalEntryNotFoundError:
        reason = "no network, or offline mode"
    except hub.errors.EntryNotFoundError:
        return None
    except hub.errors.GatedRepoError:
        reason = "it is gated: accept its terms and log in with `hf auth login`"
    except hub.errors.RepositoryNotFoundError:
        reason = "no such repository, or it is private"
    except Exception as error:  # versions of the library use three HTTP clients
        reason = reason_of(error, 100)
    server = (endpoint or hub.constants.ENDPOINT).rstrip("/")
    raise SourceError(
        f"cannot download {server}/{repository}/resolve/main/{name} ({reason}); the cache is "
        f"{hub.constants.HF_HUB_CACHE}, and {_BUILT_IN}"
    )


def _with_shards(hub: Any, repository: str, name: str, path: Path) -> Path:
    if not name.endswith(".index.json"):
        return path
    try:
        shards = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return path  # the reader of the index says what is wrong
    folder = name.rpartition("/")[0]
    for shard in sorted(str(shard) for shard in shards):
        file = f"{folder}/{shard}" if folder else shard
        if not isinstance(hub.try_to_load_from_cache(repository, file), str):
            _fetch(hub, repository, file)
    return path
