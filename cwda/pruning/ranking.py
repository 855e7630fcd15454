"""From scores to the channels that go: one greedy pass in the order of the scores.

Used alike where each filter stands for itself and where filters are tied.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cwda.choices import Strategy
from cwda.numerics.ranking.overlap import lowest_count

__all__ = ["COMBINE", "Choice", "Ranking"]

Marks = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

# Shares closer than this to the one asked for have reached it.
_ROUNDING = 1e-12


def _mean(channel: Integers, scores: Scores, size: int) -> Scores:
    # a plain score stays as it is to the last bit: x / 1
    return _sum(channel, scores, size) / np.maximum(np.bincount(channel, minlength=size), 1)


def _sum(channel: Integers, scores: Scores, size: int) -> Scores:
    return np.bincount(channel, weights=scores, minlength=size).astype(np.float64, copy=False)


def _max(channel: Integers, scores: Scores, size: int) -> Scores:
    highest = np.full(size, -np.inf)
    np.maximum.at(highest, channel, scores)
    return highest


#: Ways to make one score of those of tied filters.
COMBINE: dict[str, Callable[[Integers, Scores, int], Scores]] = {
    "mean": _mean,
    "sum": _sum,
    "max": _max,
}


@dataclass(frozen=True)
class Choice:
    """Channels to prune, first pruned first, and the layers that were spared."""

    taken: tuple[int, ...]
    spared: tuple[str, ...]


class Ranking:
    """Channels in the order of their scores, and the filters that each has in each layer.

    Parameters
    ----------
    scores : dict of str to array
        Scores of the filters of each layer, finite.
    channels : dict of str to array of int
        Channel of each filter, for the same layers.
    size : int
        Number of channels.
    usable : array of bool
        Channels that may be pruned.
    combine : str
        A name of `COMBINE`.
    """

    def __init__(
        self,
        scores: Mapping[str, Scores],
        channels: Mapping[str, Integers],
        size: int,
        usable: Marks,
        combine: str = "mean",
    ) -> None:
        self.channels = channels
        self.size = size
        self._uses: list[dict[str, int]] = [{} for _ in range(size)]
        for layer, rows in channels.items():
            for channel in rows.tolist():
                uses = self._uses[channel]
                uses[layer] = uses.get(layer, 0) + 1
        flat = [np.concatenate([x[name] for name in channels]) for x in (channels, scores)]
        combined = COMBINE[combine](flat[0], flat[1], size)
        order = np.argsort(combined, kind="stable")  # equal scores in the order of the channels
        self._order = [c for c in order.tolist() if usable[c] and self._uses[c]]

    def choose(
        self,
        strategy: Strategy,
        ratio: float,
        minimum: int,
        share: Callable[[Marks], float] | None = None,
    ) -> Choice:
        """The channels with the lowest scores.

        Without `share` the ratio is one of filters, and its whole part is taken; with it the
        fewest channels are taken whose removal reaches it.
        """
        if strategy == "global":
            return self._globally(ratio, minimum, share)
        return self._layerwise(ratio, minimum, share)

    def _layerwise(
        self, ratio: float, minimum: int, share: Callable[[Marks], float] | None
    ) -> Choice:
        if share is not None:
            ratio = self._common_ratio(ratio, minimum, share)
        wanted = {name: lowest_count(len(rows), ratio) for name, rows in self.channels.items()}
        most = self._room(minimum)
        taken, _ = self._take({name: min(n, most[name]) for name, n in wanted.items()})
        spared = [name for name, n in wanted.items() if n > most[name]]
        return Choice(taken, tuple(spared))

    def _common_ratio(self, ratio: float, minimum: int, share: Callable[[Marks], float]) -> float:
        """The least ratio of filters, common to all layers, that reaches a share."""
        sizes = {len(rows) for rows in self.channels.values()}
        steps = sorted({k / n for n in sizes for k in range(n + 1)})

        def reached(step: float) -> float:
            return share(self.mark(self._layerwise(step, minimum, None).taken))

        place = bisect.bisect_left(steps, ratio - _ROUNDING, key=reached)
        return steps[min(place, len(steps) - 1)]

    def _globally(
        self, ratio: float, minimum: int, share: Callable[[Marks], float] | None
    ) -> Choice:
        taken, refused = self._take(self._room(minimum))
        if share is None:
            wanted = lowest_count(sum(map(len, self.channels.values())), ratio)
            sizes = np.cumsum([0] + [sum(self._uses[c].values()) for c in taken])
            count = int(np.searchsorted(sizes, wanted, side="right")) - 1
            reached = bool(sizes[-1] >= wanted)
        else:
            steps = range(len(taken) + 1)
            count = bisect.bisect_left(
                steps, ratio - _ROUNDING, key=lambda k: share(self.mark(taken[:k]))
            )
            reached = count < len(steps)
            count = min(count, len(taken))
        spared = [name for name, at in refused.items() if at < count or not reached]
        return Choice(taken[:count], tuple(spared))

    def _room(self, minimum: int) -> dict[str, int]:
        """How many filters each layer can lose."""
        return {name: max(0, len(rows) - minimum) for name, rows in self.channels.items()}

    def _take(self, room: Mapping[str, int]) -> tuple[tuple[int, ...], dict[str, int]]:
        """Channels in order, each if all its layers have room; and when a layer first had none."""
        room = dict(room)
        taken: list[int] = []
        refused: dict[str, int] = {}
        for channel in self._order:
            full = [name for name, n in self._uses[channel].items() if room[name] < n]
            for name in full:
                refused.setdefault(name, len(taken))
            if full:
                continue
            taken.append(channel)
            for name, n in self._uses[channel].items():
                room[name] -= n
        return tuple(taken), refused

    def mark(self, taken: tuple[int, ...]) -> Marks:
        """The channels of a choice, as marks."""
        marks = np.zeros(self.size, dtype=bool)
        marks[list(taken)] = True
        return marks

    def filters(self, taken: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The filters of a choice, layer by layer, first pruned first."""
        place = {channel: i for i, channel in enumerate(taken)}
        return {
            name: tuple(
                sorted(
                    (i for i, c in enumerate(rows.tolist()) if c in place),
                    key=lambda i, rows=rows: place[int(rows[i])],  # type: ignore[misc]
                )
            )
            for name, rows in self.channels.items()
        }
