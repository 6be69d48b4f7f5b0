"""What an operator has in hand over hosts that begin anew: said again where nobody knows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarm.operators.channel import Channel
from swarm.operators.faults import PeerFault
from swarm.operators.frames import (
    FROM_OPERATOR,
    AnswerQuestion,
    Assign,
    Cancel,
    Drain,
    Heartbeat,
    Limits,
    Numbered,
    OrderBody,
    Part,
    Question,
    Result,
    Settled,
    Welcome,
    read_frame,
)
from swarm.operators.hands import Begin, Card, Hands
from swarm.operators.limits import Bounds

KEY = "r/$/1"
LIMITS = Limits(message_bytes=100_000, unacked=100, capacity=4, rate=100, burst=100)


class Across:
    """An operator, and hosts that say what a test wants."""

    def __init__(self) -> None:
        self.hands = Hands(Card("ada"), Bounds())
        self.hosts = 0
        self.host = Channel(Bounds())

    def begin(self, *, resumed: bool = False) -> list[str]:
        """Open a line; return what is said on it at once."""
        self.hands.hello()
        if not resumed:
            self.hosts += 1
            self.host = Channel(Bounds())
        self.host.epoch += 1
        welcome = Welcome(
            epoch=self.host.epoch, session=f"s{self.hosts}", resumed=resumed,
            last=self.host.received, name="ada", subject="ada", seats=["ada"], orders=[],
            resume_s=600, heartbeat_s=20, redeliver_s=5, limits=LIMITS,
        )  # fmt: skip
        self.hands.received(welcome.model_dump_json(), 0)
        return self.said()

    def tell(self, frame: Numbered) -> list[Any]:
        return self.hands.received(self.host.post(frame, 0), 0)

    def give(self, token: str = "t") -> list[Any]:  # noqa: S107 - the name of one
        order = OrderBody(key=KEY, moment="do", seat="ada", agent="a", token=token)
        return self.tell(Assign(order=order))

    def said(self) -> list[str]:
        """Return what was said, as kinds and what tells them apart."""
        texts, self.hands.texts = self.hands.texts, []
        told: list[str] = []
        for text in texts:
            self.host.take(read_frame(text, FROM_OPERATOR, 100_000))
            fields = json.loads(text)
            told.append(" ".join(map(str, filter(None, (
                fields["type"], fields.get("name") or fields.get("id"), fields.get("value"),
                fields.get("token"),
            )))))  # fmt: skip
        return told


def at_work() -> Across:
    there = Across()
    there.begin()
    assert [type(act) for act in there.give()] == [Begin]
    there.hands.say(Part(key=KEY, name="one", value=1), 0)
    there.hands.say(Part(key=KEY, name="two", value=2), 0)
    there.hands.say(Part(key=KEY, name="one", value=3), 0)
    there.hands.say(Question(key=KEY, id="q1", prompt="sure?"), 0)
    assert there.said() == ["part one 1", "part two 2", "part one 3", "question q1"]
    return there


def test_a_new_host_is_told_the_parts_and_the_questions_once_it_asks_again() -> None:
    there = at_work()
    assert there.begin() == []
    assert there.give("t2") == []
    assert there.said() == ["part one 3 t2", "part two 2 t2", "question q1"]
    assert there.give("t2") == []
    assert there.said() == []


def test_the_same_host_is_told_nothing_twice() -> None:
    there = at_work()
    assert there.begin(resumed=True) == []
    assert there.give() == []
    assert there.said() == []


def test_a_question_that_was_answered_or_given_up_is_not_asked_again() -> None:
    there = at_work()
    there.hands.say(Question(key=KEY, id="q2", prompt="and?"), 0)
    there.tell(AnswerQuestion(key=KEY, id="q1", value=True))
    there.hands.drop_question(KEY, "q2")
    there.begin()
    there.give()
    assert [said for said in there.said() if said.startswith("question")] == []


def test_an_answer_of_which_nobody_told_what_became_comes_with_its_parts() -> None:
    there = at_work()
    there.hands.answer(Result(key=KEY, value="done"), 0)
    assert there.said() == ["result done t"]
    again = ["part one 3 t", "part two 2 t", "result done t"]
    assert there.begin() == again
    # Asked for once more by the host that has it all: the answer is enough.
    there.give("t2")
    assert there.said() == ["result done t2"]
    assert there.begin() == ["part one 3 t2", "part two 2 t2", "result done t2"]


def test_an_answer_that_a_dead_host_has_taken_is_held_for_the_next() -> None:
    there = at_work()
    there.hands.answer(Result(key=KEY, value="done"), 0)
    there.said()
    there.tell(Settled(key=KEY, outcome="taken"))
    assert json.loads(there.hands.hello())["holding"] == [KEY]
    assert there.begin() == []
    there.give("t2")
    assert there.said() == ["part one 3 t2", "part two 2 t2", "result done t2"]


def test_what_is_finished_before_the_new_host_asks_is_told_whole() -> None:
    there = at_work()
    there.begin()
    there.hands.answer(Result(key=KEY, value="done"), 0)
    assert there.said() == ["part one 3 t", "part two 2 t", "result done t"]


def test_what_nobody_wants_any_more_is_forgotten() -> None:
    there = at_work()
    there.tell(Cancel(key=KEY, reason="enough"))
    there.begin()
    assert [type(act) for act in there.give()] == [Begin]
    assert there.said() == []


def test_a_host_that_ends_says_so_and_what_is_in_hand_goes_on() -> None:
    there = at_work()
    assert [type(act) for act in there.tell(Drain())] == [Drain]
    assert KEY in there.hands.holding


def test_an_operator_says_who_he_is_and_what_he_has_at_each_beginning() -> None:
    card = Card("ada", ("writer",), ("quick",), 3, "offer")
    hands = Hands(card, Bounds())
    said = json.loads(hands.hello())
    assert {name: said.get(name) for name in ("name", "seats", "tags", "capacity", "takes")} == {
        "name": "ada", "seats": ["writer"], "tags": ["quick"], "capacity": 3, "takes": "offer",
    }  # fmt: skip
    assert (said.get("resume"), said.get("holding", []), hands.live) == (None, [], False)
    assert Card("ada") == Card("ada", (), (), 1, "assign")


def test_a_line_that_was_welcomed_lives_until_it_is_lost_or_begun_anew() -> None:
    there = Across()
    assert not there.hands.live
    there.begin()
    assert there.hands.live
    there.hands.lost()
    assert not there.hands.live
    there.begin(resumed=True)
    assert there.hands.live
    again = json.loads(there.hands.hello())
    assert not there.hands.live
    assert (again["resume"], there.hands.texts) == ({"session": "s1", "last": 0}, [])


def test_what_was_said_on_a_lost_line_is_said_again_on_the_next_of_the_same_session() -> None:
    there = Across()
    there.begin()
    there.give()
    there.hands.lost()
    there.hands.say(Part(key=KEY, name="one", value=1), 0)
    assert there.hands.texts == []
    assert there.hands.unacked == 1
    assert there.begin(resumed=True) == ["part one 1"]


def test_before_a_welcome_nothing_but_an_error_is_heard() -> None:
    there = Across()
    order = OrderBody(key=KEY, moment="do", seat="ada", agent="a")
    early = there.host.post(Assign(order=order), 0)
    assert there.hands.received(early, 0) == []
    there.begin()
    there.host.epoch += 1
    assert there.give() == [], "what is said on another line is nothing"
    assert there.hands.holding == {}


def test_signs_of_life_are_given_on_a_line_that_lives() -> None:
    there = Across()
    there.hands.beat()
    there.hands.acknowledge()
    there.hands.look_after(100)
    assert there.hands.texts == []
    there.begin()
    there.hands.acknowledge()
    assert there.hands.texts == [], "nothing is owed"
    there.give()
    there.hands.acknowledge()
    there.hands.acknowledge()
    there.hands.beat()
    assert [json.loads(text)["type"] for text in there.hands.texts] == ["ack", "heartbeat"]
    assert json.loads(there.hands.texts[0])["ack"] == 1
    there.hands.texts.clear()
    there.hands.say(Part(key=KEY, name="one", value=1), 10)
    there.hands.texts.clear()
    there.hands.look_after(14.9)
    assert there.hands.texts == []
    there.hands.look_after(15)
    assert [json.loads(text)["type"] for text in there.hands.texts] == ["part"]


def test_answers_are_remembered_for_so_many_orders() -> None:
    there = Across()
    there.hands = Hands(Card("ada"), Bounds(remembered=2))
    there.begin()
    for number in range(3):
        key = f"r/$/{number}"
        order = OrderBody(key=key, moment="do", seat="ada", agent="a")
        there.tell(Assign(order=order))
        there.hands.say(Part(key=key, name="one", value=1), 0)
        there.hands.answer(Result(key=key, value=number), 0)
        there.tell(Settled(key=key, outcome="taken"))
    assert list(there.hands.answers) == ["r/$/1", "r/$/2"]
    assert set(there.hands._told) == {"r/$/1", "r/$/2"}  # pyright: ignore[reportPrivateUsage]
    assert json.loads(there.hands.hello())["holding"] == ["r/$/1", "r/$/2"]


def test_of_what_was_settled_the_latest_hundred_are_told_to_the_next_host() -> None:
    there = Across()
    result = Result(key="x", value=1)
    for number in range(101):
        there.hands.answers[f"r/{number}"] = (result, True)
    there.hands.answers["r/open"] = (result, False)
    holding = json.loads(there.hands.hello())["holding"]
    assert holding == ["r/open", *(f"r/{number}" for number in range(1, 101))]


def test_what_is_not_held_is_not_answered() -> None:
    there = Across()
    there.begin()
    there.hands.answer(Result(key=KEY, value="done"), 0)
    assert (there.hands.texts, there.hands.answers) == ([], {})


def welcomed(hands: Hands, session: str, *, resumed: bool, epoch: int = 1) -> list[Any]:
    hands.hello()
    welcome = Welcome(
        epoch=epoch, session=session, resumed=resumed, last=0, name="ada", subject="ada",
        seats=["ada"], orders=[], resume_s=600, heartbeat_s=20, redeliver_s=5, limits=LIMITS,
    )  # fmt: skip
    assert hands.received(welcome.model_dump_json(), 0) == [welcome]
    return hands.texts


@pytest.mark.parametrize(
    ("session", "resumed", "goes_on"),
    [("s1", True, True), ("s1", False, False), ("s2", True, False), ("s2", False, False)],
)
def test_only_the_session_that_was_left_is_gone_on_with(
    session: str, resumed: bool, goes_on: bool
) -> None:
    hands = Hands(Card("ada"), Bounds())
    welcomed(hands, "s1", resumed=False)
    hands.say(Part(key=KEY, name="one", value=1), 0)
    assert hands.unacked == 1
    texts = welcomed(hands, session, resumed=resumed, epoch=2)
    assert hands.session == session
    assert [json.loads(text)["type"] for text in texts] == (["part"] if goes_on else [])
    assert hands.unacked == (1 if goes_on else 0)


def test_what_goes_beyond_the_host_s_limits_is_refused_here() -> None:
    hands = Hands(Card("ada"), Bounds())
    # Before a host has said what it takes, these are one's own.
    hands.say(Part(key=KEY, name="one", value="x" * 100_000), 0)
    welcomed(hands, "s1", resumed=False)
    with pytest.raises(PeerFault) as refused:
        hands.say(Part(key=KEY, name="one", value="x" * 100_000), 0)
    assert refused.value.code == "operator.too_large"
    hands.say(Part(key=KEY, name="one", value="x" * 99_000), 0)


def test_at_most_a_thousand_keys_are_told() -> None:
    hands = Hands(Card("ada"), Bounds())
    for number in range(1_001):
        key = f"r/{number}"
        hands.holding[key] = OrderBody(key=key, moment="do", seat="ada", agent="a")
    holding = json.loads(hands.hello())["holding"]
    assert holding == [f"r/{number}" for number in range(1_000)]


def test_what_a_host_says_has_just_so_many_bytes() -> None:
    hands = Hands(Card("ada"), Bounds())
    most = 4 * 1024 * 1024
    error = '{"type": "error", "number": 1, "code": "c", "message": "m"}'
    assert len(hands.received(error + " " * (most - len(error)), 0)) == 1
    with pytest.raises(PeerFault) as refused:
        hands.received(error + " " * (most - len(error) + 1), 0)
    assert refused.value.code == "operator.too_large"


def test_an_order_is_begun_as_one_that_was_given_unless_it_was_offered() -> None:
    order = OrderBody(key=KEY, moment="do", seat="ada", agent="a")
    assert Begin(order) == Begin(order, offered=False)


def test_what_is_cancelled_is_never_told_again_and_what_is_answered_is() -> None:
    there = at_work()
    there.tell(Cancel(key=KEY, reason="enough"))
    for _ in range(2):
        there.begin()
        there.give()
        there.give()
        assert there.said() == []
    there = at_work()
    there.hands.answer(Result(key=KEY, value="done"), 0)
    there.said()
    # It crosses the answer, of which nobody has told what became.
    there.tell(Cancel(key=KEY, reason="enough"))
    assert there.begin() == ["part one 3 t", "part two 2 t", "result done t"]


def test_a_sign_of_life_is_nothing_to_do() -> None:
    there = Across()
    there.begin()
    text = Heartbeat(epoch=there.host.epoch).model_dump_json()
    assert there.hands.received(text, 0) == []
