"""Who is given which order, and what becomes of it: the desk, without lines."""

from __future__ import annotations

from typing import Any

import pytest

from flowir.errors import WorkerFailure
from swarm.errors import Bug
from swarm.operators.cases import Member, Report, Tell
from swarm.operators.desk import Desk
from swarm.operators.faults import PeerFault
from swarm.operators.frames import (
    Accept,
    Ask,
    Assign,
    Cancel,
    Decline,
    Drain,
    Fail,
    Halt,
    Handover,
    HookAfter,
    HookBefore,
    Numbered,
    Offer,
    Part,
    Progress,
    Result,
    Seats,
    Settled,
    Takeover,
)
from swarm.operators.limits import Bounds
from swarm.operators.states import ORDER, SESSION
from swarm.ports.operators import Absence, Order, Reply

BOUNDS = Bounds(offer_s=30, resume_s=600)


def anything(about: Any) -> bool:
    return True


def nothing(about: Any) -> bool:
    return False


def not_secret(order: Order) -> bool:
    return order.run != "secret"


class Room:
    """A desk with people at it; what they are told stands in `told`, as (name, frame)."""

    def __init__(self) -> None:
        self.desk = Desk(BOUNDS)
        self.told: list[tuple[str, Numbered]] = []
        self.now_s = 0.0

    def sit(self, name: str, *seats: str, **more: Any) -> Member:
        settings: dict[str, Any] = {
            "tags": frozenset(),
            "capacity": 10,
            "offers": False,
            "may": anything,
            "may_sit": anything,
            **more,
        }
        member = Member(f"s-{name}", name, name, list(seats or ("reviewer",)), **settings)
        self.desk.join(member, self.now_s)
        return member

    def ask(self, key: str = "r/s/1", seat: str = "reviewer", **more: Any) -> Any:
        order = Order(key, "do", "agent", "prompt", run=key.split("/")[0], **more)
        return self.desk.ask(seat, order, self.now_s)

    def hear(self, member: Member, frame: Numbered, *, proven: bool = False) -> None:
        self.desk.heard(member, frame, lambda: proven, self.now_s)

    def read(self) -> list[tuple[str, str, str]]:
        """Return what was told since: who, what, about which key."""
        acts, self.desk.acts = self.desk.acts, []
        said: list[tuple[str, str, str]] = []
        for act in acts:
            if isinstance(act, Tell):
                order = getattr(act.frame, "order", None)
                about = order.key if order is not None else getattr(act.frame, "key", "")
                self.told.append((act.member, act.frame))
                said.append((act.member.removeprefix("s-"), act.frame.kind, about))
        return said

    def pass_s(self, case: Any, seconds: float) -> None:
        self.now_s += seconds
        due_s = self.desk.due_s(case)
        if due_s is not None and self.now_s >= due_s:
            self.desk.tick(case, self.now_s)


def done(key: str = "r/s/1", value: Any = "done") -> Result:
    return Result(key=key, value=value)


def test_an_order_goes_to_who_sits_there_and_its_answer_comes_back() -> None:
    room = Room()
    ada = room.sit("ada")
    case = room.ask()
    assert room.read() == [("ada", "assign", "r/s/1")]
    room.hear(ada, done())
    assert room.desk.collect("r/s/1", 0) == Reply("done", "ada")
    assert room.read() == [("ada", "settled", "r/s/1")]
    assert case.state == "over"
    assert ada.orders == {}


def test_without_anybody_it_waits_for_who_comes() -> None:
    room = Room()
    room.ask()
    room.sit("bob", "writer")
    assert room.read() == []
    room.sit("ada")
    assert room.read() == [("ada", "assign", "r/s/1")]


def test_the_same_key_is_given_once_however_often_it_is_asked() -> None:
    room = Room()
    room.sit("ada")
    assert room.ask() is room.ask()
    assert len(room.read()) == 1


def test_an_answer_that_comes_again_is_a_duplicate_and_one_of_others_is_stale() -> None:
    room = Room()
    ada, bob = room.sit("ada"), room.sit("bob")
    room.ask()
    room.hear(bob, done(value="mine"))
    room.hear(ada, done())
    room.hear(ada, done(value="changed"))
    assert room.desk.collect("r/s/1", 0) == Reply("done", "ada")
    room.hear(ada, done())
    room.hear(bob, done())
    room.read()
    settled = [(who, f.outcome) for who, f in room.told if isinstance(f, Settled)]
    assert settled == [
        ("s-bob", "stale"),
        ("s-ada", "taken"),
        ("s-ada", "duplicate"),
        ("s-ada", "duplicate"),
        ("s-bob", "stale"),
    ]


def test_progress_of_somebody_elses_order_is_refused() -> None:
    room = Room()
    room.sit("ada")
    bob = room.sit("bob", "writer")
    room.ask()
    with pytest.raises(PeerFault, match="expected one that is yours") as caught:
        room.hear(bob, Progress(key="r/s/1", text="mine"))
    assert caught.value.code == "operator.stale"


