"""What is done, what is left, and who is whose duplicate."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cwda.surveys.settings import versions
from cwda.surveys.sources.expand import Source
from cwda.surveys.store import WITHOUT_RESULT, Store, as_part
from cwda.surveys.tables import NETWORKS, NetworkRecord, storable
from cwda.surveys.workers.tasks import Reply

__all__ = ["Ledger"]


@dataclass(frozen=True)
class _Entry:
    part: str
    source: str
    stamp: str
    status: str
    digest: str


class Ledger:
    """The table `networks` as it grows.

    Parameters
    ----------
    store : Store
        Where it is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions = versions()
        self._owners: dict[str, str] = {}

    def left(self, wanted: Sequence[Source], *, again: bool) -> list[Source]:
        """The sources that are not done, or have changed since.

        Parameters
        ----------
        wanted : sequence of Source
            What is asked for.
        again : bool
            Whether those that failed are left. What was not there is always looked for anew, and
            forgotten if nobody asks for it any more.
        """
        self._store.sweep()
        entries = self._entries()
        kept = {entry.digest for entry in entries if entry.status != "duplicate" and entry.digest}
        now = {storable(source.text): source for source in wanted}
        stale, done = set(), set()
        for entry in entries:
            if entry.status == "unavailable":  # whatever it meant, it is looked for anew
                self._store.remove(entry.part)
                continue
            source = now.get(entry.source)
            changed = source is not None and source.stamp != entry.stamp
            failed = entry.status not in ("done", "duplicate")
            orphan = entry.status == "duplicate" and entry.digest not in kept
            if source is not None and (changed or orphan or (failed and again)):
                self._store.remove(entry.part)
                stale.add(entry.digest)
            else:
                done.add(entry.source)
        for entry in entries:  # whose original is gone
            if entry.status == "duplicate" and entry.digest in stale and entry.source in now:
                self._store.remove(entry.part)
                done.discard(entry.source)
            elif entry.status == "done" and entry.source in done:
                self._owners[entry.digest] = entry.source
        return [source for source in wanted if storable(source.text) not in done]

    def relabel(self, wanted: Sequence[Source]) -> None:
        """Give what is done the labels that its sources have now; without any it keeps its own.

        Raises
        ------
        CwdaError
            If a row cannot be written.
        """
        labels = {
            storable(source.text): {
                "task": storable(source.task),
                "family": storable(source.family),
            }
            for source in wanted
            if source.task or source.family
        }
        marked = self._store.marked()
        rows = self._store.read(NETWORKS, marked).to_pylist()
        for part, row in zip(marked, rows, strict=True):
            now = row | labels.get(row["source"], {})
            if now != row:
                self._store.put(part, {NETWORKS.name: as_part(NETWORKS, [now])})

    def _entries(self) -> list[_Entry]:
        marked = self._store.marked()
        table = self._store.read(NETWORKS, marked)
        columns = ("source", "stamp", "status", "hash")
        values = (table.column(name).to_pylist() for name in columns)
        return [_Entry(*cells) for cells in zip(marked, *values, strict=True)]

    def claim(self, digest: str, source: Source) -> str | None:
        """Make a source the one whose weights are measured; the other one if there is one."""
        name = storable(source.text)
        owner = self._owners.setdefault(digest, name)
        return None if owner == name else owner

    def enter(self, source: Source, reply: Reply, finished: str) -> None:
        """Write what became of a source.

        Raises
        ------
        CwdaError
            If it cannot be written.
        """
        facts = {"name": source.name, **reply.facts}
        record = NetworkRecord(
            source=source.text,
            status=reply.status,
            reason=reply.reason,
            task=source.task,
            family=source.family,
            stamp=source.stamp,
            finished=finished,
            **self._versions,  # type: ignore[arg-type]
            **facts,  # type: ignore[arg-type]
        )
        done = reply.status == "done"
        part = record.hash if done else f"{WITHOUT_RESULT}{_digest(source.text)}"
        row = as_part(NETWORKS, NETWORKS.cells([record], record.hash))
        self._store.put(part, {**reply.parts, NETWORKS.name: row})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
