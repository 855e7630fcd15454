"""`load_model`: trained weights in the module of their architecture, ready to run."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import nn

from cwda.checkpoints.folders import checkpoint_in
from cwda.checkpoints.shards import read_checkpoint
from cwda.errors import SourceError
from cwda.loading.architectures.fitting import fitted
from cwda.loading.architectures.naming import names_that_fit
from cwda.loading.networks import is_path, name_of_file, one_line
from cwda.loading.wrong_types import require_no_address
from cwda.zoo import names as zoo

__all__ = ["architectures", "load_model", "named_model"]


def load_model(
    source: str | Path, *, arch: str | None = None, weights_key: str | None = None
) -> nn.Module:
    """A trained network that can run, in evaluation mode on the CPU.

    Weights are read as `load` reads them: nothing in a file is executed. They must fit the
    architecture key by key, behind a prefix that they may have in common (``module.``,
    ``model.`` of Lightning). What else the file holds is left out, and a `RuntimeWarning`
    says so.

    Parameters
    ----------
    source : str or Path
        The name of a model, as `load` takes it, or a checkpoint.
    arch : str, optional
        Architecture of a checkpoint, a name of `cwda.models.build`. Without it the usual
        ResNets and VGGs for 32 x 32 images are recognised by their keys, whatever their depth,
        width and names of parts; see ``docs/extraction.md``. The number of classes is the
        checkpoint's.
    weights_key : str, optional
        Dotted path of the state dict to take where a checkpoint holds several, such as ``ema``.

    Raises
    ------
    SourceError
        If the source or the architecture is unknown, or the weights do not fit it.
    UnreadableError
        If the file cannot be read.

    Examples
    --------
    >>> from cwda.loading import load_model
    >>> load_model("resnet20-cifar10").linear
    Linear(in_features=64, out_features=10, bias=True)
    """
    return named_model(source, arch, weights_key)[0]


def named_model(
    source: str | Path, arch: str | None = None, weights_key: str | None = None
) -> tuple[nn.Module, str]:
    """Like `load_model`, with the name that `load` gives the network."""
    if not isinstance(source, str | Path):
        raise SourceError(
            f"cannot make a model of an object of type {type(source).__name__}; give a name, or "
            "the path of a checkpoint"
        )
    require_no_address(source)
    if arch is not None or is_path(source):
        return _from_path(Path(source).expanduser(), arch, weights_key)
    text = str(source)
    entry = zoo.find(text)
    if entry is None:
        raise zoo.unknown(text)
    if entry.module is not None:
        return entry.module.eval(), text
    assert entry.path is not None
    model, _ = _from_path(entry.path, _architecture(text), weights_key)
    if entry.finish is not None:
        entry.finish(model)
    return model, text


def architectures(source: str | Path, weights_key: str | None = None) -> list[str]:
    """The names of torchvision's architectures whose keys and shapes a checkpoint has.

    Raises
    ------
    SourceError
        If the file cannot be read.
    """
    path = Path(source).expanduser()
    with one_line(path):
        _, content = read_checkpoint(checkpoint_in(path) if path.is_dir() else path)
        return names_that_fit(content, weights_key)


def _architecture(text: str) -> str | None:
    """The architecture that a name stands for; None where the keys must tell."""
    if text.startswith("timm:"):
        return text.partition(".")[0]
    return None if text.startswith(("hf:", zoo.BUILT_IN)) else text.partition(":")[0]


def _from_path(path: Path, arch: str | None, weights_key: str | None) -> tuple[nn.Module, str]:
    with one_line(path):
        file, content = read_checkpoint(checkpoint_in(path) if path.is_dir() else path)
        model, notes = fitted(content, arch, weights_key)
    if notes:
        warnings.warn(f"{path}: {'; '.join(notes)}", RuntimeWarning, stacklevel=4)
    return model.eval(), name_of_file(file)
