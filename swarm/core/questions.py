"""Durable questions: what attempts ask of people, and how each came out.

    asked ──┬── answered
            ├── expired                       (the deadline: fail, or the default)
            ├── escalated ── answered         (the deadline: somebody else's now)
            └── withdrawn                     (its attempt ended: no event of its own)

All of it is a reading of the run's journal. After a restart the attempt that asked does so
again: it finds its question by what it asks, and gets the answer that is there, or waits
for the one to come; nobody is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import fields, replace
from typing import Any, Final, cast

import anyio

from flowir.door import admit
from flowir.effects import Dispatch
from flowir.errors import FlowError, WorkerFailure, shorten
from flowir.records import dataclass
from flowir.values import same
from swarm.blueprint.fitting import mismatch
from swarm.blueprint.schemas import schema_fault
from swarm.core.log import RunLog
from swarm.core.run import ENDED
from swarm.core.timers import remaining_s
from swarm.errors import Denied, Refused
from swarm.ports.clock import Clock
from swarm.ports.questions import ON_DEADLINE, Ask

__all__ = ("Question", "QuestionBook", "faults")

_ASKED: Final = tuple(f.name for f in fields(Ask))


@dataclass(frozen=True, slots=True)
class Question:
    """A question as whoever may answer it sees it.

    Shape: `id` is `run:number`; `to` is who it is for now. Units: `asked_at` and
    `deadline_at` in UTC seconds since 1970.
    """

    id: str
    run: str
    key: str
    attempt: int
    step: str
    ask: Ask
    to: str | None
    asked_at: float
    deadline_at: float | None

    def to_wire(self) -> dict[str, Any]:
        """Return it as one flat JSON object."""
        ask = self.ask
        return {
            "id": self.id,
            "run": self.run,
            "key": self.key,
            "attempt": self.attempt,
            "step": self.step,
            "to": self.to,
            "prompt": ask.prompt,
            "input": ask.input,
            "schema": ask.schema,
            "asked_at": self.asked_at,
            "deadline_at": self.deadline_at,
            "on_deadline": ask.on_deadline,
        }


class _Entry:
    """One question and how it stands; `state` is a word of the drawing above."""

    __slots__ = ("claimed", "news", "question", "state", "value")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.state = "asked"
        self.value: Any = None
        self.claimed = False
        self.news = anyio.Event()

    @property
    def open(self) -> bool:
        return self.state == "asked"

    @property
    def at(self) -> tuple[str, int]:
        return (self.question.key, self.question.attempt)

    def settle(self, state: str, value: Any) -> None:
        self.state, self.value = state, value
        self.news.set()


class QuestionBook:
    """The questions of one run.

    *changed* is called when rows were appended that open or settle a question, before
    they are committed.
    """

    def __init__(
        self, log: RunLog, clock: Clock, *, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._log = log
        self._clock = clock
        self._changed = changed
        self._entries: dict[str, _Entry] = {}
        # By key and attempt: the questions of each, and how many are waited for now.
        self._by_attempt: dict[tuple[str, int], list[_Entry]] = {}
        self._awaited: dict[tuple[str, int], int] = {}

    # -- what is known -----------------------------------------------------------------

    @classmethod
    def of_past(cls, log: RunLog, clock: Clock, past: Iterable[Mapping[str, Any]]) -> QuestionBook:
        """Read the questions of a run that nobody carries on, from its rows."""
        book = cls(log, clock)
        ended: set[tuple[str, int]] = set()
        for row in past:
            if row["kind"].startswith("question."):
                book.recall(row)
            elif row["kind"] in ("step.finished", "step.failed", "step.cancelled"):
                ended.add((row["key"], row["attempt"]))
        for question in book.open():
            if (question.key, question.attempt) in ended or log.status in ENDED:
                book.withdraw(question.key, question.attempt)
        return book

    def open(self) -> tuple[Question, ...]:
        """Return the questions that wait for an answer, in the order in which they came."""
        return tuple(entry.question for entry in self._entries.values() if entry.open)

    def askers(self) -> Set[tuple[str, int]]:
        """Return key and attempt of everybody who waits for an answer at this moment."""
        return self._awaited.keys()

    def recall(self, row: Mapping[str, Any]) -> None:
        """Take in a row of the journal that is about a question."""
        match row["kind"]:
            case "question.asked":
                self._enter(_recalled(row))
            case "question.answered" | "question.expired":
                state = row["kind"].removeprefix("question.")
                self._settle(self._entries[row["id"]], state, row.get("value"))
            case _:
                self._escalated(self._entries[row["id"]], row["to"])

    def withdraw(self, key: str, attempt: int) -> None:
        """Close what an attempt asked: nobody waits for it any more."""
        for entry in self._by_attempt.pop((key, attempt), ()):
            if entry.open:
                self._settle(entry, "withdrawn", None)

    # -- asking ------------------------------------------------------------------------

    def ask(self, dispatch: Dispatch, ask: Ask) -> Question:
        """Write a question down, unless this attempt asked it before; it is to be committed.

        Raises: WorkerFailure (question.malformed, permanent).
        """
        for field, sentence in faults(ask):
            said = f"{dispatch.ref!r} asks: {field}: {sentence}"
            raise WorkerFailure("question.malformed", said, True)
        entry = self._known(dispatch, ask) or self._new(dispatch, ask)
        entry.claimed = True
        if entry.open:
            self._awaited[entry.at] = self._awaited.get(entry.at, 0) + 1
        self._changed()
        return entry.question

    async def wait(self, question: Question) -> Any:
        """Return the answer once it is there and committed, or act at the deadline.

        Raises: WorkerFailure (question.expired).
        """
        entry = self._entries[question.id]
        while entry.open:
            news = entry.news
            with self._clock.deadline(self._left_s(entry.question)) as scope:
                await news.wait()
            if scope.cancelled_caught and entry.open:
                self._expire(entry)
            # Whoever settled it may not have got as far as its commit.
            await self._log.commit()
        if entry.state == "answered" or entry.question.ask.on_deadline == "default":
            return entry.value
        deadline_s = entry.question.ask.deadline_s or 0.0
        raise WorkerFailure(
            "question.expired",
            f"question {question.id}: expected an answer within {deadline_s:g} s, got none",
        )

    def _known(self, dispatch: Dispatch, ask: Ask) -> _Entry | None:
        for entry in self._by_attempt.get((dispatch.key, dispatch.attempt), ()):
            if not entry.claimed and same(_wire(entry.question.ask), _wire(ask)):
                return entry
        return None

    def _new(self, dispatch: Dispatch, ask: Ask) -> _Entry:
        run, now = self._log.run_id, self._clock.wall()
        due = None if ask.deadline_s is None else now + ask.deadline_s
        row: dict[str, Any] = {
            "kind": "question.asked",
            "key": dispatch.key,
            "attempt": dispatch.attempt,
            "step": dispatch.ref,
            "id": f"{run}:{len(self._entries) + 1}",
            **_wire(ask),
            "asked_at": now,
            "deadline_at": due,
        }
        self._log.append([row])
        return self._enter(_recalled({**row, "run": run}))

    def _enter(self, question: Question) -> _Entry:
        entry = self._entries[question.id] = _Entry(question)
        self._by_attempt.setdefault(entry.at, []).append(entry)
        return entry

    def _settle(self, entry: _Entry, state: str, value: Any) -> None:
        if entry.claimed and entry.open:
            self._awaited[entry.at] -= 1
            if not self._awaited[entry.at]:
                del self._awaited[entry.at]
        entry.settle(state, value)

    # -- answering ---------------------------------------------------------------------

    async def answer(
        self,
        id: str,
        value: Any,
        *,
        by: str | None = None,
        may: Collection[str] | None = None,
    ) -> None:
        """Give the answer; it is committed when this returns.

        Shape: *may* are the name and the role of who answers (None: whoever has the host).
        Raises: Refused (question.unknown, question.answered, question.expired,
        question.closed, question.value); Denied, for a question to somebody else.
        """
        entry = self._entries.get(id)
        if entry is None:
            got = f"{shorten(id)} — {self._asked_so_far()}"
            raise _refused("unknown", id, "the id of a question of this run", got)
        left_s = self._left_s(entry.question)
        if entry.open and left_s is not None and left_s <= 0:
            # Nobody may have been here at the deadline; it holds all the same.
            self._expire(entry)
            await self._log.commit()
        if not entry.open:
            code = "closed" if entry.state == "withdrawn" else entry.state
            raise _refused(code, id, "one that waits for an answer", f"one that is {entry.state}")
        to = entry.question.to
        if may is not None and to is not None and to not in may:
            raise _not_his(id, to, by)
        value = _admitted(entry.question, value)
        self._append("question.answered", entry, value=value, by=by)
        self._settle(entry, "answered", value)
        self._changed()
        await self._log.commit()

    def _asked_so_far(self) -> str:
        last = next(reversed(self._entries), None)
        return "it has asked none so far" if last is None else f"the last that it asked is {last!r}"

    def _left_s(self, question: Question) -> float | None:
        deadline_s = question.ask.deadline_s
        if question.deadline_at is None or deadline_s is None:
            return None
        return remaining_s(question.deadline_at, deadline_s, self._clock.wall())

    def _expire(self, entry: _Entry) -> None:
        ask = entry.question.ask
        if ask.on_deadline == "escalate":
            self._append("question.escalated", entry, to=ask.escalate_to)
            self._escalated(entry, ask.escalate_to)
            return
        self._append("question.expired", entry, value=ask.default)
        self._settle(entry, "expired", ask.default)
        self._changed()

    def _escalated(self, entry: _Entry, to: str | None) -> None:
        entry.question = replace(entry.question, to=to, deadline_at=None)

    def _append(self, kind: str, entry: _Entry, **more: Any) -> None:
        question = entry.question
        row = {"kind": kind, "key": question.key, "attempt": question.attempt}
        self._log.append([{**row, "step": question.step, "id": question.id, **more}])


def faults(ask: Ask) -> Iterator[tuple[str, str]]:
    """Yield field and sentence for everything wrong with a question.

    >>> list(faults(Ask("sure?", on_deadline="default", default=1, deadline_s=5,
    ...                 schema={"type": "boolean"})))
    [('default', 'expected what fits the schema, got 1: $: expected a boolean, got 1')]
    """
    fault = None if ask.schema is None else schema_fault(ask.schema)
    if fault is not None:
        yield "schema", fault
    if ask.on_deadline not in ON_DEADLINE:
        words = ", ".join(map(repr, ON_DEADLINE))
        yield "on_deadline", f"expected one of {words}, got {shorten(ask.on_deadline)}"
    deadline_s: Any = ask.deadline_s
    if deadline_s is not None and (type(deadline_s) not in (int, float) or deadline_s <= 0):
        yield "deadline_s", f"expected seconds above zero, got {shorten(deadline_s)}"
    if ask.on_deadline in ("default", "escalate") and deadline_s is None:
        yield "deadline_s", f"expected seconds, for on_deadline {ask.on_deadline!r}, got none"
    yield from _people(ask)
    yield from _unheard(ask)
    if ask.on_deadline == "default" and ask.schema is not None and fault is None:
        why = mismatch(ask.schema, ask.default)
        if why is not None:
            yield "default", f"expected what fits the schema, got {shorten(ask.default)}: {why}"


def _people(ask: Ask) -> Iterator[tuple[str, str]]:
    for field, name in (("to", ask.to), ("escalate_to", ask.escalate_to)):
        if name is not None and (not isinstance(cast("Any", name), str) or not name):
            yield field, f"expected a name or a role, got {shorten(name)}"
    if ask.on_deadline == "escalate" and ask.escalate_to is None:
        yield "escalate_to", "expected whom to ask then, got none"


def _unheard(ask: Ask) -> Iterator[tuple[str, str]]:
    """Yield what another policy than the question's own would have heard."""
    for field, policy, given in (
        ("default", "default", ask.default),
        ("escalate_to", "escalate", ask.escalate_to),
    ):
        if given is not None and ask.on_deadline in ON_DEADLINE and ask.on_deadline != policy:
            yield field, f"expected on_deadline {policy!r} beside it, got {ask.on_deadline!r}"


