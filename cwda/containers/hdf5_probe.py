"""Read an HDF5 file once and forget it: a program for a process of its own, which may crash.

``python hdf5_probe.py SIZE [PATH]`` reads the file at PATH, or the bytes on standard input. It
imports nothing of this package, which would take seconds.
"""

import io
import sys
from typing import Any

import h5py

#: As in `keras_files.datasets`: beyond these nothing is read there either.
DEEPEST, MOST_MEMBERS, MOST_EXPANSION = 32, 20_000, 50


def main() -> None:
    size, *path = sys.argv[1:]
    source = path[0] if path else io.BytesIO(sys.stdin.buffer.read())
    with h5py.File(source, "r") as root:
        visit(root, int(size), 0, [0])


def visit(group: Any, size: int, depth: int, members: list[int]) -> None:
    """Read the attributes of a group and all that lies below it."""
    attributes_of(group)
    for key in group if depth <= DEEPEST else ():
        members[0] += 1
        if members[0] > MOST_MEMBERS or not isinstance(group.get(key, getlink=True), h5py.HardLink):
            continue
        try:
            item = group[key]
        except (OSError, RuntimeError, KeyError):
            continue  # damage that the library notices is told by whoever reads the file
        if isinstance(item, h5py.Group):
            visit(item, size, depth + 1, members)
        elif isinstance(item, h5py.Dataset):
            values_of(item, size)


def attributes_of(item: Any) -> None:
    for name in item.attrs:
        try:
            item.attrs[name]
        except (OSError, RuntimeError, KeyError, ValueError, TypeError):
            continue


def values_of(data: Any, size: int) -> None:
    try:
        elsewhere = data.is_virtual or data.external
        if not elsewhere and data.dtype.kind in "fiubV" and data.nbytes <= MOST_EXPANSION * size:
            data[()]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return


if __name__ == "__main__":
    main()
