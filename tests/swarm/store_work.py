"""What a store does in a life, for campaigns that end that life at any moment.

A workload drives a store through the public door and notes in a `Ledger` what was handed
over, what was acknowledged and what was forgotten. `judge` says what is wrong with a
store that was found after a disaster, by the ledger's note of the moment before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import apsw

from swarm.blueprint.shared import Shared
from swarm.core.audit.entries import entry_of
from swarm.core.audit.inspect import Fault, inspect
from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.audit import AuditEntry
from swarm.ports.journal import RunRow
from swarm.ports.store import Store
from swarm.stores.entries import StoreLimits, follow
from swarm.stores.sqlite import Durability, connection, open_store, schema
from swarm.stores.sqlite.audit import AuditReader
from swarm.stores.sqlite.binding import Connection
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.reader import Reader
from swarm.stores.sqlite.writer import Writer

__all__ = ("WORKLOADS", "Ledger", "Mark", "Shop", "judge", "migrated")

LIMITS = StoreLimits(spill_bytes=1_000)

_PASSING = ("journal.degraded", "journal.unreadable", "store.unavailable")
_T = TypeVar("_T")
# The version of a store as this code makes it; all that leads there is one transaction.
_NEWEST = len(schema.MIGRATIONS)


@dataclass(frozen=True)
class Mark:
    """What was true at a moment: last event of each run that was handed over or acknowledged.

    `going`: runs that are being forgotten, there or not. `gone`: those that must not be.
    """

    handed: Mapping[RunId, int]
    acknowledged: Mapping[RunId, int]
    going: frozenset[RunId] = frozenset()
    gone: frozenset[RunId] = frozenset()


class Ledger:
    """Notes what a workload has reached."""

    def __init__(self) -> None:
        self._handed: dict[RunId, int] = {}
        self._acknowledged: dict[RunId, int] = {}
        self._going: frozenset[RunId] = frozenset()
        self._gone: frozenset[RunId] = frozenset()
        self._mark = Mark({}, {})

    def mark(self) -> Mark:
        return self._mark

    def handed(self, run_id: RunId, count: int) -> list[int]:
        """Note *count* more events of the run; return their numbers."""
        first = self._handed.get(run_id, 0) + 1
        self._handed[run_id] = first + count - 1
        self._note()
        return [*range(first, first + count)]

    def acknowledge(self, run_id: RunId, seq: int) -> None:
        self._acknowledged[run_id] = max(seq, self._acknowledged.get(run_id, 0))
        self._note()

    def acknowledge_all(self) -> None:
        self._acknowledged.update(self._handed)
        self._note()

    def forgetting(self, run_ids: list[RunId]) -> None:
        self._going = self._going.union(run_ids)
        self._note()

    def forgot(self) -> None:
        self._gone, self._going = self._gone | self._going, frozenset()
        self._note()

    def _note(self) -> None:
        self._mark = Mark(dict(self._handed), dict(self._acknowledged), self._going, self._gone)


class Shop:
    """A store under work: opens it, keeps rows, and tells the ledger.

    *patient*: where a commit is refused for now, ask again until it is not.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        vfs: str,
        durability: Durability = "full",
        *,
        patient: bool = False,
    ) -> None:
        self.folder = folder
        self.ledger = ledger
        self.refusals = 0
        self._settings = (durability, vfs)
        self._patient = patient
        self.store = self._opened()

    def reopen(self) -> None:
        self.store.close()
        self.store = self._opened()

    def hand(self, run_id: RunId, count: int = 1, **more: Any) -> int:
        """Append *count* rows; return the number of the last."""
        numbers = self.ledger.handed(run_id, count)
        rows = [_row(seq, **more) for seq in numbers]
        self._again(lambda: self.store.journal.append(run_id, rows))
        return numbers[-1]

    async def keep(self, run_id: RunId, count: int = 1, **more: Any) -> None:
        """Append and commit."""
        last = self.hand(run_id, count, **more)
        await self.commit()
        self.ledger.acknowledge(run_id, last)

    async def commit(self) -> None:
        await self.patiently(self.store.journal.commit)

    async def patiently(self, act: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(20):
            try:
                await act()
                return
            except SwarmError as error:
                self._refused(error)
        raise AssertionError("refused too often")

    def put(self, run_id: RunId, body: bytes) -> None:
        self._again(lambda: self.store.blobs.put(run_id, body))

    def _opened(self) -> Store:
        durability, vfs = self._settings
        return self._again(lambda: open_store(self.folder, durability, limits=LIMITS, vfs=vfs))

    def _again(self, act: Callable[[], _T]) -> _T:
        for _ in range(20):
            try:
                return act()
            except SwarmError as error:
                self._refused(error)
        raise AssertionError("refused too often")

    def _refused(self, error: SwarmError) -> None:
        self.refusals += 1
        if not self._patient or error.code not in _PASSING:
            raise error


def _row(seq: int, **more: Any) -> dict[str, Any]:
    kind = "run.started" if seq == 1 else "step.progress"
    return {"kind": kind, "seq": seq, "time_s": 1.0 + seq, "text": "a word or two", **more}


ONE, TWO = RunId("r_1"), RunId("r_2")


async def _single(shop: Shop) -> None:
    """A lone run, event by event."""
    for _ in range(30):
        await shop.keep(ONE, 2)


async def _group(shop: Shop) -> None:
    """Many runs that share commits."""

    async def work(run_id: RunId) -> None:
        for _ in range(4):
            await shop.keep(run_id, 2)

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(work, RunId(f"r_{number}"))


async def _large(shop: Shop) -> None:
    """More rows than one transaction takes."""
    shop.hand(ONE, 450)
    shop.hand(TWO, 450)
    await shop.keep(ONE, 450)
    shop.ledger.acknowledge_all()
    await shop.keep(TWO)


async def _spill(shop: Shop) -> None:
    """Members and blobs that lie beside the rows."""
    for number in range(8):
        shop.put(ONE, b"document %d" % number * 300)
        await shop.keep(ONE, value="x" * (900 + 700 * number))
        await shop.keep(TWO, value="x" * (900 + 700 * number))


async def _checkpoint(shop: Shop) -> None:
    """A log that is folded into the file again and again."""
    with folding_each(8):
        shop.reopen()
        for number in range(25):
            await shop.keep(ONE, value="y" * 100 * number)


async def _forget(shop: Shop) -> None:
    """Runs that end and are forgotten, between others."""
    for number in range(4):
        for name in ("a", "b"):
            run_id = RunId(f"{name}_{number}")
            await shop.keep(run_id, 3, value="z" * 1_500)
            if name == "a":
                await shop.keep(run_id, kind="run.finished")
        gone = [RunId(f"a_{number}")]
        shop.ledger.forgetting(gone)
        await shop.patiently(lambda gone=gone: shop.store.journal.forget(gone))
        shop.ledger.forgot()
        await shop.keep(ONE)


async def _reopen(shop: Shop) -> None:
    """Engine after engine: each folds the log, and begins an epoch."""
    for number in range(8):
        await shop.keep(ONE, 2)
        await shop.keep(RunId(f"r_{number}"))
        shop.reopen()


async def _migrate(shop: Shop) -> None:
    """An older store that becomes a newer one."""
    await shop.keep(ONE, 5)
    with migrated():
        shop.reopen()
        await shop.keep(ONE, 5)


async def _probe(shop: Shop) -> None:
    """Words of no meaning between words of some."""
    for _ in range(8):
        await shop.keep(ONE)
        await shop.store.journal.probe()


DOCUMENTS = [Shared({"flow": {"number": n, "text": "w" * 700 * n}}) for n in range(3)]


async def _documents(shop: Shop) -> None:
    """Runs that have their documents in common, of which some are forgotten."""
    for number in range(12):
        run_id = RunId(f"d_{number}")
        shop.store.journal.new(run_id)
        await shop.keep(run_id, document=DOCUMENTS[number % 3])
        await shop.keep(run_id, kind="run.finished")
        if number % 4 == 3:
            gone = [RunId(f"d_{n}") for n in range(number - 3, number)]
            shop.ledger.forgetting(gone)
            await shop.patiently(lambda gone=gone: shop.store.journal.forget(gone))
            shop.ledger.forgot()


async def _families(shop: Shop) -> None:
    """Runs with runs within them, forgotten as one."""
    for number in range(3):
        names = [RunId(f"f_{number}{deep}") for deep in ("", "x", "xx")]
        for above, run_id in zip((None, *names), names, strict=False):
            parent = None if above is None else {"run": above, "key": "$", "attempt": 1}
            shop.put(run_id, b"of the family" * 100 * (number + 1))
            await shop.keep(run_id, parent=parent, document=DOCUMENTS[number])
            await shop.keep(run_id, kind="run.finished")
        await shop.keep(ONE)
        shop.ledger.forgetting(names)
        await shop.patiently(lambda names=names: shop.store.journal.forget(names[:1]))
        shop.ledger.forgot()


async def _beside(shop: Shop) -> None:
    """Entries of the audit log, uses and revocations of tokens: each with the row that it is of."""
    for number in range(1, 9):
        for run_id in (RunId("t_1"), RunId("t_2")):
            if number == 5 and run_id == "t_1":
                shop.reopen()
            shop.store.audit.record(_entry(run_id))
            shop.store.ledger.use(run_id, 9_999_999_999)
            shop.store.ledger.revoke("subject", f"{run_id}/{number}", number, 9_999_999_999)
            await shop.keep(run_id)


def _entry(run_id: RunId) -> AuditEntry:
    return AuditEntry(1.5, "owner", "run.start", "allowed", run_id)


async def _ends(shop: Shop) -> None:
    """Runs that begin and end in one commit or in several."""
    for number in range(12):
        run_id = RunId(f"r_{number}")
        await shop.keep(run_id, 1 + number % 3)
        await shop.keep(run_id, kind="run.failed")


WORKLOADS: Mapping[str, Callable[[Shop], Awaitable[None]]] = {
    "single commits": _single,
    "group commit": _group,
    "large batches": _large,
    "spill": _spill,
    "checkpoint": _checkpoint,
    "collection": _forget,
    "reopening": _reopen,
    "migration": _migrate,
    "probes": _probe,
    "ends of runs": _ends,
    "documents in common": _documents,
    "families": _families,
    "tables beside": _beside,
}


@contextmanager
def folding_each(pages: int) -> Generator[None]:
    """Let connections that are opened meanwhile fold the log at *pages*."""
    before, connection.CHECKPOINT_PAGES = connection.CHECKPOINT_PAGES, pages
    try:
        yield
    finally:
        connection.CHECKPOINT_PAGES = before


@contextmanager
def migrated() -> Generator[None]:
    """Make the schema one version newer, by a change of every part of it."""

    def second(changed: Connection) -> None:
        changed.execute("alter table run add column mood text")
        changed.execute("create table moods (name text) strict")
        changed.execute("insert into moods select id from run")
        changed.execute("update run set mood = 'good'")

    before = schema.MIGRATIONS
    schema.MIGRATIONS = (*before, second)
    try:
        yield
    finally:
        schema.MIGRATIONS = before


def judge(source: Source, mark: Mark, *, exactly: bool = False) -> str | None:
    """Say what is wrong with the store, or None.

    *exactly*: everything that was handed over must be there too.
    """
    try:
        return _schema(source) or _contents(source, mark, exactly=exactly)
    except (SwarmError, apsw.Error) as error:
        return f"{type(error).__name__}: {error}"


def _schema(source: Source) -> str | None:
    """Look at the file as it was found: one version or the other, and never a mixture."""
    found = apsw.Connection(source.path)
    try:
        state = found.execute("pragma integrity_check").get
        if state != "ok":
            return f"integrity: {state}"
        version = found.execute("pragma user_version").get
        columns = {row[1] for row in found.execute("pragma table_info(run)")}
        tables = {row[0] for row in found.execute("select name from sqlite_schema")}
    finally:
        found.close()
    whole = {0: set[str](), _NEWEST: {"run"}, _NEWEST + 1: {"run", "moods"}}[version]
    if {"run", "moods"} & tables != whole or ("mood" in columns) != (version > _NEWEST):
        return f"a mixture: version {version} with {sorted(tables)}"
    return None


def _contents(source: Source, mark: Mark, *, exactly: bool) -> str | None:
    with migrated():
        Writer(source).drop()
    reader = Reader(source)
    try:
        heads = reader.heads()
        return (
            next(filter(None, (_run(reader, run_id) for run_id in heads)), None)
            or _reached(heads, mark, exactly=exactly)
            or _together(source, heads)
        )
    finally:
        reader.close()


def _chained(source: Source) -> Fault | None:
    with migrated(), AuditReader(Path(source.path)) as log:
        return inspect(log.rows()).fault


def _together(source: Source, heads: Mapping[RunId, int]) -> str | None:
    """Hold what was written beside the rows, and what only some runs need, against the runs."""
    found = apsw.Connection(source.path)
    try:
        acts = Counter(entry_of(body).run for (body,) in found.execute("select body from audit"))
        uses = dict(found.execute("select counter, count from token_use"))
        names = [name for (name,) in found.execute("select name from token_void")]
        loose = found.execute(
            "select count(*) from blob where digest not in (select digest from holding)"
        ).get
    finally:
        found.close()
    voids = Counter(name.split("/")[0] for name in names)
    fault = _chained(source) if acts else None
    if fault is not None:
        return f"the audit log: {fault}"
    if loose:
        return f"{loose} blobs that nobody holds"
    for run_id in {*acts, *uses, *voids, *(run for run in heads if run.startswith("t_"))}:
        had = (heads.get(RunId(str(run_id)), 0),)
        got = (acts[run_id], uses.get(run_id, 0), voids[str(run_id)])
        if {*had, *got} != {*had}:
            return f"run {run_id}: {had[0]} rows, and acts, uses and voids {got}"
    return None


def _run(reader: Reader, run_id: RunId) -> str | None:
    bad = reader.verify(run_id)
    if bad is not None:
        return f"run {run_id} is broken at {bad}"
    head = reader.head(run_id)
    run = RunRow(run_id)
    for row in reader.read(run_id, 0, 100_000):
        run = follow(run, row)
    return None if head is not None and head.run == run else f"run {run_id} is listed wrongly"


def _reached(heads: Mapping[RunId, int], mark: Mark, *, exactly: bool) -> str | None:
    for run_id in heads.keys() | mark.handed.keys():
        found, most = heads.get(run_id, 0), mark.handed.get(run_id, 0)
        least = most if exactly else mark.acknowledged.get(run_id, 0)
        if run_id in mark.gone:
            least = most = 0
        elif run_id in mark.going and not found:
            continue
        if not least <= found <= most:
            return f"run {run_id}: expected {least} to {most} events, got {found}"
    return None
