"""Operators of a host: sessions that outlive their lines, and the port that the host asks.

The desk decides, a session's channel numbers and keeps what is said, and a line carries
it. One task of the host waits for each order, and lets become of it what is due; there is
no task of the service itself.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import field

import anyio
from anyio.abc import TaskGroup

from flowir.errors import FlowError, WorkerFailure
from flowir.records import dataclass
from swarm.errors import Bug, SwarmError
from swarm.operators.cases import Case, Member, Report, Tell
from swarm.operators.channel import Channel
from swarm.operators.desk import Desk, Proof
from swarm.operators.faults import FAULTS, PeerFault
from swarm.operators.frames import (
    AnswerQuestion,
    Drain,
    Error,
    Frame,
    Hello,
    Limits,
    Numbered,
    Part,
    Progress,
    Question,
    Settled,
    Welcome,
    text_of,
)
from swarm.operators.limits import DEFAULT_BOUNDS, Bounds
from swarm.operators.outlet import Outlet
from swarm.operators.states import SESSION, SessionEvent, SessionState
from swarm.ports.operators import Ending, Order, Reply, Settling
from swarm.ports.questions import Ask
from swarm.ports.worker import StepLink

__all__ = ("Operators", "Session", "Visitor")

_LOGGER = logging.getLogger(__name__)

# Reports of an order that the host has not looked at: progress beyond them is not kept.
_MOST_REPORTS = 256


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is at the door, as his token says: in whose name, and what it covers."""

    subject: str
    may: Callable[[Order], bool]
    may_sit: Callable[[str], bool]


class Session:
    """What an operator and the host have said to each other, over one line or many."""

    __slots__ = ("channel", "id", "member", "outlet", "state")

    def __init__(self, member: Member, bounds: Bounds) -> None:
        self.id = member.id
        self.member = member
        self.channel = Channel(bounds)
        self.outlet: Outlet | None = None
        self.state: SessionState = "fresh"

    def move(self, event: SessionEvent) -> None:
        """Go to the state behind *event*."""
        after = SESSION.get((self.state, event))
        if after is None:
            raise Bug(f"session {self.id}: {event} from {self.state}")
        self.state = after

    def say(self, frame: Frame) -> None:
        """Say something that is not kept: without a line, it is not said."""
        if self.outlet is not None:
            self.outlet.push(text_of(self.channel.stamp(frame)))


@dataclass(slots=True, eq=False)
class _Listener:
    """Whoever waits for an order: what was reported, and when to look again.

    Shape: `asked` are the questions that are put to people now, by who asks and their names.
    """

    reports: deque[Progress | Part | Question] = field(
        default_factory=deque[Progress | Part | Question]
    )
    wake: anyio.Event = field(default_factory=anyio.Event)
    asked: dict[tuple[str, str], Question] = field(default_factory=dict[tuple[str, str], Question])


