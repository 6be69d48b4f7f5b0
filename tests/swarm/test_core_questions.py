"""The questions of one run, by themselves: what is written, whom it waits for, what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

import anyio
import pytest

from flowir.effects import Dispatch
from flowir.errors import WorkerFailure
from swarm.core.log import RunLog
from swarm.core.questions import Question, QuestionBook, faults
from swarm.errors import Refused
from swarm.ports.clock import Clock
from swarm.ports.questions import Ask

pytestmark = pytest.mark.anyio

NOW = 1_000.0
SURE = Ask("sure?", {"a": 1}, {"type": "boolean"}, "ada", 60, "default", False)


class Notes:
    """A log that notes what is appended, and after how many rows somebody waits for a commit."""

    run_id = "r"
    status = "running"

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.commits: list[int] = []

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows += rows

    async def commit(self) -> None:
        self.commits.append(len(self.rows))


class Held:
    """A clock that stands still, whose deadlines are reached when a test says so."""

    def __init__(self) -> None:
        self.now = NOW
        self.deadlines: list[float | None] = []
        self.scope: Any = None

    def wall(self) -> float:
        return self.now

    def deadline(self, seconds: float | None) -> anyio.CancelScope:
        self.deadlines.append(seconds)
        self.scope = anyio.CancelScope()
        return self.scope


class Desk:
    """A book of questions with its parts, and how often it told of a change after which row."""

    def __init__(self, status: str = "running") -> None:
        self.notes, self.clock = Notes(), Held()
        self.notes.status = status
        self.changes: list[int] = []
        self.log = cast("RunLog", self.notes)
        self.book = QuestionBook(
            self.log,
            cast("Clock", self.clock),
            changed=lambda: self.changes.append(len(self.notes.rows)),
        )

    def ask(self, ask: Ask = SURE, key: str = "$", attempt: int = 1) -> Question:
        return self.book.ask(Dispatch(key, "work", None, attempt), ask)

    async def waited(self, question: Question, *then: Any) -> Any:
        """Wait for a question; do *then* as soon as somebody waits."""
        told: list[Any] = []

        async def wait() -> None:
            try:
                told.append(await self.book.wait(question))
            except WorkerFailure as failure:
                told.append(failure)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                for act in then:
                    await anyio.wait_all_tasks_blocked()
                    found = act()
                    if found is not None:
                        await found
        return told[0]


def wire(ask: Ask) -> dict[str, Any]:
    return {field.name: getattr(ask, field.name) for field in fields(ask)}


def asked(id: str, ask: Ask = SURE, key: str = "$", attempt: int = 1) -> dict[str, Any]:
    due = None if ask.deadline_s is None else NOW + ask.deadline_s
    return {
        "kind": "question.asked", "key": key, "attempt": attempt, "step": "work", "id": id,
        **wire(ask), "asked_at": NOW, "deadline_at": due,
    }  # fmt: skip


def of(kind: str, id: str, **more: Any) -> dict[str, Any]:
    row = {"kind": f"question.{kind}", "key": "$", "attempt": 1, "step": "work", "id": id}
    return {**row, **more}


# -- asking ------------------------------------------------------------------------------------


def test_a_question_is_written_down_before_it_is_told_of() -> None:
    desk = Desk()
    question = desk.ask()
    assert desk.notes.rows == [asked("r:1")]
    assert desk.changes == [1]
    assert desk.notes.commits == []
    assert desk.book.open() == (question,)
    assert desk.book.askers() == {("$", 1)}
    assert question == Question("r:1", "r", "$", 1, "work", SURE, "ada", NOW, NOW + 60)
    assert question.to_wire() == {
        "id": "r:1", "run": "r", "key": "$", "attempt": 1, "step": "work", "to": "ada",
        "prompt": "sure?", "input": {"a": 1}, "schema": {"type": "boolean"}, "asked_at": NOW,
        "deadline_at": NOW + 60, "on_deadline": "default",
    }  # fmt: skip
    open_ended = desk.ask(Ask("?"))
    assert (open_ended.id, open_ended.to, open_ended.deadline_at) == ("r:2", None, None)


def test_an_attempt_may_ask_the_same_twice_and_is_asked_for_until_both_are_settled() -> None:
    desk = Desk()
    first, second = desk.ask(), desk.ask()
    assert (first.id, second.id) == ("r:1", "r:2")
    desk.book.recall(of("answered", "r:1", value=True))
    assert desk.book.open() == (second,)
    assert desk.book.askers() == {("$", 1)}
    desk.book.recall(of("expired", "r:2", value=False))
    assert desk.book.open() == ()
    assert desk.book.askers() == set()


def test_a_question_of_the_past_is_found_by_the_attempt_that_asks_it_again() -> None:
    desk = Desk()
    for row in (asked("r:1"), asked("r:2"), asked("r:3", Ask("other?")), asked("r:4", attempt=2)):
        desk.book.recall({**row, "run": "r"})
    desk.book.recall(of("answered", "r:2", value=True))
    assert desk.book.askers() == set()
    assert desk.ask(Ask("sure?")).id == "r:5"
    assert desk.ask(key="$/1").id == "r:6"
    assert desk.ask().id == "r:1"
    assert desk.book.askers() == {("$", 1), ("$/1", 1)}
    # It is answered already: nobody is waited for on its account.
    desk.book.withdraw("$/1", 1)
    assert desk.ask(attempt=2).id == "r:4"
    assert desk.ask().id == "r:2"
    assert desk.ask().id == "r:7"
    assert [row["id"] for row in desk.notes.rows] == ["r:5", "r:6", "r:7"]
    assert desk.book.askers() == {("$", 1), ("$", 2)}


def test_what_an_attempt_asked_is_withdrawn_with_it() -> None:
    desk = Desk()
    desk.ask()
    answered = desk.ask()
    other = desk.ask(attempt=2)
    desk.book.recall(of("answered", answered.id, value=True))
    desk.book.withdraw("$", 1)
    desk.book.withdraw("$", 7)
    assert desk.book.open() == (other,)
    assert desk.book.askers() == {("$", 2)}
    assert len(desk.notes.rows) == 3


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        (SURE, []),
        (Ask("?", to="ada", deadline_s=0.5, on_deadline="escalate", escalate_to="bob"), []),
        (Ask("?", deadline_s=1), []),
        (Ask("?", {}, True, None, 5, "default", object()), []),
        (Ask("?", deadline_s=0), [("deadline_s", "expected seconds above zero, got 0")]),
        (Ask("?", deadline_s=-1.5), [("deadline_s", "expected seconds above zero, got -1.5")]),
        (Ask("?", deadline_s=True), [("deadline_s", "expected seconds above zero, got true")]),
        (
            Ask("?", deadline_s="5"),  # type: ignore[arg-type]
            [("deadline_s", "expected seconds above zero, got '5'")],
        ),
        (
            Ask("?", on_deadline="never"),  # type: ignore[arg-type]
            [("on_deadline", "expected one of 'fail', 'default', 'escalate', got 'never'")],
        ),
        (
            Ask("?", on_deadline="default"),
            [("deadline_s", "expected seconds, for on_deadline 'default', got none")],
        ),
        (
            Ask("?", on_deadline="escalate", escalate_to="bob"),
            [("deadline_s", "expected seconds, for on_deadline 'escalate', got none")],
        ),
        (
            Ask("?", on_deadline="escalate", deadline_s=1),
            [("escalate_to", "expected whom to ask then, got none")],
        ),
        (
            Ask("?", None, None, "", 5, "escalate", None, 5),  # type: ignore[arg-type]
            [
                ("to", "expected a name or a role, got ''"),
                ("escalate_to", "expected a name or a role, got 5"),
            ],
        ),
        (
            Ask("?", {}, {"type": "null"}, None, 5, "default", 1),
            [("default", "expected what fits the schema, got 1: $: expected null, got 1")],
        ),
        # A schema that is none is held against nothing.
        (Ask("?", {}, {"type": "null"}, None, 5, "fail"), []),
        # What no policy hears would be lost without a word.
        (
            Ask("?", deadline_s=5, default="x", escalate_to="bob"),
            [
                ("default", "expected on_deadline 'default' beside it, got 'fail'"),
                ("escalate_to", "expected on_deadline 'escalate' beside it, got 'fail'"),
            ],
        ),
        (
            Ask("?", None, None, None, 5, "default", 1, "bob"),
            [("escalate_to", "expected on_deadline 'escalate' beside it, got 'default'")],
        ),
    ],
)
def test_all_that_is_wrong_with_a_question_is_found(ask: Ask, found: list[tuple[str, str]]) -> None:
    assert list(faults(ask)) == found


def test_a_question_that_cannot_be_is_not_written_down() -> None:
    desk = Desk()
    for schema, why in (({"type": "text"}, "schema: "), ({"type": []}, "schema: ")):
        with pytest.raises(WorkerFailure) as caught:
            desk.ask(Ask("?", schema=schema, deadline_s=1, on_deadline="default"))
        assert (caught.value.code, caught.value.permanent) == ("question.malformed", True)
        assert str(caught.value).startswith(f"'work' asks: {why}")
    assert desk.notes.rows == desk.changes == []
    assert desk.book.open() == ()


# -- answers -----------------------------------------------------------------------------------


async def test_an_answer_is_written_down_told_of_and_committed_in_this_order() -> None:
    desk = Desk()
    question = desk.ask()
    await desk.book.answer("r:1", True, by="ada")
    assert desk.notes.rows[1:] == [of("answered", "r:1", value=True, by="ada")]
    assert desk.changes == [1, 2]
    assert desk.notes.commits == [2]
    assert desk.book.open() == ()
    assert desk.book.askers() == set()
    # Who asked waits no more.
    assert await desk.waited(question) is True


async def test_who_waits_hears_of_an_answer_when_it_is_committed() -> None:
    desk = Desk()
    question = desk.ask(Ask("?"))
    told = await desk.waited(question, lambda: desk.book.answer("r:1", {"b": 2}))
    assert told == {"b": 2}
    assert desk.clock.deadlines == [None]
    assert desk.notes.commits == [2, 2]


@pytest.mark.parametrize(
    ("id", "value", "code", "sentence"),
    [
        (
            "r:9",
            True,
            "unknown",
            "the id of a question of this run, got 'r:9' — the last that it asked is 'r:4'",
        ),
        ("r:1", 5, "value", "an answer that fits its schema, got 5: $: expected a boolean, got 5"),
        (
            "r:1",
            {1},
            "value",
            "a JSON value, got $: expected a JSON value, got a set — write a list",
        ),
        ("r:2", True, "answered", "one that waits for an answer, got one that is answered"),
        ("r:3", True, "expired", "one that waits for an answer, got one that is expired"),
        ("r:4", True, "closed", "one that waits for an answer, got one that is withdrawn"),
    ],
)
async def test_what_answers_no_question_is_refused(
    id: str, value: Any, code: str, sentence: str
) -> None:
    desk = Desk()
    for attempt in (1, 1, 1, 2):
        desk.ask(attempt=attempt)
    desk.book.recall(of("answered", "r:2", value=True))
    desk.book.recall(of("expired", "r:3", value=True))
    desk.book.withdraw("$", 2)
    with pytest.raises(Refused) as caught:
        await desk.book.answer(id, value)
    assert (caught.value.code, caught.value.message) == (
        f"question.{code}",
        f"question {id}: expected {sentence}",
    )
    assert caught.value.values["question_id"] == id
    assert len(desk.notes.rows) == 4
    assert [question.id for question in desk.book.open()] == ["r:1"]


# -- deadlines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed_s", "left_s"), [(0, 60), (20, 40), (60, 0), (5_000, 0), (-5_000, 60)]
)
async def test_a_question_is_waited_for_as_long_as_is_left(passed_s: float, left_s: float) -> None:
    desk = Desk()
    question = desk.ask()
    desk.clock.now += passed_s
    await desk.waited(question, lambda: desk.clock.scope.cancel())
    assert desk.clock.deadlines == [left_s]


async def test_at_the_deadline_the_default_is_the_answer() -> None:
    desk = Desk()
    question = desk.ask()
    assert await desk.waited(question, lambda: desk.clock.scope.cancel()) is False
    assert desk.notes.rows[1:] == [of("expired", "r:1", value=False)]
    assert desk.changes == [1, 2]
    assert desk.notes.commits == [2]
    assert desk.book.askers() == set()


async def test_at_the_deadline_an_attempt_fails_with_how_long_it_waited() -> None:
    desk = Desk()
    told = await desk.waited(desk.ask(Ask("?", deadline_s=2.5)), lambda: desk.clock.scope.cancel())
    assert isinstance(told, WorkerFailure)
    assert (told.code, told.permanent) == ("question.expired", False)
    assert str(told) == "question r:1: expected an answer within 2.5 s, got none"
    assert desk.notes.rows[1:] == [of("expired", "r:1", value=None)]


async def test_what_is_withdrawn_fails_whoever_waits() -> None:
    desk = Desk()
    told = await desk.waited(desk.ask(Ask("?")), lambda: desk.book.withdraw("$", 1))
    assert str(told) == "question r:1: expected an answer within 0 s, got none"
    assert len(desk.notes.rows) == 1


async def test_at_the_deadline_a_question_is_somebody_elses_without_one() -> None:
    desk = Desk()
    question = desk.ask(Ask("?", None, None, "ada", 5, "escalate", None, "bob"))
    told = await desk.waited(
        question,
        lambda: desk.clock.scope.cancel(),
        lambda: desk.book.answer("r:1", "late"),
    )
    assert told == "late"
    assert desk.notes.rows[1:] == [
        of("escalated", "r:1", to="bob"),
        of("answered", "r:1", value="late", by=None),
    ]
    assert desk.clock.deadlines == [5, None]
    assert desk.notes.commits == [2, 3, 3]
    again = Desk()
    for row in (asked("r:1", question.ask), of("escalated", "r:1", to="bob")):
        again.book.recall({**row, "run": "r"})
    (left,) = again.book.open()
    assert (left.to, left.deadline_at, left.ask) == ("bob", None, question.ask)


@pytest.mark.parametrize("late_s", [0, 0.001, 5_000])
@pytest.mark.parametrize("value", [True, "no answer to it"])
async def test_a_deadline_holds_also_where_nobody_waited_for_it(late_s: float, value: Any) -> None:
    """A run that rests has no host: whoever answers later finds it as a host would have left it."""
    desk = Desk()
    question = desk.ask()
    desk.clock.now += 60 + late_s
    with pytest.raises(Refused) as caught:
        await desk.book.answer("r:1", value)
    assert caught.value.code == "question.expired"
    assert desk.notes.rows[1:] == [of("expired", "r:1", value=False)]
    assert desk.notes.commits == [2]
    assert desk.book.open() == ()
    assert await desk.book.wait(question) is False


async def test_just_before_its_deadline_a_question_is_answered() -> None:
    desk = Desk()
    desk.ask()
    desk.clock.now += 59.999
    await desk.book.answer("r:1", True)
    assert desk.notes.rows[1:] == [of("answered", "r:1", value=True, by=None)]


async def test_after_a_deadline_that_nobody_waited_for_the_answer_is_the_next_ones() -> None:
    desk = Desk()
    desk.ask(Ask("?", None, None, "ada", 5, "escalate", None, "bob"))
    desk.clock.now += 6
    await desk.book.answer("r:1", "late", by="bob")
    assert desk.notes.rows[1:] == [
        of("escalated", "r:1", to="bob"),
        of("answered", "r:1", value="late", by="bob"),
    ]


async def test_an_answer_that_comes_with_the_deadline_counts() -> None:
    desk = Desk()

    def both() -> None:
        desk.clock.scope.cancel()
        desk.book.recall(of("answered", "r:1", value=True))

    assert await desk.waited(desk.ask(), both) is True
    assert len(desk.notes.rows) == 1
