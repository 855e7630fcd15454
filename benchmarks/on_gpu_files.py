"""The files that a machine without network is sent: weights, and images packed without loss.

Images travel as lossless WebP mosaics, which take half the room of a compressed array file.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cwda.models import Images, read_images
from cwda.models.data import ImageData

__all__ = ["images_of", "pack", "weights_of"]

#: Images along each side of a mosaic.
_TILES = 50


def weights_of(folder: Path) -> list[Path]:
    """The files with weights in a folder that was packed."""
    place = folder / "weights"
    return sorted(path for path in place.iterdir() if path.is_file()) if place.is_dir() else []


def images_of(folder: Path) -> ImageData | None:
    """The images in a folder that was packed; None if there are none."""
    place = folder / "images"
    if not (place / "about.json").is_file():
        return None
    about = json.loads((place / "about.json").read_text())
    (x_train, y_train), (x_test, y_test) = (_read(place, part) for part in ("train", "test"))
    return ImageData(x_train, y_train, x_test, y_test, tuple(about["mean"]), tuple(about["std"]))


def pack(
    folder: Path, weights: Iterable[Path], images: Path | None, normalisation: str, limit: int
) -> list[str]:
    """Put weights and as many images as fit into a folder, and say what is in it.

    Parameters
    ----------
    folder : Path
        What lies there already, such as wheels, counts towards the limit.
    weights : iterable of Path
        Files that `cwda.load` reads.
    images : Path, optional
        What `cwda.read_images` reads. A fifth of what fits are test images.
    normalisation : str
        The one that the weights were trained with.
    limit : int
        Largest size of the folder in bytes.
    """
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    for path in weights:
        shutil.copy(path, folder / "weights")
    said = [f"{len(weights_of(folder))} files with weights"]
    if images is not None:
        data = read_images(images, normalisation=normalisation)
        place = folder / "images"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        room = limit - size_of(folder)
        n_test = _write(place, "test", data.test, room // 5)
        n_train = _write(place, "train", data.train, limit - size_of(folder) - (1 << 20))
        about = {"mean": data.mean, "std": data.std, "train": n_train, "test": n_test}
        (place / "about.json").write_text(json.dumps(about))
        said.append(f"the first {n_train:,} training and {n_test:,} test images")
    return [*said, f"{size_of(folder) / 2**20:.1f} MiB in all"]


def size_of(folder: Path) -> int:
    """Bytes in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write(place: Path, part: str, images: Images, room: int) -> int:
    """Mosaics of one part until the room is used up; the number of images written."""
    per_mosaic, written = _TILES**2, 0
    for number, start in enumerate(range(0, len(images), per_mosaic)):
        pixels = images.pixels[start : start + per_mosaic]
        path = place / f"{part}-{number:02d}.webp"
        _mosaic(pixels).save(path, lossless=True, quality=60, method=2)
        if sum(each.stat().st_size for each in place.glob(f"{part}-*.webp")) > room and written:
            path.unlink()
            break
        written += len(pixels)
    np.save(place / f"{part}-labels.npy", images.labels[:written].numpy().astype(np.uint8))
    return written


def _mosaic(pixels: Tensor) -> Image.Image:
    side = pixels.shape[-1]
    rows = math.ceil(len(pixels) / _TILES)
    tiles = np.zeros((rows * _TILES, 3, side, side), dtype=np.uint8)
    tiles[: len(pixels)] = pixels.numpy()
    sheet = tiles.reshape(rows, _TILES, 3, side, side).transpose(0, 3, 1, 4, 2)
    return Image.fromarray(sheet.reshape(rows * side, _TILES * side, 3))


def _read(place: Path, part: str) -> tuple[Tensor, Tensor]:
    labels = torch.from_numpy(np.load(place / f"{part}-labels.npy").astype(np.int64))
    sheets = []
    for path in sorted(place.glob(f"{part}-*.webp")):
        sheet = np.asarray(Image.open(path).convert("RGB"))
        side = sheet.shape[1] // _TILES
        tiles = sheet.reshape(-1, side, _TILES, side, 3).transpose(0, 2, 4, 1, 3)
        sheets.append(tiles.reshape(-1, 3, side, side))
    pixels = torch.from_numpy(np.ascontiguousarray(np.concatenate(sheets)[: len(labels)]))
    return pixels, labels