def test_a_failure_and_an_early_end_are_told_as_they_are() -> None:
    room = Room()
    ada = room.sit("ada")
    room.ask("r/a/1")
    room.hear(ada, Fail(key="r/a/1", code="paper.empty", message="nothing", permanent=True))
    failure = room.desk.collect("r/a/1", 0)
    assert isinstance(failure, WorkerFailure)
    assert (failure.code, failure.permanent) == ("paper.empty", True)
    room.ask("r/b/1")
    room.hear(ada, Halt(key="r/b/1", value="half", reason="enough"))
    assert room.desk.collect("r/b/1", 0) == Reply("half", "ada", halted="enough")


# -- choosing ----------------------------------------------------------------------------


def test_the_least_busy_is_chosen_and_nobody_gets_more_than_his_capacity() -> None:
    room = Room()
    room.sit("ada", capacity=2)
    room.sit("bob", capacity=1)
    for n in range(5):
        room.ask(f"r/{n}/1")
    assert [who for who, _, _ in room.read()] == ["ada", "bob", "ada"]
    bob = room.desk.members["s-bob"]
    room.hear(bob, done("r/1/1"))
    assert ("bob", "assign", "r/3/1") in room.read()


def test_turns_go_round_and_a_run_sticks_to_who_had_it() -> None:
    room = Room()
    for name in ("ada", "bob", "cyd"):
        room.sit(name)
    for n in range(6):
        room.ask(f"r/{n}/1", choice="round_robin")
    assert [who for who, _, _ in room.read()] == ["ada", "bob", "cyd"] * 2
    for run in ("r1", "r2", "r1", "r2", "r1"):
        room.ask(f"{run}/{room.now_s}/1", choice="sticky")
        room.now_s += 1
    told = [(key[:2], who) for who, _, key in room.read()]
    assert len({who for run, who in told if run == "r1"}) == 1
    assert len({who for run, who in told if run == "r2"}) == 1


def test_whoever_lacks_a_tag_or_a_right_is_passed_over() -> None:
    room = Room()
    room.sit("ada", tags=frozenset({"law"}))
    room.sit("bob", tags=frozenset({"law", "tax"}), may=not_secret)
    room.ask("r/1/1", tags=("law", "tax"))
    room.ask("secret/1/1", tags=("law", "tax"))
    assert room.read() == [("bob", "assign", "r/1/1")]


def test_the_first_seat_with_somebody_free_gets_it() -> None:
    room = Room()
    room.sit("bob", "editor")
    room.ask(seats=("editor",))
    assert room.read() == [("bob", "assign", "r/s/1")]


# -- offers ------------------------------------------------------------------------------


def test_an_offer_that_is_declined_goes_on_and_declined_by_all_it_is_refused() -> None:
    room = Room()
    ada, bob = room.sit("ada", offers=True), room.sit("bob", offers=True)
    case = room.ask()
    assert room.read() == [("ada", "offer", "r/s/1")]
    room.hear(ada, Decline(key="r/s/1", reason="busy"))
    assert room.read() == [("bob", "offer", "r/s/1")]
    room.hear(bob, Accept(key="r/s/1"))
    assert case.state == "held"
    room.hear(bob, Decline(key="r/s/1", reason="too hard"))
    failure = room.desk.collect("r/s/1", 0)
    assert isinstance(failure, WorkerFailure)
    assert (failure.code, "too hard" in failure.message) == ("operator.refused", True)


def test_an_offer_that_nobody_looks_at_lapses() -> None:
    room = Room()
    room.sit("ada", offers=True)
    room.sit("bob", offers=True)
    case = room.ask()
    room.pass_s(case, 29)
    assert len(room.read()) == 1
    room.pass_s(case, 1)
    assert room.read() == [("ada", "cancel", "r/s/1"), ("bob", "offer", "r/s/1")]
    room.pass_s(case, 30)
    assert ("ada", "offer", "r/s/1") in room.read() or case.state == "waiting"


def test_an_order_that_was_only_offered_cannot_be_reported_on() -> None:
    room = Room()
    ada = room.sit("ada", offers=True)
    room.ask()
    with pytest.raises(PeerFault):
        room.hear(ada, Progress(key="r/s/1", text="begun"))


# -- absence -----------------------------------------------------------------------------


def test_what_somebody_holds_stays_his_while_he_is_away_and_is_anothers_when_he_is_gone() -> None:
    room = Room()
    ada = room.sit("ada")
    case = room.ask()
    room.sit("bob")
    room.desk.detach(ada, 0)
    room.read()
    room.pass_s(case, 599)
    assert case.holder is ada
    room.pass_s(case, 1)
    assert room.read() == [("bob", "assign", "r/s/1")]
    room.hear(ada, done(value="late"))
    assert case.ending is None


