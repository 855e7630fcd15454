"""The epochs of checkpoints, from their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cwda.errors import CwdaError
from cwda.layers import Network

__all__ = ["epochs_in", "epochs_of"]

_NUMBER = r"(\d+(?:\.\d+)?)"

#: Words before a number, the surer ones first: epochs, then steps. A letter before ends a word.
_WORDS = tuple(
    re.compile(rf"(?<![a-z])(?:{words})[\s_=.:-]*{_NUMBER}", re.IGNORECASE)
    for words in ("epochs?|ep", "global[_-]?step|steps?|iterations?|iters?|it")
)

#: A number right before its word, and one right behind a single letter.
_OTHERS = (
    re.compile(rf"{_NUMBER}[_-]?epochs?(?![a-z])", re.IGNORECASE),
    re.compile(rf"(?<![a-z0-9])e{_NUMBER}", re.IGNORECASE),
)


def epochs_of(networks: Sequence[Network]) -> list[float]:
    """The epoch of each checkpoint, from its name, or its folder where files have one name.

    Raises
    ------
    CwdaError
        As in `epochs_in`.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> epochs_of([cwda.load(net, name="net-0"), cwda.load(net, name="net-10")])
    [0.0, 10.0]
    """
    names = [re.sub(r" \(\d+\)$", "", network.name) for network in networks]
    if len(set(names)) < len(names):
        paths = [Path(network.provenance.source).parts for network in networks]
        if len(set(paths)) == len(paths):
            shared = min(map(len, paths))
            while len({path[:shared] for path in paths}) > 1:
                shared -= 1
            names = ["/".join(path[shared:]) for path in paths]
    return epochs_in(names)


def epochs_in(names: Sequence[str]) -> list[float]:
    """The epoch in each name: the number after "epoch", "ep" or "step".

    Without such a word it is the only number that is not the same in all names.

    Raises
    ------
    CwdaError
        If a name has no number, several numbers could be the epoch, or two names have the same.

    Examples
    --------
    >>> epochs_in(["net-epoch-0", "net-epoch-10"])
    [0.0, 10.0]
    >>> epochs_in(["epoch=4-val_loss=0.71", "epoch=20-val_loss=0.65"])
    [4.0, 20.0]
    >>> epochs_in(["resnet20-0001", "resnet20-0002"])
    [1.0, 2.0]
    """
    for words in (_WORDS[0], *_OTHERS, _WORDS[1]):
        found = [words.findall(name) for name in names]
        if (epochs := _varying(found)) is not None:
            return epochs
    if all(_WORDS[0].search(name) for name in names) and len(names) > 1:
        raise CwdaError(f"checkpoints of the same epoch: {', '.join(names)}")
    without = [name for name in names if not re.search(r"\d", name)]
    if without:
        raise CwdaError(
            f"no epoch in the name {without[0]!r}; end it with a number, such as net-10, or give "
            "epochs, as in cwda.trajectory({0: 'first.pth', 10: 'second.pth'})"
        )
    numbers = [re.findall(_NUMBER, name) for name in names]
    if len({re.sub(_NUMBER, "#", name) for name in names}) > 1 and max(map(len, numbers)) > 1:
        raise CwdaError(_unclear(names))
    epochs = _varying(numbers)
    if epochs is not None:
        return epochs
    if len({tuple(map(float, own)) for own in numbers}) < len(names):
        raise CwdaError(f"checkpoints of the same epoch: {', '.join(names)}")
    raise CwdaError(_unclear(names))


def _varying(numbers: Sequence[Sequence[str]]) -> list[float] | None:
    """The only number of each name that varies, all of them different; None if that is not so."""
    count = {len(own) for own in numbers}
    if len(count) != 1 or count == {0}:
        return None
    columns = [[float(value) for value in column] for column in zip(*numbers, strict=True)]
    if len(columns) > 1:
        columns = [column for column in columns if len(set(column)) > 1]
    if len(columns) != 1 or len(set(columns[0])) < len(numbers):
        return None
    return columns[0]


def _unclear(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:2])) + ", ..." * (len(names) > 2)
    return (
        f"which number is the epoch is not clear in the names {shown}; name the files such as "
        f"net-epoch-10.pth, or give epochs, as in cwda.trajectory({{0: {names[0]!r}, ...}})"
    )
