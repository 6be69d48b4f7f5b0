"""The desk and a plain telling of it, side by side: whatever happens, both say the same.

The plain one looks through everybody and everything each time; it has no crowds, no heaps and
no queues by seat. What is said to operators is compared word for word, after every step.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from flowir.errors import WorkerFailure
from swarm.operators.cases import Member, Tell
from swarm.operators.desk import Desk
from swarm.operators.faults import PeerFault
from swarm.operators.frames import (
    Accept,
    Decline,
    Handover,
    Progress,
    Result,
    Takeover,
)
from swarm.operators.limits import Bounds
from swarm.ports.operators import Absence, Order, Reply

OFFER_S, RESUME_S = 3.0, 9.0
SEATS: tuple[str, ...] = ("law", "tax", "art")
THEN: tuple[Any, ...] = ("wait", "next", "escalate", "fail")
MOMENTS: tuple[Any, ...] = ("do", "do", "do", "before", "after", "advise")
CHOICES: tuple[Any, ...] = ("least_busy", "round_robin", "sticky")
Said = tuple[Any, ...]


@dataclass(eq=False)
class Person:
    name: str
    seats: list[str]
    capacity: int
    offers: bool
    tags: frozenset[str]
    claims: frozenset[str]
    barred: frozenset[str]  # from these seats, and from the orders of runs of that name
    here: bool = True
    since_s: float = 0.0
    draining: bool = False
    turn: int = 0


@dataclass(eq=False)
class Paper:
    order: Order
    seats: list[str]
    absence: Absence
    asked_s: float
    since_s: float
    state: str = "waiting"
    holder: Person | None = None
    seat: str = ""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    passed: set[str] = field(default_factory=set[str])
    ending: Any = None

    @property
    def key(self) -> str:
        return self.order.key


class Plain:
    """What a desk does, told plainly."""

    def __init__(self) -> None:
        self.people: list[Person] = []
        self.at: dict[str, list[Person]] = {seat: [] for seat in SEATS}  # as they sat down
        self.papers: dict[str, Paper] = {}
        self.queue: list[Paper] = []
        self.over: dict[str, str] = {}
        self.early: dict[str, tuple[Any, str]] = {}
        self.had: dict[str, Person] = {}
        self.turns = 0
        self.given: dict[str, int] = {}
        self.said: list[Said] = []

    def held(self, person: Person) -> list[Paper]:
        return [paper for paper in self.papers.values() if paper.holder is person]

    def would(self, person: Person, paper: Paper) -> bool:
        run, tags = paper.order.run or "", set(paper.order.tags)
        return (
            person.here
            and not person.draining
            and person.name not in paper.refused
            and person.name not in paper.passed
            and tags <= person.tags
            and run not in person.barred
        )

    def can(self, person: Person, paper: Paper) -> bool:
        return self.would(person, paper) and len(self.held(person)) < person.capacity

    def choose(self, paper: Paper) -> tuple[Person, str] | None:
        order = paper.order
        for seat in paper.seats:
            sitting = self.at[seat]
            first = [one for one in self.people if paper.key in one.claims]
            if order.choice == "sticky" and order.run in self.had:
                first.append(self.had[order.run])
            for one in first:
                if one in self.people and one in sitting and self.can(one, paper):
                    return one, seat
            able = [one for one in sitting if self.can(one, paper)]
            if able and order.choice == "round_robin":
                return min(able, key=lambda one: one.turn), seat
            if able:
                return min(able, key=lambda one: (len(self.held(one)), one.turn)), seat
        return None

    def place(self, paper: Paper, now_s: float) -> None:
        found = self.choose(paper)
        if found is None:
            if any(self.would(one, paper) for seat in paper.seats for one in self.at[seat]):
                return
            if paper.refused:
                why = list(paper.refused.values())[-1] or "no reason was given"
                said = f"'agent': declined: {why}"
                self.end(paper, WorkerFailure("operator.refused", said), "", now_s)
            elif paper.absence.then != "next":
                paper.passed.clear()
            return
        person, seat = found
        self.queue.remove(paper)
        self.turns += 1
        person.turn, paper.holder, paper.seat = self.turns, person, seat
        self.given[paper.key] = self.turns
        if paper.order.run is not None:
            self.had[paper.order.run] = person
        asks = person.offers and paper.order.moment == "do" and paper.key not in person.claims
        paper.state, paper.since_s = ("offered" if asks else "held"), now_s
        left_s = paper.order.deadline_s
        if left_s is not None:
            left_s = max(left_s - (now_s - paper.asked_s), 0.0)
        kind = {"before": "hook.before", "after": "hook.after", "advise": "ask"}
        frame = "offer" if asks else kind.get(paper.order.moment, "assign")
        self.said.append((person.name, frame, paper.key, seat, left_s))

    def fill(self, person: Person, now_s: float) -> None:
        for seat in list(person.seats):
            while len(self.held(person)) < person.capacity:
                waiting = [p for p in self.queue if seat in p.seats and self.can(person, p)]
                if not waiting:
                    break
                self.place(waiting[0], now_s)
                if waiting[0] in self.queue:
                    break

    def free(self, paper: Paper) -> None:
        paper.holder = None
        if paper in self.queue:
            self.queue.remove(paper)

    def end(self, paper: Paper, ending: Any, by: str, now_s: float) -> None:
        self.free(paper)
        paper.ending, paper.state, paper.since_s = ending, "answered", now_s
        self.over[paper.key] = by

    def release(self, paper: Paper, now_s: float) -> None:
        holder = paper.holder
        self.free(paper)
        paper.state, paper.since_s = "waiting", now_s
        self.queue.append(paper)
        self.place(paper, now_s)
        if holder is not None and holder.here:
            self.fill(holder, now_s)

    def cancel(self, person: Person | None, key: str, reason: str) -> None:
        if person is not None:
            self.said.append((person.name, "cancel", key, reason))

    # -- what happens ------------------------------------------------------------------

    def join(self, person: Person, now_s: float) -> None:
        self.people.append(person)
        for seat in person.seats:
            self.at[seat].append(person)
        self.fill(person, now_s)

    def attach(self, person: Person, now_s: float) -> None:
        person.here = True
        self.fill(person, now_s)

    def detach(self, person: Person, now_s: float) -> None:
        person.here, person.since_s = False, now_s

    def leave(self, person: Person, now_s: float) -> None:
        held = self.in_order(person)
        self.people.remove(person)
        for sitting in self.at.values():
            if person in sitting:
                sitting.remove(person)
        person.draining = True
        for key in held:
            self.release(self.papers[key], now_s)

    def in_order(self, person: Person) -> list[str]:
        return [paper.key for paper in sorted(self.held(person), key=lambda p: self.given[p.key])]

    def ask(self, order: Order, seats: list[str], now_s: float) -> None:
        known = self.papers.get(order.key)
        if known is not None:
            known.order = order
            if known.state == "waiting":
                self.place(known, now_s)
            return
        paper = Paper(order, seats, order.absence, now_s, now_s)
        self.papers[order.key] = paper
        if order.key in self.early:
            self.end(paper, *self.early.pop(order.key), now_s)
            return
        self.queue.append(paper)
        self.place(paper, now_s)

    def answer(self, person: Person, key: str, value: Any, proven: bool, now_s: float) -> None:
        paper = self.papers.get(key)
        holder = None if paper is None else paper.holder
        if paper is None and key not in self.over and proven:
            self.early[key] = (value, person.name)
            outcome, holder = "taken", None
        elif (
            paper is not None
            and paper.state in ("waiting", "offered", "held")
            and (holder is person or proven)
        ):
            self.end(paper, value, person.name, now_s)
            outcome = "taken"
        else:
            outcome = "duplicate" if self.over.get(key) == person.name else "stale"
        self.said.append((person.name, "settled", key, outcome))
        if outcome == "taken":
            if holder is not None and holder is not person:
                self.cancel(holder, key, "somebody else has done it")
                self.fill(holder, now_s)
            self.fill(person, now_s)

    def his(self, person: Person, key: str, *states: str) -> Paper | None:
        paper = self.papers.get(key)
        fits = paper is not None and paper.holder is person and paper.state in states
        return paper if fits else None

    def accept(self, person: Person, key: str, now_s: float) -> bool:
        paper = self.his(person, key, "offered")
        if paper is not None:
            paper.state, paper.since_s = "held", now_s
        return paper is not None

    def decline(self, person: Person, key: str, reason: str, now_s: float) -> bool:
        paper = self.his(person, key, "offered", "held")
        if paper is not None:
            paper.refused[person.name] = reason
            self.release(paper, now_s)
        return paper is not None

    def seat(self, person: Person, seat: str) -> None:
        if seat not in person.seats:
            person.seats.append(seat)
        if person not in self.at[seat]:
            self.at[seat].append(person)
        self.said.append((person.name, "seats", tuple(person.seats)))

    def unseat(self, person: Person, seat: str) -> None:
        self.at[seat].remove(person)
        person.seats.remove(seat)

    def take_away(self, person: Person, seat: str, now_s: float) -> None:
        for key in self.in_order(person):
            if self.papers[key].seat == seat:
                self.cancel(person, key, "the seat is another's")
                self.release(self.papers[key], now_s)

    def hand_over(
        self, person: Person, seat: str, to: str | None, orders: bool, now_s: float
    ) -> bool:
        if seat not in person.seats:
            return False
        if to is not None:
            here = [p for p in self.people if p.here and not p.draining and p.name == to]
            if not here or seat in here[0].barred:
                return False
            self.seat(here[0], seat)
        self.unseat(person, seat)
        self.said.append((person.name, "seats", tuple(person.seats)))
        if orders:
            self.take_away(person, seat, now_s)
        for other in list(self.at[seat]):
            self.fill(other, now_s)
        return True

    def take_over(self, person: Person, seat: str, orders: bool, now_s: float) -> bool:
        if seat in person.barred:
            return False
        others = [one for one in self.at[seat] if one is not person]
        for other in others:
            self.unseat(other, seat)
            self.said.append((other.name, "seats", tuple(other.seats)))
        self.seat(person, seat)
        if orders:
            for other in others:
                self.take_away(other, seat, now_s)
        self.fill(person, now_s)
        return True

    def withdraw(self, key: str, now_s: float) -> None:
        paper = self.papers.pop(key, None)
        if paper is None:
            return
        holder = paper.holder
        self.free(paper)
        paper.state = "over"
        self.over[key] = ""
        self.cancel(holder, key, "not any more")
        if holder is not None:
            self.fill(holder, now_s)

    # -- time --------------------------------------------------------------------------

    def alone_s(self, paper: Paper) -> float | None:
        holder = paper.holder
        if paper.state == "waiting":
            return paper.since_s
        if holder is None or holder.here:
            return None
        return max(holder.since_s, paper.since_s)

    def due_s(self, paper: Paper) -> float | None:
        times: list[float] = []
        holder, absence, alone_s = paper.holder, paper.absence, self.alone_s(paper)
        if paper.state == "offered":
            times.append(paper.since_s + OFFER_S)
        if holder is not None and not holder.here:
            times.append(holder.since_s + RESUME_S)
        if alone_s is not None and absence.after_s is not None and absence.then != "wait":
            times.append(alone_s + absence.after_s)
        return min(times, default=None)

    def tick(self, paper: Paper, now_s: float) -> None:
        holder, absence, alone_s = paper.holder, paper.absence, self.alone_s(paper)
        if paper.state == "offered" and now_s >= paper.since_s + OFFER_S:
            assert holder is not None
            paper.passed.add(holder.name)
            self.cancel(holder, paper.key, "no answer in time")
            self.release(paper, now_s)
        elif holder is not None and not holder.here and now_s >= holder.since_s + RESUME_S:
            self.leave(holder, now_s)
        elif alone_s is None or absence.after_s is None or now_s < alone_s + absence.after_s:
            return
        elif absence.then == "fail":
            seats = " or ".join(map(repr, paper.seats))
            said = f"'agent': nobody in seat {seats} worked on it for {absence.after_s:g} s"
            self.end(paper, WorkerFailure("operator.away", said), "", now_s)
            self.cancel(holder, paper.key, said)
        else:
            self.pass_on(paper, holder, now_s)

    def pass_on(self, paper: Paper, holder: Person | None, now_s: float) -> None:
        absence = paper.absence
        if absence.then == "escalate":
            assert absence.to is not None
            paper.seats, paper.absence = [absence.to], Absence()
            paper.passed.clear()
            paper.refused.clear()
            if holder is None:
                self.queue.remove(paper)
                self.queue.append(paper)
                self.place(paper, now_s)
        if holder is not None:
            paper.passed.add(holder.name)
            self.cancel(holder, paper.key, "you were away")
            self.release(paper, now_s)
        elif absence.then == "next":
            paper.since_s = now_s


# -- side by side ------------------------------------------------------------------------


class Both:
    """A desk and the plain one, to which the same happens."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a repeatable one
        self.desk, self.plain = Desk(Bounds(offer_s=OFFER_S, resume_s=RESUME_S)), Plain()
        self.now_s = 0.0
        self.here: list[tuple[Member, Person]] = []
        self.keys: list[str] = []
        self.names = 0

    def step(self) -> None:
        """Let one thing happen to both, and see that they say the same of it."""
        acts = [self.ask] * 6 + [self.answer] * 5 + [self.time] * 3 + [self.come] * 2
        acts += [self.accept, self.accept, self.decline, self.line, self.line, self.progress]
        acts += [self.hand_over, self.take_over, self.withdraw, self.collect, self.collect]
        acts += [self.leave, self.drain] if self.chance.random() < 0.3 else []
        self.chance.choice(acts)()
        self.compare()

    # -- what may happen -----------------------------------------------------------------

    def some(self) -> tuple[Member, Person] | None:
        return self.chance.choice(self.here) if self.here else None

    def key(self) -> str:
        known = self.keys[-14:]
        return self.chance.choice(known) if known else "r0/0/1"

    def come(self) -> None:
        if len(self.here) >= 7:
            return
        self.names += 1
        chance, name = self.chance, f"p{self.names}"
        seats = chance.sample(SEATS, chance.randrange(1, 3))
        tags = frozenset(chance.sample("xy", chance.randrange(3)))
        barred = frozenset(chance.sample([*SEATS, "r0", "r1"], chance.randrange(2)))
        claims = frozenset([self.key()] if chance.random() < 0.3 else [])
        person = Person(name, seats, chance.randrange(1, 4), chance.random() < 0.4, tags, claims,
                        barred)  # fmt: skip
        member = Member(
            f"s-{name}", name, name, list(seats), tags, person.capacity, person.offers,
            lambda order: order.run not in barred, lambda seat: seat not in barred, claims,
        )  # fmt: skip
        self.here.append((member, person))
        self.desk.join(member, self.now_s)
        self.plain.join(person, self.now_s)

    def line(self) -> None:
        two = self.some()
        if two is None:
            return
        member, person = two
        if member.here:
            self.desk.detach(member, self.now_s)
            self.plain.detach(person, self.now_s)
        else:
            self.desk.attach(member, self.now_s)
            self.plain.attach(person, self.now_s)

    def drain(self) -> None:
        two = self.some()
        if two is not None:
            self.desk.drain(two[0])
            two[1].draining = True

    def leave(self) -> None:
        two = self.some()
        if two is not None:
            self.here.remove(two)
            self.desk.leave(two[0], self.now_s)
            self.plain.leave(two[1], self.now_s)

    def ask(self) -> None:
        chance = self.chance
        if chance.random() < 0.2 and self.keys:
            key = self.key()
        else:
            key = f"r{chance.randrange(3)}/{len(self.keys)}/1"
            self.keys.append(key)
        after_s = chance.choice([None, 2.0, 5.0])
        then = chance.choice(THEN)
        absence = Absence(after_s, then, "art" if then == "escalate" else None)
        seats = chance.sample(SEATS, chance.randrange(1, 3))
        order = Order(
            key, chance.choice(MOMENTS), "agent", "prompt",
            run=key.split("/")[0], deadline_s=chance.choice([None, 4.0, 40.0]),
            tags=tuple(chance.sample("xy", chance.choice([0, 0, 0, 1]))),
            choice=chance.choice(CHOICES),
            absence=absence, seats=tuple(seats[1:]),
        )  # fmt: skip
        self.desk.ask(seats[0], order, self.now_s)
        self.plain.ask(order, seats, self.now_s)

    def answer(self) -> None:
        two = self.some()
        if two is None:
            return
        member, person = two
        held = list(member.orders)
        key = self.chance.choice(held) if held and self.chance.random() < 0.7 else self.key()
        proven = self.chance.random() < 0.3
        self.desk.heard(member, Result(key=key, value=key), lambda: proven, self.now_s)
        self.plain.answer(person, key, Reply(key, member.by), proven, self.now_s)

    def told(self, frame: Any, member: Member, done: bool) -> None:
        """Say a frame to the desk: it is refused where the plain one did nothing."""
        try:
            self.desk.heard(member, frame, lambda: False, self.now_s)
        except PeerFault:
            assert not done
        else:
            assert done

    def mine(self, member: Member) -> str:
        held = list(member.orders)
        return self.chance.choice(held) if held and self.chance.random() < 0.9 else self.key()

    def accept(self) -> None:
        two = self.some()
        if two is not None:
            key = self.mine(two[0])
            self.told(Accept(key=key), two[0], self.plain.accept(two[1], key, self.now_s))

    def decline(self) -> None:
        two = self.some()
        if two is not None:
            key, why = self.mine(two[0]), self.chance.choice(["busy", ""])
            done = self.plain.decline(two[1], key, why, self.now_s)
            self.told(Decline(key=key, reason=why), two[0], done)

    def progress(self) -> None:
        two = self.some()
        if two is not None:
            key = self.mine(two[0])
            done = self.plain.his(two[1], key, "held") is not None
            self.told(Progress(key=key, text="on"), two[0], done)

    def hand_over(self) -> None:
        two = self.some()
        if two is not None:
            seat, orders = self.chance.choice(SEATS), self.chance.random() < 0.5
            to = self.chance.choice([None, *(member.name for member, _ in self.here)])
            done = self.plain.hand_over(two[1], seat, to, orders, self.now_s)
            self.told(Handover(seat=seat, to=to, orders=orders), two[0], done)

    def take_over(self) -> None:
        two = self.some()
        if two is not None:
            seat, orders = self.chance.choice(SEATS), self.chance.random() < 0.5
            done = self.plain.take_over(two[1], seat, orders, self.now_s)
            self.told(Takeover(seat=seat, orders=orders), two[0], done)

    def withdraw(self) -> None:
        key = self.key()
        self.desk.withdraw(key, "not any more", self.now_s)
        self.plain.withdraw(key, self.now_s)

    def collect(self) -> None:
        ready = [case.key for case in self.desk.cases.values() if case.state == "answered"]
        if ready:
            key = self.chance.choice(ready)
            assert str(self.desk.collect(key, self.now_s)) == str(self.plain.papers[key].ending)
            del self.plain.papers[key]

    def time(self) -> None:
        self.now_s += self.chance.choice([0.5, 1, 3, 10])
        for key, case in list(self.desk.cases.items()):
            due_s = self.desk.due_s(case)
            if due_s is None or due_s > self.now_s or key not in self.plain.papers:
                continue
            self.desk.tick(case, self.now_s)
            self.plain.tick(self.plain.papers[key], self.now_s)
            self.here = [two for two in self.here if two[0].id in self.desk.members]
            self.compare()

    # -- both alike ----------------------------------------------------------------------

    def compare(self) -> None:
        said = [_said(act) for act in self.desk.acts if isinstance(act, Tell)]
        assert said == self.plain.said
        self.desk.acts.clear()
        self.plain.said.clear()
        assert self.desk.cases.keys() == self.plain.papers.keys()
        for key, case in self.desk.cases.items():
            paper = self.plain.papers[key]
            assert (case.state, case.seats) == (paper.state, tuple(paper.seats))
            assert (case.holder and case.holder.name) == (paper.holder and paper.holder.name)
            assert self.desk.due_s(case) == self.plain.due_s(paper)
            assert str(case.ending) == str(paper.ending)
        for member, person in self.here:
            assert list(member.orders) == self.plain.in_order(person)
            assert (member.seats, member.here) == (person.seats, person.here)


def _said(act: Tell) -> Said:
    frame: Any = act.frame
    name = act.member.removeprefix("s-")
    if frame.kind == "seats":
        return name, "seats", tuple(frame.seats)
    if frame.kind == "cancel":
        return name, "cancel", frame.key, frame.reason
    if frame.kind == "settled":
        return name, "settled", frame.key, frame.outcome
    order = frame.order
    return name, frame.kind, order.key, order.seat, order.deadline_s


@pytest.mark.parametrize("seed", range(40))
def test_the_desk_says_what_the_plain_one_says(seed: int) -> None:
    both = Both(seed)
    for _ in range(250):
        both.step()