@pytest.mark.parametrize("held", [True, False])
def test_nobody_there_fails_the_order_where_the_blueprint_says_so(held: bool) -> None:
    room = Room()
    ada = room.sit("ada") if held else None
    case = room.ask(absence=Absence(60, "fail"))
    if ada is not None:
        room.desk.detach(ada, 0)
    room.pass_s(case, 59)
    assert case.ending is None
    room.pass_s(case, 1)
    assert isinstance(case.ending, WorkerFailure)
    assert case.ending.code == "operator.away"


def test_nobody_there_passes_it_on_or_up() -> None:
    room = Room()
    ada = room.sit("ada")
    room.sit("bob")
    chief = room.sit("chief", "chief")
    passed = room.ask("r/1/1", absence=Absence(60, "next"))
    bob_s = room.ask("r/2/1")
    raised = room.ask("r/3/1", absence=Absence(60, "escalate", "chief"))
    assert (passed.holder, raised.holder) == (ada, ada)
    room.desk.detach(ada, 0)
    room.now_s = 60
    for case in (passed, raised):
        room.desk.tick(case, 60)
    assert passed.holder is bob_s.holder
    assert raised.holder is chief
    room.hear(ada, done("r/1/1"))
    assert passed.ending is None


def test_who_comes_back_in_time_goes_on() -> None:
    room = Room()
    ada = room.sit("ada")
    case = room.ask(absence=Absence(60, "fail"))
    room.desk.detach(ada, 0)
    room.now_s = 59
    room.desk.attach(ada, 59)
    assert room.desk.due_s(case) is None
    room.hear(ada, done())
    assert case.ending == Reply("done", "ada")


def test_who_leaves_for_good_gives_everything_back_at_once() -> None:
    room = Room()
    ada = room.sit("ada")
    room.ask()
    room.sit("bob")
    room.read()
    room.desk.leave(ada, 0)
    assert room.read() == [("bob", "assign", "r/s/1")]


# -- after the host was away -------------------------------------------------------------


def test_an_answer_with_the_orders_token_counts_though_another_has_it_now() -> None:
    room = Room()
    ada = room.sit("ada")
    bob = room.sit("bob", capacity=1)
    case = room.ask("r/1/1")
    other = bob if case.holder is ada else ada
    room.hear(other, done("r/1/1"), proven=True)
    assert ("ada" if other is bob else "bob", "cancel", "r/1/1") in room.read()
    assert isinstance(room.desk.collect("r/1/1", 0), Reply)


def test_an_answer_that_comes_before_its_order_waits_for_it() -> None:
    room = Room()
    ada = room.sit("ada")
    room.hear(ada, done(value="unproven"))
    room.hear(ada, done(), proven=True)
    room.ask()
    assert room.desk.collect("r/s/1", 0) == Reply("done", "ada")
    assert [f.outcome for _, f in _settled(room)] == ["stale", "taken"]
    room.hear(ada, done(), proven=True)
    assert [f.outcome for _, f in _settled(room)][-1] == "duplicate"


def test_parts_that_come_before_their_order_go_with_it() -> None:
    room = Room()
    ada = room.sit("ada")
    with pytest.raises(PeerFault, match="expected one that is yours"):
        room.hear(ada, Part(key="r/s/1", name="note", value=1))
    room.hear(ada, Part(key="r/s/1", name="note", value=2), proven=True)
    room.hear(ada, done(), proven=True)
    room.desk.acts.clear()
    room.ask()
    parts = [a.frame for a in room.desk.acts if isinstance(a, Report) and a.frame is not None]
    assert [(p.name, p.value) for p in parts if isinstance(p, Part)] == [("note", 2)]
    assert room.desk.collect("r/s/1", 0) == Reply("done", "ada")
    # The order is over: what is said of it now lies nowhere.
    with pytest.raises(PeerFault, match="expected one that is yours"):
        room.hear(ada, Part(key="r/s/1", name="note", value=3), proven=True)


def test_a_part_of_what_another_has_by_now_counts_with_the_token() -> None:
    room = Room()
    ada, bob = room.sit("ada"), room.sit("bob")
    case = room.ask()
    other = bob if case.holder is ada else ada
    room.desk.acts.clear()
    room.hear(other, Part(key="r/s/1", name="note", value=1), proven=True)
    assert [type(act) for act in room.desk.acts] == [Report]


def test_an_answer_to_what_was_taken_back_is_stale_and_lies_nowhere() -> None:
    room = Room()
    ada = room.sit("ada")
    room.ask()
    room.desk.withdraw("r/s/1", "too late", 0)
    room.hear(ada, done(), proven=True)
    assert [f.outcome for _, f in _settled(room)] == ["stale"]
    assert room.ask().state == "held"


def test_a_closed_desk_places_nothing_until_it_is_open() -> None:
    room = Room()
    ada = room.sit("ada")
    room.desk.closed = True
    case = room.ask()
    room.desk.attach(ada, 0)
    assert (case.state, room.read()) == ("waiting", [])
    room.desk.closed = False
    room.desk.attach(ada, 0)
    assert case.state == "held"


