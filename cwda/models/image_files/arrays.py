"""Images in a .npz file: four arrays of numbers, or one line that says what they are instead."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cwda.errors import DataError
from cwda.progress import steps

__all__ = ["ARRAYS", "read_arrays", "require_arrays", "require_pixels"]

#: What the file holds.
ARRAYS = ("x_train", "y_train", "x_test", "y_test")

#: Numbers of channels that images are likely to have.
_CHANNELS = (1, 3, 4)


def require_arrays(path: Path) -> None:
    """Raise unless a file is a .npz file with arrays of these names; their values are not read.

    Raises
    ------
    DataError
        If it is missing, is something else, or lacks one.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except zipfile.BadZipFile:
        raise DataError(
            f"{path}: not a readable .npz file, which numpy.savez writes with {_listed()}"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    for name in ARRAYS:
        if name not in names:
            found = f"it has {', '.join(names[:8])}" if names else "it is empty"
            raise DataError(f"{path}: the array {name} is missing; {found}, not {_listed()}")


def read_arrays(path: Path) -> list[npt.NDArray[Any]]:
    """The four arrays of a .npz file.

    Raises
    ------
    DataError
        If it is no such file, lacks one, or one is damaged or made of Python objects.
    """
    require_arrays(path)
    arrays = []
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        for name in steps(ARRAYS, f"reading {path.name}"):
            try:
                arrays.append(archive[name])
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                objects = "Object arrays" in str(error)
                why = "Python objects, which are never read" if objects else f"damaged ({error})"
                remedy = "; save it as numbers" * objects
                raise DataError(f"{path}: the array {name} is {why}{remedy}") from error
    return arrays


def require_pixels(path: Path, name: str, images: npt.NDArray[Any]) -> None:
    """Raise unless an array holds images as bytes, channels last.

    Raises
    ------
    DataError
        If it has another shape or type, or no images; the message says how to convert it.
    """
    wrong = _wrong(images)
    if wrong:
        raise DataError(
            f"{path}: {name}: images must be uint8, n x height x width x channels, not "
            f"{images.dtype} of shape {images.shape}; {wrong}"
        )


def _wrong(images: npt.NDArray[Any]) -> str:
    """What is wrong with an array of images, and what to do about it; empty if nothing is."""
    shape = images.shape
    if not images.size:
        return "it holds no pixels"
    if images.ndim == 3:
        return "for images without an axis of channels, save x[..., None]"
    if images.ndim != 4:
        return "save the images with four axes"
    if shape[3] not in _CHANNELS and shape[1] in _CHANNELS:
        return "where channels come first, save x.transpose(0, 2, 3, 1)"
    return "" if images.dtype == np.uint8 else _wrong_type(images)


def _wrong_type(images: npt.NDArray[Any]) -> str:
    if images.dtype.kind not in "iufb":
        return "save the pixels as numbers"
    low, high = float(images.min()), float(images.max())
    span = f"its pixels run from {low:g} to {high:g}"
    if not 0 <= low <= high <= 255:  # NaN as well
        return f"{span}: save them as they were before they were normalised, from 0 to 255"
    scaled = "(255 * x)" if high <= 1 else "x"
    return f"{span}: save {scaled}.round().astype('uint8')"


def _listed() -> str:
    return f"{', '.join(ARRAYS[:-1])} and {ARRAYS[-1]}"
