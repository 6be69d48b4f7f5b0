"""Who sits where, and who has which order: pure, with times handed in.

    ask ──→ waiting ──→ offered ──→ held ──→ answered ──→ over
             who can?    will he?    does it   the host collects it

A seat is a name that a blueprint points at. Who can take an order is looked for each time
one is to be placed: a seat that was handed over moves the next order, and nothing else.
What is to be said and told is appended to `acts`, for whoever has lines to carry out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

from flowir.errors import WorkerFailure
from swarm.errors import Bug
from swarm.operators.cases import Act, Case, Member, Report, Tell
from swarm.operators.crowd import Crowd
from swarm.operators.faults import PeerFault
from swarm.operators.frames import (
    Accept,
    Ask,
    Assign,
    Cancel,
    Decline,
    Fail,
    Halt,
    Handover,
    HookAfter,
    HookBefore,
    Numbered,
    Offer,
    OrderBody,
    Part,
    Progress,
    Question,
    ReplyAnswer,
    Result,
    Seats,
    Settled,
    Takeover,
)
from swarm.operators.limits import Bounds
from swarm.operators.shelf import Shelf
from swarm.operators.states import ORDER, OrderEvent, OrderState
from swarm.ports.operators import Absence, Ending, Order, Reply, Settling
from swarm.ports.worker import CostlyFailure, Usage

__all__ = ("Desk", "Proof")

Answering: TypeAlias = Result | Fail | Halt | ReplyAnswer
# Whether a message carries the token of its order, and that holds: a question that costs a
# MAC, and is asked only where the answer decides something.
Proof: TypeAlias = Callable[[], bool]


_OPEN: Final = ("waiting", "offered", "held")
_BY_MOMENT: Final = {"before": HookBefore, "after": HookAfter, "advise": Ask}


class Desk:
    """Places orders with operators, unless it is `closed`: then they wait."""

    def __init__(self, bounds: Bounds) -> None:
        self.closed = False
        self.acts: list[Act] = []
        self.members: dict[str, Member] = {}
        self.cases: dict[str, Case] = {}
        self._bounds = bounds
        self._seats: dict[str, Crowd] = {}
        self._claims: dict[str, dict[str, Member]] = {}
        self._waiting: dict[str, dict[str, Case]] = {}
        self._turns = 0
        self._shelf = Shelf(bounds.remembered)
        self._had: OrderedDict[str, str] = OrderedDict()

    # -- operators come and go ---------------------------------------------------------

    def join(self, member: Member, now_s: float) -> None:
        """Let somebody sit down who was not here."""
        self.members[member.id] = member
        for key in member.claims:
            self._claims.setdefault(key, {})[member.id] = member
        for seat in member.seats:
            self._seats.setdefault(seat, Crowd()).seat(member)
        self._fill(member, now_s)

    def attach(self, member: Member, now_s: float) -> None:
        """Note that somebody is back."""
        member.here = True
        self._note(member)
        self._fill(member, now_s)

    def detach(self, member: Member, now_s: float) -> None:
        """Note that somebody has no line; what he holds stays his."""
        member.here, member.since_s = False, now_s
        self.acts += map(Report, member.orders)

    def drain(self, member: Member) -> None:
        """Give him nothing new."""
        member.draining = True

    def leave(self, member: Member, now_s: float) -> None:
        """Let somebody go for good; what he held is placed anew."""
        self.members.pop(member.id, None)
        for key in member.claims:
            claiming = self._claims.get(key, {})
            claiming.pop(member.id, None)
            if not claiming:
                self._claims.pop(key, None)
        for seat in member.seats:
            self._unseat(member, seat)
        for key in list(member.orders):
            self._release(self.cases[key], now_s)

    def find(self, name: str) -> Member | None:
        """Return an operator that is here, by the name he gave, else by his token's subject."""
        here = [m for m in self.members.values() if m.here and not m.draining]
        named = [m for m in here if m.name == name] or [m for m in here if m.subject == name]
        return named[0] if named else None

    def seated(self, seat: str) -> Collection[Member]:
        """Return who sits there."""
        crowd = self._seats.get(seat)
        return () if crowd is None else crowd.members

    # -- what the host wants -----------------------------------------------------------

    def ask(self, seat: str, order: Order, now_s: float) -> Case:
        """Place an order; one of a key that is known goes on as it is."""
        known = self.cases.get(order.key)
        if known is not None:
            known.order = order
            if known.state == "waiting":
                self._place(known, now_s)
            return known
        seats = (seat, *order.seats)
        case = Case(order, seats, now_s, now_s, absence=order.absence)
        self.cases[order.key] = case
        self.acts += [Report(order.key, part) for part in self._shelf.take_parts(order.key)]
        ready = self._shelf.take_ending(order.key)
        if ready is not None:
            self._answered(case, *ready, now_s)
            return case
        self._wait(case)
        self._place(case, now_s)
        return case

    def is_over(self, key: str) -> bool:
        """Say whether an order was here not long ago, and is over."""
        return self._shelf.is_over(key)

    def collect(self, key: str, now_s: float) -> Ending:
        """Hand over an answer; the order is over."""
        case = self.cases.pop(key)
        self._move(case, "collect", now_s)
        assert case.ending is not None  # noqa: S101 - only answered ones can be collected
        return case.ending

    def withdraw(self, key: str, reason: str, now_s: float) -> None:
        """Take an order back; whoever has it is told."""
        case = self.cases.pop(key, None)
        if case is None:
            return
        holder = case.holder
        self._idle(case)
        self._move(case, "withdraw", now_s)
        self._shelf.note_over(key)
        if holder is not None:
            self.acts.append(Tell(holder.id, Cancel(key=key, reason=reason)))
            self._fill(holder, now_s)

    def fail(self, key: str, failure: WorkerFailure, now_s: float) -> None:
        """End an order without an operator."""
        case = self.cases[key]
        holder = case.holder
        self._answered(case, failure, "", now_s)
        if holder is not None:
            self.acts.append(Tell(holder.id, Cancel(key=key, reason=failure.message)))

    # -- time --------------------------------------------------------------------------

    def due_s(self, case: Case) -> float | None:
        """Return when something becomes of an order of itself."""
        times: list[float] = []
        holder, absence = case.holder, case.absence
        if case.state == "offered":
            times.append(case.since_s + self._bounds.offer_s)
        if holder is not None and not holder.here:
            times.append(holder.since_s + self._bounds.resume_s)
        alone_s = self._alone_s(case)
        if alone_s is not None and absence.after_s is not None and absence.then != "wait":
            times.append(alone_s + absence.after_s)
        return min(times, default=None)

    def tick(self, case: Case, now_s: float) -> None:
        """Let become of an order what is due."""
        holder, absence = case.holder, case.absence
        if case.state == "offered" and now_s >= case.since_s + self._bounds.offer_s:
            assert holder is not None  # noqa: S101 - it was offered to somebody
            case.passed.add(holder.id)
            self.acts.append(Tell(holder.id, Cancel(key=case.key, reason="no answer in time")))
            self._release(case, now_s, "lapse")
            return
        if holder is not None and self._is_gone(holder, now_s):
            self.leave(holder, now_s)
            return
        alone_s = self._alone_s(case)
        if alone_s is None or absence.after_s is None or now_s < alone_s + absence.after_s:
            return
        self._nobody(case, absence, now_s)

    def _is_gone(self, member: Member, now_s: float) -> bool:
        return not member.here and now_s >= member.since_s + self._bounds.resume_s

    def _alone_s(self, case: Case) -> float | None:
        """Return since when nobody has worked on an order; None: somebody does."""
        if case.state == "waiting":
            return case.since_s
        holder = case.holder
        if case.state not in ("offered", "held") or holder is None or holder.here:
            return None
        return max(holder.since_s, case.since_s)

    def _nobody(self, case: Case, absence: Absence, now_s: float) -> None:
        if absence.then == "fail":
            seats = " or ".join(map(repr, case.seats))
            said = f"nobody in seat {seats} worked on it for {absence.after_s:g} s"
            failure = WorkerFailure("operator.away", f"{case.order.agent!r}: {said}")
            self.fail(case.key, failure, now_s)
            return
        holder = case.holder
        if absence.then == "escalate" and absence.to is not None:
            self._unwait(case)
            case.seats, case.absence = (absence.to,), Absence()
            case.passed.clear()
            case.refused.clear()
            if holder is None:
                self._wait(case)
                self._place(case, now_s)
        if holder is not None:
            case.passed.add(holder.id)
            self.acts.append(Tell(holder.id, Cancel(key=case.key, reason="you were away")))
            self._release(case, now_s)
        elif absence.then == "next":
            case.since_s = now_s

    # -- what operators say ------------------------------------------------------------

    def heard(self, member: Member, frame: Numbered, proven: Proof, now_s: float) -> None:
        """Take in what an operator says of orders and seats.

        Raises: PeerFault (operator.stale, capability.denied).
        """
        match frame:
            case Result() | Fail() | Halt() | ReplyAnswer():
                self._hear_answer(member, frame, proven, now_s)
            case Accept():
                case = self._his(member, frame.key, "offered")
                self._move(case, "accept", now_s)
            case Decline():
                case = self._his(member, frame.key, "offered", "held")
                case.refused[member.id] = frame.reason
                self._release(case, now_s, "decline")
            case Part():
                self._hear_part(member, frame, proven)
            case Progress() | Question():
                self._his(member, frame.key, "held")
                self.acts.append(Report(frame.key, frame))
            case Handover():
                self._hand_over(member, frame, now_s)
            case Takeover():
                self._take_over(member, frame, now_s)
            case _:
                raise Bug(f"an operator's {frame.kind!r} reached the desk")

    def _his(self, member: Member, key: str, *states: OrderState) -> Case:
        case = self.cases.get(key)
        if case is None or case.holder is not member or case.state not in states:
            said = f"order {key}: expected one that is yours and {' or '.join(states)}, got none"
            raise PeerFault("operator.stale", said, key=key)
        return case

    def _hear_part(self, member: Member, frame: Part, proven: Proof) -> None:
        """Take in a part: of what he holds, or, with the order's token, of what was his."""
        case = self.cases.get(frame.key)
        mine = case is not None and case.holder is member and case.state == "held"
        if not mine and proven():
            if case is None and not self._shelf.is_over(frame.key):
                if not self._shelf.lay_part(frame):
                    said = f"order {frame.key}: expected fewer parts before it is asked for again"
                    raise PeerFault("operator.too_fast", said, key=frame.key)
                return
            mine = case is not None and case.state in _OPEN
        if not mine:
            self._his(member, frame.key, "held")
        self.acts.append(Report(frame.key, frame))

    def _hear_answer(self, member: Member, frame: Answering, proven: Proof, now_s: float) -> None:
        ending = _ending(member.by, frame)
        outcome, other = self._judged(frame.key, ending, member.subject, member, proven, now_s)
        self.acts.append(Tell(member.id, Settled(key=frame.key, outcome=outcome)))
        if outcome == "taken":
            self._displaced(frame.key, other, member, now_s)
            self._fill(member, now_s)

    def answer(self, key: str, ending: Ending, by: str, now_s: float) -> Settling:
        """Take in the answer of whoever has shown the order's token, on no line of ours."""
        case = self.cases.get(key)
        if case is not None and case.holder is not None and isinstance(ending, Reply):
            # Who has the order has handed its token on.
            ending = replace(ending, by=case.holder.by)
        outcome, other = self._judged(key, ending, by, None, lambda: True, now_s)
        if outcome == "taken":
            self._displaced(key, other, None, now_s)
        return outcome

    def _judged(
        self,
        key: str,
        ending: Ending,
        subject: str,
        member: Member | None,
        proven: Proof,
        now_s: float,
    ) -> tuple[Settling, Member | None]:
        """Let the first answer to an order count; return whether it was that, and who had it."""
        case = self.cases.get(key)
        if case is None:
            if not self._shelf.is_over(key) and proven():
                # The host was away meanwhile: it will ask.
                self._shelf.lay_ending(key, ending, subject)
                return "taken", None
        elif case.state in _OPEN:
            holder = case.holder
            if (holder is not None and holder is member) or proven():
                self._answered(case, ending, subject, now_s)
                return "taken", holder
        return ("duplicate" if self._shelf.answered(key, subject) else "stale"), None

    def _displaced(
        self, key: str, holder: Member | None, member: Member | None, now_s: float
    ) -> None:
        """Tell whoever had an order that somebody else has answered it."""
        if holder is not None and holder is not member:
            reason = "somebody else has done it"
            self.acts.append(Tell(holder.id, Cancel(key=key, reason=reason)))
            self._fill(holder, now_s)

    def _answered(self, case: Case, ending: Ending, by: str, now_s: float) -> None:
        self._idle(case)
        case.ending = ending
        self._move(case, "answer", now_s)
        self._shelf.note_over(case.key, by)

    # -- seats -------------------------------------------------------------------------

    def _hand_over(self, member: Member, frame: Handover, now_s: float) -> None:
        if frame.seat not in member.seats:
            said = f"handover: expected a seat of yours, got {frame.seat!r}"
            raise PeerFault("operator.stale", said)
        if frame.to is not None:
            heir = self.find(frame.to)
            if heir is None or not heir.may_sit(frame.seat):
                said = f"handover: expected somebody who is here and may sit, got {frame.to!r}"
                raise PeerFault("operator.stale", said)
            self._seat(heir, frame.seat)
        self._unseat(member, frame.seat)
        self.acts.append(Tell(member.id, Seats(seats=list(member.seats))))
        if frame.orders:
            self._free(member, frame.seat, now_s)
        for other in list(self.seated(frame.seat)):
            self._fill(other, now_s)

    def _take_over(self, member: Member, frame: Takeover, now_s: float) -> None:
        if not member.may_sit(frame.seat):
            raise PeerFault("capability.denied", f"takeover: may not sit in {frame.seat!r}")
        others = [m for m in self.seated(frame.seat) if m is not member]
        for other in others:
            self._unseat(other, frame.seat)
            self.acts.append(Tell(other.id, Seats(seats=list(other.seats))))
        self._seat(member, frame.seat)
        if frame.orders:
            for other in others:
                self._free(other, frame.seat, now_s)
        self._fill(member, now_s)

    def _seat(self, member: Member, seat: str) -> None:
        if seat not in member.seats:
            member.seats.append(seat)
        self._seats.setdefault(seat, Crowd()).seat(member)
        self.acts.append(Tell(member.id, Seats(seats=list(member.seats))))

    def _unseat(self, member: Member, seat: str) -> None:
        crowd = self._seats.get(seat)
        if crowd is not None:
            crowd.unseat(member)
            if not crowd:
                del self._seats[seat]
        if member.id in self.members and seat in member.seats:
            member.seats.remove(seat)

    def _free(self, member: Member, seat: str, now_s: float) -> None:
        """Take from somebody what he holds of a seat, and place it anew."""
        for key in [key for key in member.orders if self.cases[key].seat == seat]:
            self.acts.append(Tell(member.id, Cancel(key=key, reason="the seat is another's")))
            self._release(self.cases[key], now_s)

    # -- placing -----------------------------------------------------------------------

    def _place(self, case: Case, now_s: float) -> None:
        """Give a waiting order to somebody who can take it, if there is one."""
        if self.closed:
            return
        found = self._chosen(case)
        if found is None:
            self._refuse_if_all_did(case, now_s)
            return
        member, seat = found
        self._unwait(case)
        self._turns += 1
        member.turn = self._turns
        member.orders[case.key] = None
        self._note(member)
        case.holder, case.seat = member, seat
        if case.order.run is not None:
            self._had[case.order.run] = member.id
            while len(self._had) > self._bounds.remembered:
                self._had.popitem(last=False)
        asks_first = member.offers and case.order.moment == "do" and case.key not in member.claims
        self._move(case, "offer" if asks_first else "assign", now_s)
        self.acts.append(Tell(member.id, self._frame(case, seat, asks_first, now_s)))

    def _chosen(self, case: Case) -> tuple[Member, str] | None:
        order = case.order
        for seat in case.seats:
            crowd = self._seats.get(seat)
            if crowd is None:
                continue
            for member in self._first_asked(case):
                if member in crowd and self._can(member, case):
                    return member, seat
            look = crowd.next if order.choice == "round_robin" else crowd.freest
            found = look(lambda member: self._can(member, case))
            if found is not None:
                return found, seat
        return None

    def _first_asked(self, case: Case) -> Iterator[Member]:
        """Say who comes before all others: who has it already, who had the run's last."""
        yield from self._claims.get(case.key, {}).values()
        order = case.order
        if order.choice == "sticky" and order.run is not None:
            had = self.members.get(self._had.get(order.run, ""))
            if had is not None:
                yield had

    def _note(self, member: Member) -> None:
        """Let his seats know that he changed."""
        for seat in member.seats:
            crowd = self._seats.get(seat)
            if crowd is not None:
                crowd.note(member)

    def _can(self, member: Member, case: Case) -> bool:
        return member.is_free and self._would(member, case)

    def _would(self, member: Member, case: Case) -> bool:
        """Say whether somebody could take an order, if he had a hand free."""
        return (
            member.here
            and not member.draining
            and member.id not in case.refused
            and member.id not in case.passed
            and member.tags.issuperset(case.order.tags)
            and member.may(case.order)
        )

    def _refuse_if_all_did(self, case: Case, now_s: float) -> None:
        """End an order that everybody who is here has declined; look again at who let it lapse."""
        if any(self._would(m, case) for seat in case.seats for m in self.seated(seat)):
            return
        if case.refused:
            why = next(reversed(case.refused.values())) or "no reason was given"
            failure = WorkerFailure("operator.refused", f"{case.order.agent!r}: declined: {why}")
            self._answered(case, failure, "", now_s)
        elif case.absence.then != "next":
            case.passed.clear()

    def _frame(self, case: Case, seat: str, asks_first: bool, now_s: float) -> Numbered:
        order = case.order
        left_s = order.deadline_s
        if left_s is not None:
            left_s = max(left_s - (now_s - case.asked_s), 0.0)
        body = OrderBody.model_construct(
            key=order.key,
            moment=order.moment,
            seat=seat,
            agent=order.agent,
            prompt=order.prompt,
            input=order.body,
            answer_schema=order.schema,
            told=None if order.told is None else dict(order.told),
            run=order.run,
            step=order.step,
            attempt=order.attempt,
            deadline_s=left_s,
            token=None if order.token is None else order.token(),
        )
        if asks_first:
            return Offer.model_construct(order=body, stands_s=self._bounds.offer_s)
        return _BY_MOMENT.get(order.moment, Assign).model_construct(order=body)

    def _fill(self, member: Member, now_s: float) -> None:
        """Give somebody what waits for him, as far as he has hands free."""
        for seat in list(member.seats):
            waiting = self._waiting.get(seat)
            while waiting and len(member.orders) < member.capacity:
                case = next((c for c in waiting.values() if self._can(member, c)), None)
                if case is None:
                    break
                self._place(case, now_s)
                if case.key in waiting:
                    break

    def _release(self, case: Case, now_s: float, event: OrderEvent = "release") -> None:
        """Take an order from who has it, and place it anew."""
        holder = case.holder
        self._idle(case)
        self._move(case, event, now_s)
        self._wait(case)
        self._place(case, now_s)
        if holder is not None and holder.here:
            self._fill(holder, now_s)

    def _idle(self, case: Case) -> None:
        """Let go of whoever has an order, and of its place among those that wait."""
        if case.holder is not None:
            case.holder.orders.pop(case.key, None)
            self._note(case.holder)
            case.holder = None
        self._unwait(case)

    def _wait(self, case: Case) -> None:
        for seat in case.seats:
            self._waiting.setdefault(seat, {})[case.key] = case

    def _unwait(self, case: Case) -> None:
        for seat in case.seats:
            waiting = self._waiting.get(seat)
            if waiting is not None:
                waiting.pop(case.key, None)
                if not waiting:
                    del self._waiting[seat]

    def _move(self, case: Case, event: OrderEvent, now_s: float) -> None:
        after = ORDER.get((case.state, event))
        if after is None:
            raise Bug(f"order {case.key}: {event} from {case.state}")
        case.state, case.since_s = after, now_s
        self.acts.append(Report(case.key))


def _ending(by: str, frame: Answering) -> Ending:
    match frame:
        case ReplyAnswer():
            return Reply(frame.value, by)
        case Result():
            return Reply(frame.value, by, _usage(frame))
        case Halt():
            return Reply(frame.value, by, _usage(frame), frame.reason or "halted")
        case Fail():
            said = (frame.code, frame.message, frame.permanent, frame.data)
            used = _usage(frame)
            return WorkerFailure(*said) if used == Usage() else CostlyFailure(*said, usage=used)


def _usage(frame: Result | Halt | Fail) -> Usage:
    return Usage(frame.usage.tokens, frame.usage.cost)