def test_a_proof_is_asked_for_only_where_it_decides() -> None:
    room, asked = Room(), list[str]()
    ada = room.sit("ada")
    room.ask()
    room.desk.heard(ada, done(), lambda: bool(asked.append("asked")), 0)
    assert (room.desk.cases["r/s/1"].state, asked) == ("answered", [])
    room.desk.heard(ada, done("r/s/2"), lambda: bool(asked.append("asked")), 0)
    assert asked == ["asked"]


def test_an_answer_by_token_counts_as_that_of_who_has_the_order() -> None:
    room = Room()
    room.sit("ada")
    room.ask()
    assert room.desk.answer("r/s/1", Reply(1, "agent:x"), "agent:x", 0) == "taken"
    assert room.desk.answer("r/s/1", Reply(2, "agent:x"), "agent:x", 0) == "duplicate"
    assert ("ada", "cancel", "r/s/1") in room.read()
    assert room.desk.collect("r/s/1", 0) == Reply(1, "ada")


def _settled(room: Room) -> list[tuple[str, Settled]]:
    room.read()
    return [(who, frame) for who, frame in room.told if isinstance(frame, Settled)]


def test_who_says_that_he_has_it_is_given_it_first_and_is_not_asked() -> None:
    room = Room()
    room.sit("ada")
    room.sit("bob", offers=True, claims=frozenset({"r/s/1"}))
    room.ask()
    assert room.read() == [("bob", "assign", "r/s/1")]


# -- cancel, seats, drain ----------------------------------------------------------------


def test_an_order_that_is_taken_back_is_cancelled_and_frees_a_hand() -> None:
    room = Room()
    ada = room.sit("ada", capacity=1)
    room.ask("r/1/1")
    room.ask("r/2/1")
    room.read()
    room.desk.withdraw("r/1/1", "enough", 0)
    assert room.read() == [("ada", "cancel", "r/1/1"), ("ada", "assign", "r/2/1")]
    room.hear(ada, done("r/1/1"))
    assert [f.outcome for _, f in _settled(room)] == ["stale"]


def test_a_seat_that_is_handed_over_moves_the_next_order() -> None:
    room = Room()
    ada, bob = room.sit("ada"), room.sit("bob", "bob")
    first = room.ask("r/1/1")
    room.hear(ada, Handover(seat="reviewer", to="bob"))
    second = room.ask("r/2/1")
    assert (first.holder, second.holder) == (ada, bob)
    seats = {who: f.seats for who, f in _told(room) if isinstance(f, Seats)}
    assert seats == {"s-bob": ["bob", "reviewer"], "s-ada": []}


def _told(room: Room) -> list[tuple[str, Numbered]]:
    room.read()
    return room.told


def test_a_seat_is_handed_over_with_its_orders_or_not_at_all() -> None:
    room = Room()
    ada = room.sit("ada")
    case = room.ask()
    with pytest.raises(PeerFault, match="expected somebody who is here"):
        room.hear(ada, Handover(seat="reviewer", to="bob"))
    with pytest.raises(PeerFault, match="expected a seat of yours"):
        room.hear(ada, Handover(seat="writer"))
    bob = room.sit("bob", "bob")
    room.hear(ada, Handover(seat="reviewer", to="bob", orders=True))
    assert case.holder is bob
    assert any(isinstance(f, Cancel) and who == "s-ada" for who, f in _told(room))


def test_a_seat_is_taken_over_by_who_may_sit_there() -> None:
    room = Room()
    room.sit("ada")
    case = room.ask()
    eve = room.sit("eve", "eve", may_sit=nothing)
    with pytest.raises(PeerFault, match="may not sit"):
        room.hear(eve, Takeover(seat="reviewer"))
    bob = room.sit("bob", "bob")
    room.hear(bob, Takeover(seat="reviewer", orders=True))
    assert case.holder is bob
    assert room.ask("r/2/1").holder is bob


def test_who_drains_is_given_nothing_new_and_may_finish() -> None:
    room = Room()
    ada = room.sit("ada")
    case = room.ask("r/1/1")
    room.desk.drain(ada)
    assert room.ask("r/2/1").state == "waiting"
    room.hear(ada, done("r/1/1"))
    assert case.ending == Reply("done", "ada")


# -- the tables --------------------------------------------------------------------------


def test_every_state_can_be_reached_and_only_over_is_an_end() -> None:
    tables: list[tuple[dict[Any, Any], str]] = [(dict(ORDER), "waiting"), (dict(SESSION), "fresh")]
    for table, first in tables:
        states = {state for state, _ in table} | set(table.values())
        reached = {first} | set(table.values())
        assert states == reached
        assert {state for state in states if not any(s == state for s, _ in table)} == {"over"}


