"""An attempt as its worker sees it from outside: what is handed on, and whose answer counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flowir.errors import WorkerFailure
from swarm.errors import Denied, Refused
from swarm.host.guest_step import GuestStep
from swarm.ports.operators import Moment, Order, Reply
from swarm.ports.worker import CostlyFailure, Usage
from tests.swarm.guests import Door, Said, Spoken, Stream

pytestmark = pytest.mark.anyio

OWN = "r_1/$/2"
BIG = {"$ref": "sha256:big", "size": 3, "type": "text"}


def order(key: str = OWN, moment: Moment = "do", body: Any = None) -> Order:
    return Order(key, moment, "writer", "write", body)


class Desk:
    """Who has orders, answers, and notes whose they were."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {OWN: order(body={"a": [BIG, {"$ref": 5}], "b": "$ref"})}
        self.over: set[str] = set()
        self.answered: list[tuple[str, Any, str]] = []
        self.asked: list[str] = []
        self.verdict = "taken"

    def order(self, key: str) -> Order | None:
        self.asked.append(key)
        return self.orders.get(key)

    def is_over(self, key: str) -> bool:
        return key in self.over

    def answer(self, key: str, ending: Any, by: str) -> str:
        self.answered.append((key, ending, by))
        return self.verdict


class Room:
    """A door to an attempt that goes on, with its link and its desk."""

    def __init__(self, *, allowed: bool = True) -> None:
        self.door, self.link, self.desk = Door(allowed=allowed), Said(), Desk()
        self.door.host.operators = self.desk
        self.door.run.link = self._link
        self.ends: list[dict[str, Any]] = [
            {"kind": "step.finished", "key": "$", "attempt": 1},
            {"kind": "step.finished", "key": "$/1", "attempt": 2},
            {"kind": "step.finished", "key": "$", "attempt": 2},
        ]
        self.door.run.ends = self._ends
        self.step = GuestStep(self.door.guest, "r_1", "$", 2)

    def _link(self, key: str, attempt: int) -> Any:
        return self.link if (key, attempt) == ("$", 2) else None

    def _ends(self) -> Any:
        return Stream(self.ends)

    @property
    def verbs(self) -> list[str]:
        assert all(act[1:] == ("r_1", "$", 2, False) for act in self.door.acts)
        return [act[0] for act in self.door.acts]


Act = Callable[[GuestStep], Awaitable[Any]]
HANDED: dict[str, tuple[Act, Any, Any]] = {
    "progress": (lambda step: step.progress("half"), ("progress", ("half",), {}), None),
    "part": (lambda step: step.part("n", [1]), ("part", ("n", [1]), {}), "the part"),
    "call": (lambda step: step.call("b", 5), ("call", ("b", 5), {}), "the call"),
    "call with nothing": (lambda step: step.call("b"), ("call", ("b", None), {}), "the call"),
}


@pytest.mark.parametrize("what", HANDED)
async def test_what_is_handed_over_goes_to_the_attempt(what: str) -> None:
    act, asked, answer = HANDED[what]
    room = Room()
    assert await act(room.step) == answer
    assert room.link.calls == [asked]
    assert room.verbs == [f"step.{asked[0]}"]
    closed = Room(allowed=False)
    with pytest.raises(Denied):
        await act(closed.step)
    assert closed.link.calls == []


async def test_an_attempt_that_is_over_takes_nothing() -> None:
    room = Room()
    late = GuestStep(room.door.guest, "r_1", "$", 1)
    for act in (late.progress("x"), late.order(), late.result(1), late.fail("c", "m")):
        with pytest.raises(Denied) as caught:
            await act
        assert caught.value.values["reason"] == "over"
    assert (room.desk.asked, room.desk.answered) == ([], [])


# -- orders ------------------------------------------------------------------------------------


async def test_an_order_is_read_by_its_own_key_or_by_that_of_a_seat() -> None:
    room = Room()
    assert await room.step.order() is room.desk.orders[OWN]
    room.desk.orders[f"{OWN}/law"] = order(f"{OWN}/law")
    assert (await room.step.order(f"{OWN}/law")).key == f"{OWN}/law"
    assert (await room.step.order(OWN)).key == OWN
    assert room.desk.asked == [OWN, f"{OWN}/law", OWN]
    for strange in ("r_2/$/2", f"{OWN}0", f"{OWN}x/law", ""):
        with pytest.raises(Refused) as caught:
            await room.step.order(strange)
        assert str(caught.value) == f"key: expected an order of '{OWN}', got {strange!r}"
        assert caught.value.code == "step.unasked"
    assert set(room.verbs) == {"step.read"}


UNASKED = (
    f"{OWN}: expected an attempt that an operator is asked for, got another"
    " — the orders of a panel are told apart by 'key'"
)


