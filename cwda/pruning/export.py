"""Writing a pruned network to a file: its weights, or the whole computation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from cwda.arguments import as_path
from cwda.errors import CwdaError, ExportError
from cwda.files import require_writable
from cwda.loading.sources import model_of
from cwda.tracing.copies import duplicate
from cwda.tracing.cost import Example, example_input

__all__ = ["FORMATS", "export", "require_exportable"]


def _state_dict(model: nn.Module, image: Tensor, path: Path) -> None:
    from safetensors.torch import save_model

    save_model(model, str(path))


def _torchscript(model: nn.Module, image: Tensor, path: Path) -> None:
    with warnings.catch_warnings():
        # PyTorch 2.10 and later deprecate TorchScript; what it writes still loads everywhere.
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(model, image), str(path))


def _exported(model: nn.Module, image: Tensor, path: Path) -> None:
    program = torch.export.export(
        model, (_pair(image),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    torch.export.save(program, path)


def _onnx(model: nn.Module, image: Tensor, path: Path) -> None:
    torch.onnx.export(
        model,
        (_pair(image),),
        str(path),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        optimize=False,  # optimised, BatchNorm would be folded into the weights
        verbose=False,
    )


def _pair(image: Tensor) -> Tensor:
    """Two images: the size of a batch of one would be taken for a constant."""
    return image[:1].repeat(2, *[1] * (image.ndim - 1))


_WRITERS: dict[str, Callable[[nn.Module, Tensor, Path], None]] = {
    ".safetensors": _state_dict,
    ".pt": _torchscript,
    ".pt2": _exported,
    ".onnx": _onnx,
}

#: The endings that `export` knows.
FORMATS = tuple(_WRITERS)


def require_exportable(path: str | Path) -> Path:
    """Raise unless a network can be written to `path`; called before any long work.

    Raises
    ------
    ExportError
        If the ending is unknown, or an extra is missing.
    CwdaError
        If the folder is missing or may not be written.
    """
    path = as_path(path)
    if path.suffix not in _WRITERS:
        raise ExportError(f"{path}: unknown format; end the name with {', '.join(FORMATS)}")
    require_writable(path, FORMATS)
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if path.suffix == ".onnx" and missing:
        raise ExportError(
            f'writing ONNX needs {" and ".join(missing)}; pip install "cwda[onnx]" or write .pt2'
        )
    return path


def export(model: nn.Module | str | Path, path: str | Path, example: Example) -> Path:
    """Write a network, as it computes in evaluation mode.

    Parameters
    ----------
    model : nn.Module, str or Path
        The network, which stays as it is, or a name or file that `cwda.load_model` reads.
    path : str or Path
        Its ending says what is written: ``.safetensors`` the state dict; ``.pt`` TorchScript
        (deprecated by PyTorch in favour of the next); ``.pt2`` a program of `torch.export`;
        ``.onnx`` an ONNX model (extra ``onnx``). The batch size is free, but in TorchScript as
        the model's code makes it. `cwda.load` reads them all.
    example : Tensor or sequence of int
        An input of the model or its shape, batch first.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        If the ending is unknown, an extra is missing, or PyTorch cannot export the model.
    CwdaError
        If the folder is missing or may not be written.

    Examples
    --------
    >>> import tempfile, cwda
    >>> from cwda.models import cifar_resnet
    >>> from cwda.pruning import export
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cwda.load(export(cifar_resnet(20), folder + "/slim.safetensors", (1, 3, 32, 32)))
    Network('slim', 19 convolutions, 267,696 weights)
    """
    path = require_exportable(path)
    model = model_of(model)
    twin = duplicate(model).eval()
    try:
        with torch.no_grad():
            _WRITERS[path.suffix](twin, example_input(twin, example), path)
    except CwdaError:
        raise
    except Exception as error:  # an exporter may raise anything
        lines = str(error).strip().splitlines()
        raise ExportError(
            f"PyTorch cannot write {type(model).__name__} as {path.suffix} "
            f"({lines[0] if lines else type(error).__name__})"
        ) from error
    return path