def test_an_event_without_a_row_is_a_bug_and_not_a_move() -> None:
    room = Room()
    room.sit("ada")
    room.ask()
    room.desk.cases["r/s/1"].ending = Reply("x")
    with pytest.raises(Bug, match="collect from held"):
        room.desk.collect("r/s/1", 0)


def test_what_is_offered_says_all_that_is_needed() -> None:
    room = Room()
    room.sit("ada", offers=True)
    room.ask(deadline_s=100.0, told={"name": "agent"}, token=lambda: "t")
    room.read()
    ((_, frame),) = room.told
    assert isinstance(frame, Offer)
    assert (frame.order.deadline_s, frame.order.token, frame.stands_s) == (100.0, "t", 30)
    assert not isinstance(frame, Assign)


def test_who_goes_takes_his_claims_with_him() -> None:
    room = Room()
    ada = room.sit("ada", claims=frozenset({"r/s/1", "r/s/2"}))
    bob = room.sit("bob", claims=frozenset({"r/s/2"}))
    assert set(room.desk._claims) == {"r/s/1", "r/s/2"}  # pyright: ignore[reportPrivateUsage]
    room.desk.leave(ada, 0)
    assert room.desk._claims == {"r/s/2": {"s-bob": bob}}  # pyright: ignore[reportPrivateUsage]
    room.desk.leave(bob, 0)
    room.desk.leave(bob, 0)
    assert room.desk._claims == {}  # pyright: ignore[reportPrivateUsage]
    assert room.desk.seated("reviewer") == ()


def test_a_seat_that_somebody_names_twice_is_one() -> None:
    room = Room()
    ada = room.sit("ada", "reviewer", "reviewer")
    room.desk.leave(ada, 0)
    assert (room.desk.seated("reviewer"), room.desk.members) == ((), {})
    room.ask()
    assert room.read() == []


def test_an_order_that_is_asked_for_again_is_as_it_is_said_now() -> None:
    room = Room()
    room.desk.closed = True
    case = room.ask()
    room.sit("ada")
    room.desk.closed = False
    order = Order("r/s/1", "do", "agent", "another prompt", run="r")
    assert room.desk.ask("reviewer", order, 5) is case
    assert case.order is order
    assert room.read() == [("ada", "assign", "r/s/1")]
    assert room.desk.ask("reviewer", order, 6) is case
    assert room.read() == []


def test_something_becomes_of_an_order_when_it_is_due() -> None:
    room = Room()
    room.now_s = 100
    ada = room.sit("ada", offers=True)
    offered = room.ask("r/1/1")
    assert room.desk.due_s(offered) == 130
    room.hear(ada, Accept(key="r/1/1"))
    assert room.desk.due_s(offered) is None
    room.desk.detach(ada, 150)
    assert room.desk.due_s(offered) == 750
    waiting = room.ask("r/2/1", "nobody", absence=Absence(60, "fail"))
    assert room.desk.due_s(waiting) == 160
    for absence in (Absence(60, "wait"), Absence(None, "fail")):
        assert room.desk.due_s(room.ask(f"r/{absence.then}/9", "nobody", absence=absence)) is None
    held = room.ask("r/1/1")
    held.absence = Absence(60, "next")
    assert room.desk.due_s(held) == 210


def test_an_offer_stands_to_its_second() -> None:
    room = Room()
    room.sit("ada", offers=True)
    case = room.ask()
    room.desk.tick(case, 29.9)
    assert case.state == "offered"
    room.read()
    room.desk.tick(case, 30)
    assert room.read()[0] == ("ada", "cancel", "r/s/1")
    told = [frame.reason for _, frame in room.told if isinstance(frame, Cancel)]
    assert told == ["no answer in time"]


def test_what_nobody_takes_waits_for_the_next_from_then_on() -> None:
    room = Room()
    case = room.ask(absence=Absence(60, "next"))
    room.desk.tick(case, 59)
    assert room.desk.due_s(case) == 60
    room.desk.tick(case, 60)
    assert (case.state, room.desk.due_s(case)) == ("waiting", 120)


def test_who_let_a_step_lapse_is_asked_again_unless_it_is_for_the_next() -> None:
    room = Room()
    ada = room.sit("ada", offers=True)
    again = room.ask("r/1/1")
    other = room.ask("r/2/1", absence=Absence(900, "next"))
    for case in (again, other):
        room.desk.tick(case, 30)
    assert again.passed == set()
    assert (other.passed, other.state) == ({ada.id}, "waiting")
    bob = room.sit("bob")
    assert other.holder is bob


def test_what_was_passed_up_is_no_longer_for_whom_it_was() -> None:
    room = Room()
    case = room.ask(absence=Absence(60, "escalate", "chief"))
    room.desk.tick(case, 60)
    assert (case.seats, case.absence, case.state) == (("chief",), Absence(), "waiting")
    room.sit("ada")
    assert room.read() == []
    chief = room.sit("chief", "chief")
    assert case.holder is chief
    assert room.read() == [("chief", "assign", "r/s/1")]
    room.desk.withdraw("r/s/1", "enough", 61)
    assert room.desk._waiting == {}  # pyright: ignore[reportPrivateUsage]