async def test_where_no_operator_is_asked_there_is_no_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarm.host.guest_step._COMES_S", 0.05)
    nobody, other, none = Room(), Room(), Room()
    nobody.door.host.operators = None
    other.desk.orders[OWN] = order(moment="after")
    none.desk.orders.clear()
    for room, looked in ((nobody, False), (other, True), (none, True)):
        with pytest.raises(Refused) as caught:
            await room.step.order()
        assert (caught.value.code, str(caught.value)) == ("step.unasked", UNASKED)
        assert bool(room.desk.asked) is looked
    assert len(other.desk.asked) == 1
    # An order may come to the desk a little later than its attempt begins.
    assert len(none.desk.asked) > 1


async def test_an_order_that_was_answered_is_told_as_such() -> None:
    room = Room()
    room.desk.orders.clear()
    room.desk.over.add(OWN)
    for act in (room.step.order(), room.step.result(1), room.step.fail("c", "m")):
        with pytest.raises(Refused) as caught:
            await act
        assert caught.value.code == "step.answered"
        assert str(caught.value) == f"{OWN}: expected the first answer, got another"


async def test_only_references_within_the_order_are_read() -> None:
    room = Room()
    assert await room.step.read("sha256:big") == "the read"
    assert room.link.calls == [("read", (BIG,), {})]
    for strange in ("sha256:other", "5", "text"):
        with pytest.raises(Refused) as caught:
            await room.step.read(strange)
        assert caught.value.code == "output.unknown"
        assert str(caught.value) == (f"expected a reference of this step's input, got {strange!r}")
    assert len(room.link.calls) == 1
    room.desk.orders[f"{OWN}/law"] = order(f"{OWN}/law", body=[[{"x": {"$ref": "sha256:law"}}]])
    assert await room.step.read("sha256:law", f"{OWN}/law") == "the read"
    with pytest.raises(Refused):
        await room.step.read("sha256:law")
    # What is within a reference is none: it is data like the rest of it.
    room.desk.orders[OWN] = order(body={"$ref": "sha256:a", "x": {"$ref": "sha256:b"}})
    with pytest.raises(Refused):
        await room.step.read("sha256:b")


# -- answers -----------------------------------------------------------------------------------


async def test_an_answer_is_in_the_name_of_the_token() -> None:
    room, used = Room(), Usage(3, 0.5)
    assert await room.step.result([1], usage=used, halted="late") is True
    assert await room.step.result(None, key=OWN) is True
    assert room.desk.answered == [
        (OWN, Reply([1], "ada", used, "late"), "ada"),
        (OWN, Reply(None, "ada", Usage(), None), "ada"),
    ]
    assert room.verbs == ["step.result"] * 2
    assert {(name, args) for name, args, _ in room.door.host.calls} == {("run", ("r_1",))}


@pytest.mark.parametrize("used", [None, Usage(), Usage(1), Usage(0, 0.5)])
async def test_a_failure_costs_what_it_cost(used: Usage | None) -> None:
    room = Room()
    assert await room.step.fail("my.code", "why", permanent=True, data=[1], usage=used) is True
    ((key, failure, by),) = room.desk.answered
    assert (key, by, room.verbs) == (OWN, "ada", ["step.fail"])
    assert isinstance(failure, WorkerFailure)
    assert (failure.code, failure.message, failure.permanent, failure.data) == (
        "my.code", "why", True, [1],
    )  # fmt: skip
    if used in (None, Usage()):
        assert type(failure) is WorkerFailure
    else:
        assert isinstance(failure, CostlyFailure)
        assert failure.usage == used
    await room.step.fail("my.code", "why")
    assert room.desk.answered[1][1].permanent is False


async def test_an_answer_that_is_not_taken_is_not_the_first() -> None:
    room = Room()
    room.desk.verdict = "late"
    with pytest.raises(Refused) as caught:
        await room.step.result(1)
    assert caught.value.code == "step.answered"


@pytest.mark.parametrize(
    ("ends", "written"),
    [
        (["step.finished"], True),
        (["step.failed"], True),
        (["step.interrupted", "step.finished"], False),
        ([], False),
    ],
)
async def test_whether_the_end_is_written_down_is_said(ends: list[str], written: bool) -> None:
    room = Room()
    room.ends = [{"kind": "run.paused"}, *room.ends[:2]]
    room.ends += [{"kind": kind, "key": "$", "attempt": 2} for kind in ends]
    assert await room.step.result(1) is written


async def test_the_end_is_watched_for_from_before_the_answer() -> None:
    room, seen = Room(), Spoken()
    plain = room.door.run.ends

    def watched() -> Any:
        seen.ends(len(room.desk.answered))
        return plain()

    room.door.run.ends = watched
    await room.step.result(1)
    assert seen.calls == [("ends", (0,), {})]