class Operators:
    """The operators of one host; hand it over as `swarm.Host(operators=…)`.

    >>> operators = Operators(seats={"reviewer": ["ada", "bob"]})

    Shape: *seats* says, of some seats, whose tokens (subjects) may sit there; in others
    sits whoever has the verb `seat.take`, and in the seat of his own name everybody.
    *now* gives seconds that never go back.
    """

    def __init__(
        self,
        bounds: Bounds = DEFAULT_BOUNDS,
        *,
        seats: Mapping[str, Collection[str]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bounds = bounds
        self.desk = Desk(bounds)
        self.sessions: dict[str, Session] = {}
        self._seats = dict(seats or {})
        self._now = now
        self._listeners: dict[str, _Listener] = {}
        self._resting: set[str] = set()
        self._rests = False
        self._swept_s = 0.0

    # -- the port ----------------------------------------------------------------------

    def begin(self) -> None:
        """Give orders: a host is there."""
        self._rests = self.desk.closed = False

    async def ask(self, seat: str, order: Order, link: StepLink | None = None) -> Reply:
        """Give an order to who sits in *seat*; return the reply."""
        self._resting.discard(order.key)
        listener = self._listeners[order.key] = _Listener()
        try:
            case = self.desk.ask(seat, order, self._now())
            self.carry()
            ending = await self._followed(case, listener, link)
        except BaseException:
            if self._listeners.get(order.key) is listener and order.key not in self._resting:
                self.desk.withdraw(order.key, "the host does not need it any more", self._now())
                self.carry()
            raise
        finally:
            if self._listeners.get(order.key) is listener:
                del self._listeners[order.key]
        if isinstance(ending, WorkerFailure):
            raise ending
        return ending

    async def beat(self, seat: str, key: str) -> bool:
        """Return whether somebody who has a line holds the order."""
        case = self.desk.cases.get(key)
        if case is None or case.holder is None or case.state != "held":
            return case is not None and case.state == "answered"
        session = self.sessions.get(case.holder.id)
        return session is not None and session.outlet is not None

    def order(self, key: str) -> Order | None:
        """Return the order of this key, while it waits for an answer."""
        case = self.desk.cases.get(key)
        return None if case is None or case.ending is not None else case.order

    def is_over(self, key: str) -> bool:
        """Say whether an order of this key was answered, or taken back, not long ago."""
        return self.desk.is_over(key)

    def answer(self, key: str, ending: Ending, by: str) -> Settling:
        """Take in an ending from whoever shows the order's own token."""
        if self.order(key) is None:
            return "duplicate" if self.is_over(key) else "stale"
        outcome = self.desk.answer(key, ending, by, self._now())
        self.carry()
        return outcome

    def drain(self) -> None:
        """Tell everybody that the host gives nothing new, and is about to end."""
        self.desk.closed = True
        for session in list(self.sessions.values()):
            self._post(session, Drain())

    def rest(self) -> None:
        """Keep what is asked: the host ends, and asks again."""
        self._rests = True
        self._resting.update(self.desk.cases)

    async def _followed(self, case: Case, listener: _Listener, link: StepLink | None) -> Ending:
        """Wait for an answer; its errors come out as they are, not as those of a group."""
        # Most orders ask nothing of people, and need no tasks.
        ending = await self._answer(case, listener, link, None)
        if ending is not None:
            return ending
        caught: list[Exception] = []
        async with anyio.create_task_group() as asking:
            try:
                ending = await self._answer(case, listener, link, asking)
            except Exception as error:  # noqa: BLE001 - it is raised again below
                caught.append(error)
            asking.cancel_scope.cancel()
        if caught:
            raise caught[0]
        assert ending is not None  # noqa: S101 - there are tasks for questions
        return ending

    async def _answer(
        self, case: Case, listener: _Listener, link: StepLink | None, asking: TaskGroup | None
    ) -> Ending | None:
        """Return how an order ended; None: a question came, and there is no task for it."""
        while True:
            while listener.reports:
                if asking is None and isinstance(listener.reports[0], Question):
                    return None
                await self._report(listener.reports.popleft(), case, listener, link, asking)
            if case.state == "answered":
                ending = self.desk.collect(case.key, self._now())
                self.carry()
                return ending
            if case.state == "over":
                raise WorkerFailure("operator.refused", f"order {case.key} was withdrawn")
            await self._due(case, listener)

    async def _due(self, case: Case, listener: _Listener) -> None:
        """Wait for news of an order, and let become of it what is due meanwhile."""
        due_s = self.desk.due_s(case)
        if not listener.wake.is_set():
            if due_s is None:
                await listener.wake.wait()
            else:
                with anyio.move_on_after(max(due_s - self._now(), 0.0)):
                    await listener.wake.wait()
        listener.wake = anyio.Event()
        if due_s is not None and self._now() >= due_s:
            self.desk.tick(case, self._now())
            self.carry()

    async def _report(
        self,
        report: Progress | Part | Question,
        case: Case,
        listener: _Listener,
        link: StepLink | None,
        asking: TaskGroup | None,
    ) -> None:
        if link is None:
            return
        match report:
            case Progress():
                await link.progress(report.text)
            case Part():
                await link.part(report.name, report.value)
            case Question():
                # One that is said again, over another session, is put to people already.
                holder = case.holder
                if asking is None or holder is None or (holder.by, report.id) in listener.asked:
                    return
                listener.asked[holder.by, report.id] = report
                asking.start_soon(self._asked, report, holder.by, case, listener, link)

    async def _asked(
        self, question: Question, by: str, case: Case, listener: _Listener, link: StepLink
    ) -> None:
        """Put an operator's question to people, and bring him the answer."""
        asked = Ask(
            question.prompt,
            question.input,
            question.answer_schema,
            question.to,
            question.deadline_s,
        )
        key, name = case.key, question.id
        try:
            answer = AnswerQuestion(key=key, id=name, value=await link.ask(asked))
        except (FlowError, SwarmError) as error:
            said = error.message[:1000]
            answer = AnswerQuestion(key=key, id=name, code=error.code, message=said)
        del listener.asked[by, name]
        # An answer for one who has the order no more is for nobody.
        if case.holder is not None and case.holder.by == by:
            self._tell(case.holder.id, answer)

    # -- sessions ----------------------------------------------------------------------

    def join(self, visitor: Visitor, hello: Hello, outlet: Outlet) -> Session:
        """Let somebody in: into the session that he comes back to, as it is, or a new one.

        Raises: PeerFault (capability.denied, operator.malformed).
        """
        self._sweep()
        if hello.resume is not None:
            known = self.sessions.get(hello.resume.session)
            if known is not None and known.id not in self.desk.members:
                # An order that he held was due, and the desk has let him go.
                self._end(known, "expire")
                known = None
            if known is not None and (known.member.subject, known.member.name) == (
                visitor.subject,
                hello.name,
            ):
                return self._resumed(known, visitor, hello.resume.last, outlet)
        return self._joined(visitor, hello, outlet)

    def _joined(self, visitor: Visitor, hello: Hello, outlet: Outlet) -> Session:
        seats = list(dict.fromkeys(hello.seats or [hello.name]))
        self._check_seats(visitor, seats)
        member = Member(
            id=secrets.token_urlsafe(18),
            subject=visitor.subject,
            name=hello.name,
            seats=seats,
            tags=frozenset(hello.tags),
            capacity=min(hello.capacity, self.bounds.capacity),
            offers=hello.takes == "offer",
            may=visitor.may,
            may_sit=lambda seat: self._may_sit(visitor, seat),
            claims=frozenset(hello.holding),
        )
        session = Session(member, self.bounds)
        session.channel.epoch = 1
        session.outlet = outlet
        session.move("hello")
        # Whoever was started anew under this name does not come back to the older session.
        for other in list(self.sessions.values()):
            same = (other.member.subject, other.member.name) == (visitor.subject, hello.name)
            if same and other.state == "away":
                self._end(other, "leave")
        self.sessions[session.id] = session
        if hello.resume is not None:
            fault = FAULTS["operator.session"]
            said = "resume: expected a session that is kept, got none"
            session.say(Error(number=fault.number, code="operator.session", message=said))
        session.say(self._welcome(session, resumed=False))
        self.desk.join(member, self._now())
        self.carry()
        return session

    def _resumed(self, session: Session, visitor: Visitor, last: int, outlet: Outlet) -> Session:
        channel, member = session.channel, session.member
        if last > channel.sent:
            said = f"resume.last: expected at most {channel.sent}, got {last}"
            raise PeerFault("operator.malformed", said)
        # The token may be another than the one that the session began with.
        self._check_seats(visitor, member.seats)
        if session.outlet is not None:
            session.outlet.end("operator.replaced")
        session.move("resume")
        session.outlet = outlet
        member.may = visitor.may
        member.may_sit = lambda seat: self._may_sit(visitor, seat)
        kept = channel.attach(channel.epoch + 1, last, self._now())
        session.say(self._welcome(session, resumed=True))
        for text in kept:
            outlet.push(text)
        self.desk.attach(member, self._now())
        self.carry()
        return session

    def _welcome(self, session: Session, *, resumed: bool) -> Welcome:
        bounds, member = self.bounds, session.member
        limits = Limits(
            message_bytes=bounds.message_bytes,
            unacked=bounds.unacked,
            capacity=member.capacity,
            rate=bounds.rate,
            burst=bounds.burst,
        )
        return Welcome(
            session=session.id,
            resumed=resumed,
            last=session.channel.received,
            name=member.name,
            subject=member.subject,
            seats=list(member.seats),
            orders=list(member.orders),
            resume_s=bounds.resume_s,
            heartbeat_s=bounds.heartbeat_s,
            redeliver_s=bounds.redeliver_s,
            limits=limits,
        )

    def heard(self, session: Session, frame: Frame, proven: Proof) -> None:
        """Take in what an operator says, when it is its turn.

        Raises: PeerFault.
        """
        if isinstance(frame, Drain):
            self.desk.drain(session.member)
        elif isinstance(frame, Numbered) and self._has_room(frame):
            self.desk.heard(session.member, frame, proven, self._now())
        self.carry()

    def _has_room(self, frame: Numbered) -> bool:
        """Say whether a report can be kept; progress that cannot is dropped."""
        if not isinstance(frame, Question | Progress | Part):
            return True
        listener = self._listeners.get(frame.key)
        if listener is None or len(listener.reports) < _MOST_REPORTS:
            return True
        if isinstance(frame, Progress):
            return False
        said = f"order {frame.key}: expected at most {_MOST_REPORTS} reports at once, got more"
        raise PeerFault("operator.too_fast", said)

    def lost(self, session: Session, outlet: Outlet, *, for_good: bool) -> None:
        """Note that a line is gone; the session waits for another, or ends."""
        if session.outlet is not outlet:
            return
        session.outlet = None
        if for_good:
            self._end(session, "leave")
        else:
            session.move("lost")
            self.desk.detach(session.member, self._now())
        self.carry()

    def _end(self, session: Session, event: SessionEvent) -> None:
        session.move(event)
        self.sessions.pop(session.id, None)
        self.desk.leave(session.member, self._now())
        self.carry()

    def _sweep(self) -> None:
        """End sessions that nobody came back to."""
        now_s = self._now()
        if now_s < self._swept_s + min(self.bounds.resume_s, 10.0):
            return
        self._swept_s = now_s
        oldest_s = now_s - self.bounds.resume_s
        for session in list(self.sessions.values()):
            if session.state == "away" and session.member.since_s <= oldest_s:
                self._end(session, "expire")

    def _check_seats(self, visitor: Visitor, seats: Collection[str]) -> None:
        for seat in seats:
            if not self._may_sit(visitor, seat):
                raise PeerFault("capability.denied", f"hello.seats: may not sit in {seat!r}")

    def _may_sit(self, visitor: Visitor, seat: str) -> bool:
        named = self._seats.get(seat)
        if named is not None:
            return visitor.subject in named
        return seat == visitor.subject or visitor.may_sit(seat)

    # -- carrying out ------------------------------------------------------------------

    def carry(self) -> None:
        """Carry out what the desk wants to have said."""
        acts = self.desk.acts
        while acts:
            batch = acts[:]
            acts.clear()
            for act in batch:
                if isinstance(act, Tell):
                    self._tell(act.member, act.frame)
                else:
                    self._report_to(act)

    def _report_to(self, report: Report) -> None:
        listener = self._listeners.get(report.key)
        if listener is not None:
            if report.frame is not None:
                listener.reports.append(report.frame)
            listener.wake.set()

    def _tell(self, member: str, frame: Numbered) -> None:
        if self._rests and isinstance(frame, Settled):
            # Nobody takes the answer down any more: he keeps it, and the next host asks.
            return
        session = self.sessions.get(member)
        if session is not None:
            self._post(session, frame)

    def _post(self, session: Session, frame: Numbered) -> None:
        try:
            text = session.channel.post(frame, self._now())
        except PeerFault as fault:
            self._unsayable(frame, fault)
            return
        if session.outlet is not None:
            session.outlet.push(text)
            if session.channel.full:
                session.outlet.end("operator.slow")
        elif session.channel.full:
            # Nobody takes what is kept for him: it is somebody else's then.
            self._end(session, "expire")

    def _unsayable(self, frame: Numbered, fault: PeerFault) -> None:
        order = getattr(frame, "order", None)
        if order is not None and order.key in self.desk.cases:
            said = f"{order.agent!r}: its order is too large for a message: {fault.message}"
            failure = WorkerFailure("operator.too_large", said, True)
            self.desk.fail(order.key, failure, self._now())
        else:
            _LOGGER.warning("not said: %s", fault)