def test_who_is_given_a_seat_is_given_what_waits_there_at_once() -> None:
    room = Room()
    ada = room.sit("ada", capacity=0)
    heir = room.sit("heir", "writer")
    case = room.ask()
    assert room.read() == []
    room.hear(ada, Handover(seat="reviewer", to="heir", orders=False))
    assert case.holder is heir
    other = room.ask("r/t/1", "editor")
    taker = room.sit("taker", "writer")
    room.hear(taker, Takeover(seat="editor", orders=False))
    assert other.holder is taker
    assert set(taker.seats) == {"writer", "editor"}


def test_who_declines_has_a_hand_free_for_the_next() -> None:
    room = Room()
    ada = room.sit("ada", capacity=1)
    first, second = room.ask("r/1/1"), room.ask("r/2/1")
    assert (first.holder, second.holder) == (ada, None)
    bob = room.sit("bob", "nowhere", capacity=1)
    bob.seats.append("reviewer")
    room.hear(ada, Decline(key="r/1/1", reason="busy"))
    assert second.holder is ada
    assert (first.holder, list(ada.orders)) == (None, ["r/2/1"])


def test_what_is_answered_is_nobody_s_and_waits_nowhere() -> None:
    room = Room()
    ada = room.sit("ada", capacity=1)
    case, waiting = room.ask("r/1/1"), room.ask("r/2/1")
    room.hear(ada, done("r/1/1"))
    assert (case.holder, waiting.holder, list(ada.orders)) == (None, ada, ["r/2/1"])
    away = room.ask("r/3/1", "nobody")
    room.desk.fail("r/3/1", WorkerFailure("x.y", "no"), 0)
    assert away.state == "answered"
    assert room.desk._waiting == {}  # pyright: ignore[reportPrivateUsage]


def test_a_deadline_runs_from_the_asking_on() -> None:
    room = Room()
    room.now_s = 10
    room.ask("r/1/1", deadline_s=100.0)
    room.ask("r/2/1", deadline_s=20.0)
    room.ask("r/3/1")
    room.now_s = 40
    room.sit("ada")
    room.read()
    left = [frame.order.deadline_s for _, frame in room.told if isinstance(frame, Assign)]
    assert left == [70, 0, None]


def test_who_had_a_run_s_last_is_remembered_for_so_many_runs() -> None:
    room = Room()
    room.desk = Desk(Bounds(remembered=2))
    ada, bob = room.sit("ada"), room.sit("bob")
    for run in ("one", "two", "three"):
        case = room.ask(f"{run}/1/1", choice="sticky")
        room.hear(case.holder, done(f"{run}/1/1"))
        room.desk.collect(f"{run}/1/1", 0)
    assert list(room.desk._had) == ["two", "three"]  # pyright: ignore[reportPrivateUsage]
    assert {ada.turn, bob.turn} <= {0, 1, 2, 3}


def test_who_is_back_is_chosen_again() -> None:
    room = Room()
    ada = room.sit("ada")
    room.desk.detach(ada, 0)
    room.ask("r/s/1")
    room.desk.withdraw("r/s/1", "enough", 0)
    room.desk.attach(ada, 0)
    assert room.ask("r/s/2").holder is ada


def test_of_who_has_no_line_all_orders_are_looked_at() -> None:
    room = Room()
    ada, bob = room.sit("ada"), room.sit("bob", "writer")
    for key in ("r/s/1", "r/s/2"):
        room.ask(key)
    room.ask("r/s/3", "writer")
    room.read()
    room.desk.detach(ada, 5)
    assert room.desk.acts == [Report("r/s/1"), Report("r/s/2")]
    assert (ada.here, ada.since_s, bob.here) == (False, 5, True)


def test_somebody_is_found_by_his_name_or_else_by_whom_his_token_names() -> None:
    room = Room()
    settings: Any = {"tags": frozenset[str](), "capacity": 1, "offers": False, "may": anything,
                     "may_sit": anything}  # fmt: skip
    people = [
        Member("1", "sue", "ada", ["a"], **settings),
        Member("2", "ada", "bob", ["a"], **settings),
        Member("3", "sue", "eve", ["a"], **settings),
    ]
    for one in people:
        room.desk.join(one, 0)
    find = room.desk.find
    assert [find(name) for name in ("ada", "bob", "sue", "nobody")] == [
        people[0], people[1], people[0], None,
    ]  # fmt: skip
    room.desk.detach(people[0], 0)
    assert (find("ada"), find("sue")) == (people[1], people[2])
    room.desk.drain(people[1])
    assert (find("ada"), find("bob")) == (None, None)


