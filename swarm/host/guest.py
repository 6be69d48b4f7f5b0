"""The host as the bearer of a token sees it: each act passes the guard, each time.

What is handed out here holds the token and not a right: a token that expires or is revoked
ends what it opened. Whoever shows none that holds is told the same, whatever was wrong.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from swarm.blueprint.budget import Budget
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core.capability.grant import Grant
from swarm.core.capability.guard import DESK, WORK, Pass
from swarm.core.capability.mint import Order
from swarm.core.capability.rules import Decision
from swarm.core.events import Event
from swarm.core.log import EventStream
from swarm.core.questions import Question
from swarm.core.run import RunOutcome, RunStatus
from swarm.errors import Denied
from swarm.host.authority import Authority
from swarm.host.collection import Collected
from swarm.host.guest_blueprints import GuestBlueprints
from swarm.host.guest_step import GuestStep
from swarm.host.outputs import Output
from swarm.host.recorder import Recorder
from swarm.host.run import Run
from swarm.ports.audit import AuditEntry
from swarm.ports.journal import RunRow
from swarm.ports.worker import StepLink

if TYPE_CHECKING:
    from swarm.host.host import Host

__all__ = ("Guest", "GuestEvents", "GuestRun")


class Guest:
    """What a host offers to a bearer.

    Each method raises Denied (capability.unauthenticated) for a token that does not hold,
    and Denied (capability.denied) for one that does not cover the act; and what the
    host's own method raises.
    """

    def __init__(self, host: Host, authority: Authority, recorder: Recorder, token: str) -> None:
        self._host = host
        self._authority = authority
        self._recorder = recorder
        self._token = token

    @property
    def host(self) -> Host:
        """The host itself, for who acts in the guest's name within `act`."""
        return self._host

    @asynccontextmanager
    async def act(
        self,
        verb: str,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
    ) -> AsyncGenerator[Pass]:
        """Do within what *verb* names: its use is counted with its effect, or given back."""
        purposes = DESK if step is None else WORK
        passed = self._authority.guard.check(
            self._token, verb, run=run, step=step, attempt=attempt, purposes=purposes
        )
        await self._expect(passed.decision, run, step, attempt)
        always = verb.startswith("token.")
        async with self._recorder.guest(passed, run, step, attempt, always=always):
            yield passed

    async def _expect(
        self,
        decision: Decision,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
    ) -> None:
        if not decision:
            await self._recorder.denied(decision, run, step, attempt)
        decision.unwrap()

    @asynccontextmanager
    async def answering(self, run: str) -> AsyncGenerator[tuple[str, tuple[str, ...]]]:
        """Answer a question of a run within, by the name and as one of those that are given.

        Raises: Denied, also for a question to somebody else: another name, another role.
        """
        async with self.act("question.answer", run) as passed:
            grant = passed.decision.unwrap()
            try:
                yield grant.subject, (grant.subject, grant.role)
            except Denied:
                refused = passed.decision._replace(allowed=False, reason="to")
                await self._recorder.denied(refused, run, None, None)
                raise

    async def admitted(self) -> Grant:
        """Return what the token says, where it holds at all.

        Raises: Denied (capability.unauthenticated).
        """
        found = self._authority.guard.admit(self._token, DESK | WORK)
        await self._expect(found._replace(verb="visit"))
        return found.unwrap()

    async def expect(
        self,
        verb: str,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Look whether the token covers an act that is about to be done; no use is counted.

        Raises: Denied.
        """
        purposes = DESK if step is None else WORK
        guard = self._authority.guard
        decision = guard.look(self._token, verb, run, step, attempt, purposes=purposes)
        await self._expect(decision, run, step, attempt)

    def look(self, verb: str, run: str) -> None:
        """Look whether the token still covers an act that goes on.

        Raises: Denied.
        """
        self._authority.guard.look(self._token, verb, run).unwrap()

    # -- runs --------------------------------------------------------------------------

    async def start(
        self,
        blueprint: CompiledBlueprint | str,
        input: Any = None,
        *,
        run_id: str | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> GuestRun:
        """Start a run of what was compiled, or of a version: a guest names no files."""
        async with self.act("run.start", run_id):
            if not isinstance(blueprint, CompiledBlueprint):
                blueprint = await self._host.load_to_run(blueprint, run_id)
            run = await self._host.start(blueprint, input, run_id=run_id, budget=budget)
        return GuestRun(self, run)

    async def run(self, run_id: str) -> GuestRun:
        """Return a run by its id."""
        async with self.act("run.read", run_id):
            run = await self._host.run(run_id)
        return GuestRun(self, run)

    async def runs(
        self,
        status: RunStatus | Collection[RunStatus] | None = None,
        *,
        limit: int = 1000,
        before: str | None = None,
    ) -> tuple[RunRow, ...]:
        """List runs, the latest first."""
        async with self.act("run.list"):
            found = await self._host.runs(status, limit=limit, before=before)
        return tuple(run.summary for run in found)

    async def resume(self, run_id: str) -> GuestRun:
        """Go on with a run that rests."""
        async with self.act("run.resume", run_id):
            run = await self._host.resume(run_id)
        return GuestRun(self, run)

    async def rerun(
        self,
        run_id: str,
        *,
        from_step: str,
        set: Mapping[str, Any] | None = None,
        new_id: str | None = None,
    ) -> GuestRun:
        """Repeat a run from a step on."""
        async with self.act("run.rerun", run_id):
            run = await self._host.rerun(run_id, from_step=from_step, set=set, new_id=new_id)
        return GuestRun(self, run)

    async def gc(
        self,
        *,
        older_than_s: float | None = None,
        status: str | Collection[str] | None = None,
        keep: int = 0,
        dry_run: bool = False,
    ) -> Collected:
        """Remove runs that have ended, or say which would go."""
        async with self.act("run.forget"):
            return await self._host.gc(
                older_than_s=older_than_s, status=status, keep=keep, dry_run=dry_run
            )

    # -- what is kept ------------------------------------------------------------------

    @property
    def blueprints(self) -> GuestBlueprints:
        """The versions of blueprints."""
        return GuestBlueprints(self.act, self._host.blueprints)

    async def audit(self, since: int = 0, *, limit: int = 1000) -> Sequence[AuditEntry]:
        """Read the audit log."""
        async with self.act("audit.read"):
            return await self._host.audit(since, limit=limit)

    async def checkpoint(self) -> Mapping[str, Any]:
        """Sign how the audit log is now."""
        async with self.act("audit.prove"):
            return await self._host.checkpoint()

    # -- steps -------------------------------------------------------------------------

    async def step(self, run_id: str, key: str, attempt: int) -> GuestStep:
        """Return an attempt that goes on now, for the token of its worker."""
        async with self.act("step.read", run_id, key, attempt) as passed:
            await self.link(passed, "step.read", run_id, key, attempt)
        return self.worker(run_id, key, attempt)

    def worker(self, run_id: str, key: str, attempt: int) -> GuestStep:
        """Return an attempt for the token of its worker; it is looked at with each act."""
        return GuestStep(self, run_id, key, attempt)

    async def link(self, passed: Pass, verb: str, run_id: str, key: str, attempt: int) -> StepLink:
        """Return what the worker of an attempt may use.

        Raises: Denied, where the attempt is over.
        """
        link = (await self._host.run(run_id)).link(key, attempt)
        if link is None:
            over = Decision(False, "over", verb, passed.decision.grant)
            await self._expect(over, run_id, key, attempt)
        assert link is not None  # noqa: S101 - a decision of no raises
        return link

    # -- tokens ------------------------------------------------------------------------

    async def delegate(
        self,
        verbs: Collection[str] | None = None,
        *,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        ttl_s: int | None = None,
        uses: int | None = None,
        depth: int | None = None,
    ) -> str:
        """Mint a token that has less than this one; what is left open is taken over."""
        found = self._authority.guard.admit(self._token, DESK | WORK)
        await self._expect(found._replace(verb="token.delegate"))
        grant = found.unwrap()
        order = Order(grant.subject, grant.role, verbs, run, step, attempt, ttl_s, uses, depth)
        at = (grant.run, grant.step, grant.attempt)
        async with self.act("token.delegate", *at):
            token, decision = self._authority.child(grant, order)
            await self._expect(decision, *at)
        assert token is not None  # noqa: S101 - a decision of no raises
        return token

    async def mint(
        self, subject: str, role: str, verbs: Collection[str] | None = None, **order: Any
    ) -> str:
        """Mint any token; *order* as for `Authority.mint`."""
        async with self.act("token.mint"):
            return self._authority.mint(subject, role, verbs, **order)

    async def revoke(self, **what: str) -> None:
        """Revoke tokens."""
        async with self.act("token.revoke"):
            await self._authority.revoke(**what)

    async def rotate(self) -> str:
        """Replace the signing key; return the new one's kid."""
        async with self.act("token.rotate"):
            return self._authority.rotate()


class GuestRun:
    """A run as the bearer of a token sees it."""

    def __init__(self, guest: Guest, run: Run) -> None:
        self._guest = guest
        self._run = run

    @property
    def id(self) -> str:
        """The run's name, which the bearer has given, or was told at its start."""
        return self._run.id

    async def status(self) -> RunStatus:
        """Return how the run stands."""
        async with self._act("run.read"):
            return self._run.status

    def events(
        self,
        since: int = 0,
        *,
        kinds: Collection[str] | None = None,
        at: str | None = None,
    ) -> GuestEvents:
        """Watch the run; the token is looked at before each event."""
        return GuestEvents(self, self._run.events(since, kinds=kinds, at=at))

    async def wait(self) -> RunOutcome:
        """Return how the run ended, once it has."""
        async with self._act("run.read"):
            return await self._run.wait()

    async def result(self) -> Any:
        """Return the final context.

        Raises: RunFailed.
        """
        return (await self.wait()).unwrap()

    async def cancel(self, reason: str = "cancelled by a guest") -> None:
        """Ask for the end of the run."""
        async with self._act("run.cancel"):
            await self._run.cancel(reason)

    async def pause(self) -> None:
        """Let the run rest."""
        async with self._act("run.pause"):
            await self._run.pause()

    async def questions(self) -> tuple[Question, ...]:
        """Return what the run asks of people."""
        async with self._act("question.read"):
            return await self._run.questions()

    async def answer(self, question_id: str, value: Any) -> None:
        """Answer a question, in the name of the token's subject."""
        async with self._guest.answering(self._run.id) as (by, may):
            await self._run.answer(question_id, value, by=by, may=may)

    async def outputs(self) -> tuple[Output, ...]:
        """Return what the run's steps have handed over as data."""
        async with self._act("output.read"):
            return await self._run.outputs()

    async def output(self, which: str) -> Any:
        """Return an output of this run, by name, key, `KEY/NAME` or `sha256:…`.

        A reference that somebody writes himself is not taken: it could be another run's.
        Raises: Denied; Refused (output.unknown).
        """
        async with self._act("output.read"):
            return await self._run.output(str(which))

    def look(self) -> None:
        """Look whether the bearer may still see the run."""
        self._guest.look("run.read", self.id)

    def _act(self, verb: str) -> AbstractAsyncContextManager[Pass]:
        return self._guest.act(verb, self.id)


class GuestEvents:
    """The events of a run; watching is one use of a token, however many they are."""

    def __init__(self, run: GuestRun, stream: EventStream) -> None:
        self._run = run
        self._stream = stream
        self._begun = False

    def __aiter__(self) -> GuestEvents:
        return self

    async def __anext__(self) -> Event:
        if self._begun:
            event = await anext(self._stream)
            self._run.look()
            return event
        self._begun = True
        await self._run.status()
        return await anext(self)