def _recalled(row: Mapping[str, Any]) -> Question:
    return Question(
        id=row["id"],
        run=row["run"],
        key=row["key"],
        attempt=row["attempt"],
        step=row["step"],
        ask=Ask(**{name: row[name] for name in _ASKED}),
        to=row["to"],
        asked_at=row["asked_at"],
        deadline_at=row["deadline_at"],
    )


def _wire(ask: Ask) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in _ASKED}


def _admitted(question: Question, value: Any) -> Any:
    """Take an answer through the strict door, and hold it against the schema."""
    try:
        value = admit(value)
    except FlowError as refused:
        raise _refused("value", question.id, "a JSON value", str(refused)) from refused
    schema = question.ask.schema
    why = None if schema is None else mismatch(schema, value)
    if why is not None:
        got = f"{shorten(value)}: {why}"
        raise _refused("value", question.id, "an answer that fits its schema", got)
    return value


def _not_his(id: str, to: str, by: str | None) -> Denied:
    said = f"question {id}: expected an answer of {to!r}, got one of {by!r}"
    return Denied("capability.denied", said, verb="question.answer", reason="to")


def _refused(code: str, id: str, expected: str, got: str) -> Refused:
    return Refused(
        f"question.{code}", f"question {id}: expected {expected}, got {got}", question_id=id
    )