def test_an_answer_that_was_there_before_it_was_asked_for_is_the_answer() -> None:
    room = Room()
    ada, bob = room.sit("ada"), room.sit("bob")
    room.hear(ada, Part(key="r/s/1", name="log", value=[1]), proven=True)
    room.hear(ada, done(), proven=True)
    room.desk.acts.clear()
    case = room.ask()
    assert (case.key, case.state, case.holder) == ("r/s/1", "answered", None)
    parts = [act.frame for act in room.desk.acts if isinstance(act, Report) and act.frame]
    assert [part.name for part in parts if isinstance(part, Part)] == ["log"]
    assert room.read() == [], "nobody is given it"
    assert room.desk.collect("r/s/1", 0) == Reply("done", "ada")
    assert room.desk.is_over("r/s/1")
    assert bob.orders == {}


@pytest.mark.parametrize(
    ("moment", "offers", "kind"),
    [
        ("do", False, Assign), ("do", True, Offer), ("before", True, HookBefore),
        ("after", True, HookAfter), ("advise", True, Ask), ("advise", False, Ask),
    ],
)  # fmt: skip
def test_an_order_is_told_whole(moment: Any, offers: bool, kind: type[Any]) -> None:
    room = Room()
    order = Order(
        "r/s/1", moment, "agent", "prompt", {"n": 1}, {"type": "object"}, run="r", step="s",
        attempt=2, deadline_s=60, told={"a": 1}, token=lambda: "secret",
    )  # fmt: skip
    room.desk.ask("reviewer", order, 0)
    room.now_s = 20
    room.sit("ada", offers=offers)
    room.read()
    ((_, frame),) = room.told
    assert type(frame) is kind
    body: Any = frame
    assert body.order.model_dump() == {
        "key": "r/s/1", "moment": moment, "seat": "reviewer", "agent": "agent",
        "prompt": "prompt", "input": {"n": 1}, "answer_schema": {"type": "object"},
        "told": {"a": 1}, "run": "r", "step": "s", "attempt": 2, "deadline_s": 40.0,
        "token": "secret",
    }  # fmt: skip
    if kind is Offer:
        assert body.stands_s == 30


def test_no_order_has_less_than_no_time() -> None:
    room = Room()
    room.ask(deadline_s=60)
    room.now_s = 100
    room.sit("ada")
    room.read()
    body: Any = room.told[0][1]
    assert (body.order.deadline_s, body.order.token, body.order.told) == (0.0, None, None)


def test_what_is_not_of_orders_and_seats_is_none_of_the_desk() -> None:
    room = Room()
    ada = room.sit("ada")
    with pytest.raises(Bug, match="an operator's 'drain' reached the desk"):
        room.hear(ada, Drain())


def test_of_an_order_that_nobody_has_asked_for_so_many_parts_are_kept() -> None:
    room = Room()
    ada = room.sit("ada")
    for number in range(256):
        room.hear(ada, Part(key="r/s/1", name=f"p{number}", value=1), proven=True)
    room.hear(ada, Part(key="r/s/1", name="p0", value=2), proven=True)
    with pytest.raises(PeerFault) as refused:
        room.hear(ada, Part(key="r/s/1", name="more", value=1), proven=True)
    assert (refused.value.code, refused.value.values) == ("operator.too_fast", {"key": "r/s/1"})
    assert refused.value.message == (
        "order r/s/1: expected fewer parts before it is asked for again"
    )


def test_a_part_is_of_who_holds_the_order_or_has_its_token() -> None:
    room = Room()
    ada, bob = room.sit("ada", offers=True), room.sit("bob", "writer")
    room.ask()
    part = Part(key="r/s/1", name="log", value=1)
    stale = "order r/s/1: expected one that is yours and held, got none"
    for member in (ada, bob):  # Offered is not held.
        with pytest.raises(PeerFault) as refused:
            room.hear(member, part)
        assert (refused.value.code, refused.value.message) == ("operator.stale", stale)
    room.hear(ada, Accept(key="r/s/1"))
    room.desk.acts.clear()
    room.hear(ada, part)
    room.hear(bob, part, proven=True)
    with pytest.raises(PeerFault):
        room.hear(bob, part)
    assert room.desk.acts == [Report("r/s/1", part)] * 2


def test_what_was_taken_back_is_over_and_whoever_waits_is_next() -> None:
    room = Room()
    ada = room.sit("ada", capacity=1)
    case, other = room.ask("r/s/1"), room.ask("r/s/2")
    room.read()
    room.desk.withdraw("r/s/1", "enough", 0)
    assert (case.state, case.holder, other.holder) == ("over", None, ada)
    assert room.read() == [("ada", "cancel", "r/s/1"), ("ada", "assign", "r/s/2")]
    assert room.desk.is_over("r/s/1")
    room.desk.withdraw("r/s/1", "enough", 0)
    assert room.desk.acts == []


