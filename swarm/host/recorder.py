"""What is done to a host, in its audit log: by whom, and whether it was allowed.

Acts that change something are recorded in the transaction of what they change. Refused
ones are recorded too, those of outsiders up to so many a minute: whoever knocks often must
not fill the disk. After so many entries a checkpoint is signed and handed to the sinks.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from swarm.core.acts import Act, acting, current, ends, sets_out
from swarm.core.capability.grant import Grant
from swarm.core.capability.rules import Decision
from swarm.errors import Refused, SwarmError
from swarm.host.parts import Parts
from swarm.host.standing import shortfall
from swarm.ports.audit import AuditEntry, AuditLog, CheckpointSink, WrittenEntry

if TYPE_CHECKING:
    # They sign, and so lean on a large library: loaded with the first checkpoint.
    from swarm.core.audit.checkpoint import Checkpoint
    from swarm.core.capability.guard import KeyStore, Pass

__all__ = ("Doing", "Recorder")

_LOGGER = logging.getLogger(__name__)

# Refused outsiders that are recorded one by one in a minute.
_KNOCKS = 60


class Recorder:
    """The audit log of a host, as the host and its layers write it.

    Shape: *sinks* are handed a checkpoint whenever *every* more entries are kept (0: never).
    """

    def __init__(
        self,
        parts: Parts,
        keys: Callable[[], KeyStore],
        sinks: Sequence[CheckpointSink],
        every: int,
    ) -> None:
        self._log = parts.audit
        self._journal = parts.journal
        self._wall = parts.clock.wall
        self._keys = keys
        self._sinks = sinks
        self._every = every if sinks else 0
        self._marked = self._signed = 0 if self._log is None else self._log.size
        self._records = parts.records
        # Up to where every sink was told, as far as this host knows.
        self._told = 0
        self._news: anyio.Event | None = None
        self._minute = 0
        self._knocks = 0

    # -- as an audit log ---------------------------------------------------------------

    @property
    def log(self) -> AuditLog | None:
        """What layers write to: the log itself, where no checkpoint is ever due."""
        return self if self._log is not None and self._every else self._log

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._kept().size

    def end(self) -> tuple[int, bytes, bytes]:
        """Return how many entries there are, the chain's last hash, and the tree's root."""
        return self._kept().end()

    def record(self, entry: AuditEntry | WrittenEntry) -> None:
        """Put *entry* behind the others; it lasts from the journal's next commit on."""
        (self._log or self._kept()).record(entry)
        if self._news is not None and self._due():
            self._news.set()
            self._news = None

    async def read(self, since: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Return up to *limit* entries that are kept: the first is number *since* + 1."""
        return await self._kept().read(since, limit)

    async def append(self, entry: AuditEntry | WrittenEntry) -> None:
        """Return when *entry* is kept."""
        await self._kept().append(entry)
        await self._mark()

    def _kept(self) -> AuditLog:
        if self._log is None:
            raise SwarmError("audit.unavailable", "expected a host with an audit log, got none")
        return self._log

    # -- acts --------------------------------------------------------------------------

    def doing(
        self, actor: str, verb: str, run: str | None = None, *, always: bool = False
    ) -> Doing:
        """Let what is done inside be an act of *actor*, recorded with the first rows of it.

        Shape: *always*: it is recorded although it appends no rows, as is an act that has
        a detail. Within an act that is on its way this changes nothing.
        """
        return Doing(self, actor, verb, run, always=always)

    @asynccontextmanager
    async def guest(
        self,
        passed: Pass,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        *,
        always: bool = False,
    ) -> AsyncGenerator[None]:
        """Let what is done inside be an act of a guest, by the use that he was passed with."""
        decision = passed.decision

        def landing(made: str | None) -> None:
            passed.spend()
            if always or made is not None or act.detail:
                self.note(decision.actor, decision.verb, "allowed", run, step, attempt,
                          grant=decision.grant, made=made, detail=act.detail)  # fmt: skip

        act = Act(landing)
        try:
            with acting(act):
                yield
        except BaseException:
            if not act.landed:
                passed.release()
            raise
        lasts = always or bool(act.detail) or bool(passed.counters)
        await self.landed(act, lasts=lasts)

    async def ahead(self, verb: str, detail: Mapping[str, Any]) -> None:
        """Record what is about to be done to something that the journal does not hold.

        There is no transaction with it: what was done and not recorded would be worse than
        what was recorded and then not done. It is kept when this returns.
        """
        act = current()
        if act is None:
            self.note("owner", verb, "allowed", detail=detail)
        else:
            act.detail = detail
            act.land()
        await self._journal.commit()
        await self._mark()

    async def flush(self) -> None:
        """Return when all that was noted is kept."""
        await self._journal.commit()
        await self._mark()

    async def landed(self, act: Act, *, lasts: bool) -> None:
        """Note an act that is over, where no rows of it were appended."""
        if not act.landed:
            # Nothing was written: what is given away now is counted first.
            act.land()
            if lasts:
                await self._journal.commit()
        if self._due():
            await self._mark()

    def note(
        self,
        actor: str,
        verb: str,
        decision: str,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        *,
        grant: Grant | None = None,
        made: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an act, where there is a log."""
        if self._log is None:
            return
        said = dict(detail or {})
        if grant is not None:
            said |= {"role": grant.role, "token": grant.token}
        if made is not None and run is not None and made != run:
            said["made"] = made
        entry = AuditEntry(
            self._wall(), actor, verb, decision, run or made, step, attempt, detail=said
        )
        self._log.record(entry)

    async def denied(
        self, decision: Decision, run: str | None, step: str | None, attempt: int | None
    ) -> None:
        """Record that somebody was refused, and why; he himself may be told less."""
        if self._log is None:
            return
        detail: dict[str, Any] = {"reason": decision.reason}
        if decision.outsider:
            minute = int(self._wall() // 60)
            if minute != self._minute:
                if self._knocks > _KNOCKS:
                    detail["unrecorded"] = self._knocks - _KNOCKS
                self._minute, self._knocks = minute, 0
            self._knocks += 1
            if self._knocks > _KNOCKS:
                return
            # What an outsider names may be anything: it is not repeated.
            run = step = attempt = None
        self.note(decision.actor, decision.verb, "denied", run, step, attempt,
                  grant=decision.grant, detail=detail)  # fmt: skip
        await self._journal.commit()
        await self._mark()

    # -- checkpoints -------------------------------------------------------------------

    async def shortfall(self) -> SwarmError | None:
        """Say what is missing of this log, where the last checkpoint knows it to be longer."""
        if self._log is None or self._records is None:
            return None
        return await shortfall(self._log, self._records, self._sinks, self._keys)

    async def accept(self, short: SwarmError) -> None:
        """Record that the log begins anew where it ends now, and sign that."""
        _LOGGER.error("%s", short.message)
        self.note("host", "audit.prove", "allowed", detail=dict(short.values))
        await self.checkpoint()

    async def checkpoint(self) -> Checkpoint:
        """Sign how the log is now, hand that to the sinks, and return it.

        Raises: SwarmError (audit.unavailable); what a sink raises is logged.
        """
        from swarm.core.audit.checkpoint import signed, witnessed

        size, head, root = self.end()
        # What a checkpoint speaks of must not be gone after a crash.
        await self._journal.commit()
        marks = await self._marks(size)
        keys = self._keys()
        ring = keys.keyring()
        made = signed(ring, size, root, head, self._wall(), marks)
        if made.kid not in ring.witnesses:
            keys.change(witnessed)
        self._marked = self._signed = size
        taken = True
        for sink in self._sinks:
            try:
                await sink.put(made.to_wire())
            except Exception:
                taken = False
                _LOGGER.exception("the checkpoint of %d entries was not taken", size)
        if taken and self._sinks:
            self._told = max(self._told, size)
        return made

    async def _marks(self, size: int) -> bytes:
        """Mark the entries that no sink was told of; they are read beside who writes."""
        from swarm.core.audit.checkpoint import MAX_MARKS, marks_of

        opened = self._records
        if opened is None:
            return b""
        since = max(self._told, size - MAX_MARKS)

        def read() -> bytes:
            with opened() as log:
                return marks_of(log.rows(since), size)

        try:
            return await to_thread.run_sync(read)
        except SwarmError as error:
            # It says less then, and nothing that is wrong.
            _LOGGER.warning("the checkpoint of %d entries has no marks: %s", size, error)
            return b""

    def _due(self) -> bool:
        """Tell whether there are so many entries more that a checkpoint is due."""
        if not self._every or self._log is None:
            return False
        return self._log.size // self._every > self._marked // self._every

    @property
    def has_sinks(self) -> bool:
        """Whether anybody takes checkpoints."""
        return self._log is not None and bool(self._sinks)

    async def grown(self) -> None:
        """Return when so many entries more are there that a checkpoint is due."""
        while not self._due():
            if self._news is None:
                self._news = anyio.Event()
            await self._news.wait()

    async def sign(self, *, late: bool) -> None:
        """Make a checkpoint if one is due; *late*: of whatever no checkpoint speaks of yet."""
        if self._log is None:
            return
        # What the checkpoint itself has to say, a new key, is no reason for another.
        if late and self._log.size > self._signed:
            self._marked = self._log.size
            await self.checkpoint()
        else:
            await self._mark()

    async def _mark(self) -> None:
        if self._due():
            assert self._log is not None  # noqa: S101 - there are entries in it
            # Before anything is awaited, so that nobody else does it as well.
            self._marked = self._log.size
            try:
                await self.checkpoint()
            except (Refused, OSError) as error:
                # Nothing can be signed now. What it would speak of is kept: whoever did that
                # is not to hear that it failed.
                _LOGGER.error("the checkpoint of %d entries: %s", self._marked, error)


class Doing:
    """An act of somebody who needs no leave; a class, because one stands around every start."""

    __slots__ = ("_act", "_actor", "_always", "_recorder", "_run", "_token", "_verb")

    def __init__(
        self, recorder: Recorder, actor: str, verb: str, run: str | None, *, always: bool
    ) -> None:
        self._recorder = recorder
        self._actor = actor
        self._verb = verb
        self._run = run
        self._always = always
        self._act: Act | None = None
        self._token: Token[Act | None] | None = None

    async def __aenter__(self) -> None:
        if current() is None:
            self._act = Act(self._landing)
            self._token = sets_out(self._act)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        act, token, self._token = self._act, self._token, None
        if act is None or token is None:
            return
        ends(token)
        if kind is None:
            await self._recorder.landed(act, lasts=self._always or bool(act.detail))

    def _landing(self, made: str | None) -> None:
        act = self._act
        assert act is not None  # noqa: S101 - it is what lands
        if self._always or made is not None or act.detail:
            self._recorder.note(
                self._actor, self._verb, "allowed", self._run, made=made, detail=act.detail
            )