def test_an_order_that_ends_without_its_holder_is_taken_from_him() -> None:
    room = Room()
    ada = room.sit("ada")
    case = room.ask()
    room.read()
    failure = WorkerFailure("operator.away", "nobody")
    room.desk.fail("r/s/1", failure, 0)
    assert room.read() == [("ada", "cancel", "r/s/1")]
    cancel: Any = room.told[-1][1]
    assert (cancel.reason, case.state, ada.orders) == ("nobody", "answered", {})
    assert room.desk.collect("r/s/1", 0) is failure


def test_whose_order_somebody_else_has_done_is_given_the_next() -> None:
    room = Room()
    ada, bob = room.sit("ada", capacity=1), room.sit("bob", "writer")
    room.ask("r/s/1")
    waits = room.ask("r/s/2")
    room.read()
    room.hear(bob, done("r/s/1"), proven=True)
    assert waits.holder is ada
    assert room.read() == [
        ("bob", "settled", "r/s/1"), ("ada", "cancel", "r/s/1"), ("ada", "assign", "r/s/2"),
    ]  # fmt: skip


def test_who_takes_a_seat_is_told_and_so_is_who_has_lost_it() -> None:
    room = Room()
    ada, bob = room.sit("ada", "reviewer", "writer"), room.sit("bob", "writer")
    room.hear(bob, Takeover(seat="reviewer"))
    assert room.read() == [("ada", "seats", ""), ("bob", "seats", "")]
    seats: list[Any] = [frame for _, frame in room.told]
    assert [frame.seats for frame in seats] == [["writer"], ["writer", "reviewer"]]
    assert (ada.seats, bob.seats) == (["writer"], ["writer", "reviewer"])
    assert list(room.desk.seated("reviewer")) == [bob]


@pytest.mark.parametrize("answer", ["declined", "let lapse"])
def test_further_up_whoever_did_not_want_it_is_asked_once_more(answer: str) -> None:
    room = Room()
    ada = room.sit("ada", "reviewer", "lead", offers=True)
    busy = room.sit("busy", capacity=1, tags=frozenset(("x",)))
    room.ask("r/s/0", tags=frozenset(("x",)))
    assert list(busy.orders) == ["r/s/0"]
    case = room.ask(absence=Absence(60, "escalate", "lead"))
    assert case.holder is ada
    if answer == "declined":
        room.hear(ada, Decline(key="r/s/1", reason="no"))
    else:
        room.pass_s(case, 30)
    assert (case.state, case.holder) == ("waiting", None)
    room.read()
    room.pass_s(case, 59.9)
    assert case.state == "waiting"
    room.pass_s(case, 0.1)
    assert (case.seats, case.absence, case.holder) == (("lead",), Absence(), ada)
    assert room.read() == [("ada", "offer", "r/s/1")]


def test_who_is_away_too_long_hands_his_order_on_and_is_not_given_it_again() -> None:
    room = Room()
    ada = room.sit("ada")
    case = room.ask(absence=Absence(60, "next"))
    room.read()
    room.desk.detach(ada, 10)
    room.now_s = 10
    room.pass_s(case, 59.9)
    assert case.holder is ada
    room.pass_s(case, 0.1)
    assert (case.state, case.holder, ada.orders) == ("waiting", None, {})
    assert room.read() == [("ada", "cancel", "r/s/1")]
    cancel: Any = room.told[-1][1]
    assert cancel.reason == "you were away"
    room.desk.attach(ada, room.now_s)
    assert case.state == "waiting"
    bob = room.sit("bob")
    assert case.holder is bob


def test_where_nobody_works_on_it_in_time_it_fails_and_says_where() -> None:
    room = Room()
    case = room.ask(seats=("lead",), absence=Absence(60, "fail"))
    assert room.desk.due_s(case) == 60
    room.pass_s(case, 60)
    failed = room.desk.collect("r/s/1", 60)
    assert isinstance(failed, WorkerFailure)
    assert (failed.code, failed.message) == (
        "operator.away", "'agent': nobody in seat 'reviewer' or 'lead' worked on it for 60 s",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("absence", "due_s"),
    [
        (Absence(), None), (Absence(None, "fail"), None), (Absence(60, "wait"), None),
        (Absence(60, "next"), 60), (Absence(0, "fail"), 0),
    ],
)  # fmt: skip
def test_of_what_waits_is_known_when_something_becomes_of_it(
    absence: Absence, due_s: float | None
) -> None:
    room = Room()
    assert room.desk.due_s(room.ask(absence=absence)) == due_s


def test_the_soonest_of_what_may_become_of_an_order_is_due() -> None:
    room = Room()
    ada = room.sit("ada", offers=True)
    case = room.ask(absence=Absence(20, "next"))
    assert room.desk.due_s(case) == 30
    room.desk.detach(ada, 5)
    assert room.desk.due_s(case) == 25
    room.desk.attach(ada, 6)
    room.hear(ada, Accept(key="r/s/1"))
    assert room.desk.due_s(case) is None
    room.now_s = 8
    room.desk.detach(ada, 8)
    case.absence = Absence()
    assert room.desk.due_s(case) == 608
