"""Recorded runs, gone through again by another version of their blueprint.

The machine of the version is asked and answered as ever: what can be done here is done
(scripts), everything else is answered from what was recorded. An agent that is asked what
it was asked before says what it said then; asked something else, it says the next thing
that it said, as a script of answers would. Nobody is asked, nothing is started, no time
passes. What nobody ever answered cannot be told.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from flowir.effects import Cancel, Dispatch, Effect, Failure, Outcome, Success
from flowir.errors import FlowError, ProtocolError
from flowir.machine import Machine
from flowir.records import dataclass
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.errors import Refused

__all__ = (
    "UNSURE",
    "Answers",
    "Ended",
    "Performer",
    "Recorded",
    "compared",
    "recorded",
    "replayed",
)

# Does what can be done without anybody; None: it is not to be done here.
Performer: TypeAlias = Callable[[Dispatch], Awaitable[Outcome | None]]
# What a performer returns for whatever wants somebody after all.
UNSURE: Final = Failure("replay.alone", "nobody is here who could be asked", True)
# A flow that asks for more is not gone on with.
_STEPS: Final = 5_000
_SLEEP: Final = "swarm.sleep"


class Answered(NamedTuple):
    """What an agent was asked, by the digest of it, and what came of it."""

    agent: str
    asked: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run that has ended: what it began with, and what its agents answered."""

    run: str
    input: Any
    answers: tuple[Answered, ...]


class Ended(NamedTuple):
    """How a run came out: as its flow means it (well), by an error, or nobody can tell."""

    how: Literal["well", "badly", "unknown"]
    why: str = ""


def recorded(rows: Sequence[Mapping[str, Any]]) -> Recorded:
    """Read a run off all its rows."""
    asked: dict[tuple[str, int], str] = {}
    answers: list[Answered] = []
    for row in rows:
        kind = row["kind"]
        if kind == "step.started":
            asked[row["key"], row["attempt"]] = row["input"]
        elif kind in ("step.finished", "step.failed"):
            at = asked.get((row["key"], row["attempt"]), "")
            answers.append(Answered(row["step"], at, _outcome(row)))
    return Recorded(rows[0]["run"], rows[0]["input"], tuple(answers))


def _outcome(row: Mapping[str, Any]) -> Outcome:
    if row["kind"] == "step.finished":
        return Success(row["value"])
    return Failure(row["code"], row["message"], row["permanent"], row["data"])


class Answers:
    """What is known to have been answered: in the run itself first, then in *others*."""

    def __init__(self, own: Recorded, others: Iterable[Recorded]) -> None:
        self._exact: dict[tuple[str, str], deque[Outcome]] = defaultdict(deque)
        self._next: dict[str, deque[Outcome]] = defaultdict(deque)
        self._spare: dict[str, Outcome] = {}
        for one in own.answers:
            self._exact[one.agent, one.asked].append(one.outcome)
            self._next[one.agent].append(one.outcome)
        for other in others:
            for one in other.answers:
                if (one.agent, one.asked) not in self._exact:
                    self._exact[one.agent, one.asked].append(one.outcome)
                if isinstance(one.outcome, Success):
                    self._spare.setdefault(one.agent, one.outcome)

    def exact(self, agent: str, asked: str) -> Outcome | None:
        """Return the answer to this very question; the last is given again and again."""
        known = self._exact.get((agent, asked))
        if known is None:
            return None
        return known.popleft() if len(known) > 1 else known[0]

    def to(self, agent: str, asked: str) -> Outcome | None:
        """Return the answer to a question, or the next one that the agent gave."""
        exact = self.exact(agent, asked)
        if exact is not None:
            return exact
        following = self._next.get(agent)
        if following:
            return following.popleft() if len(following) > 1 else following[0]
        return self._spare.get(agent)


async def replayed(
    blueprint: CompiledBlueprint,
    run: Recorded,
    answers: Answers,
    perform: Performer,
    unchanged: Container[str] = (),
) -> Ended:
    """Go through *run* with *blueprint*, and return how that ends.

    Shape: *unchanged* are the agents that are the same in both versions: of them what was
    recorded counts, where they cannot be performed.
    """
    try:
        machine = Machine(blueprint.flow, blueprint.first_context(run.input))
        course = _Course(blueprint, machine, {}, answers, perform, unchanged)
        course.take(machine.start())
        return await course.end()
    except Refused as refused:
        return Ended("badly", f"{refused.code}: {refused.message}")
    except (FlowError, ProtocolError) as error:
        return Ended("badly", str(error))


@dataclass(slots=True)
class _Course:
    """A machine on its way; what it asks for is answered in the order of its asking."""

    blueprint: CompiledBlueprint
    machine: Machine
    pending: dict[str, Dispatch]
    answers: Answers
    perform: Performer
    unchanged: Container[str]

    def take(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                self.pending.pop(effect.key, None)
            else:
                self.pending[effect.key] = effect

    async def end(self) -> Ended:
        for _ in range(_STEPS):
            if not self.pending:
                error = self.machine.error
                return Ended("well") if error is None else Ended("badly", _told(error))
            asked = self.pending.pop(next(iter(self.pending)))
            outcome = await self._outcome(asked)
            if outcome is None:
                return Ended("unknown", f"nobody ever answered {asked.ref!r}")
            self.take(self.machine.resolve(asked.key, outcome, asked.attempt))
        return Ended("unknown", f"it asks for more than {_STEPS} steps")

    async def _outcome(self, asked: Dispatch) -> Outcome | None:
        if asked.ref == _SLEEP:
            return Success(None)
        contract = self.blueprint.contracts.get(asked.ref)
        breach = None if contract is None else contract.input(asked.input)
        if breach is None:
            outcome = await self._answer(asked)
            if contract is None or not isinstance(outcome, Success):
                return outcome
            breach = contract.answer(outcome.value)
            if breach is None:
                return outcome
        return Failure(breach.code, breach.message, breach.permanent)

    async def _answer(self, asked: Dispatch) -> Outcome | None:
        outcome = await self.perform(asked)
        if outcome is None:
            return self.answers.to(asked.ref, digest_of(asked.input))
        if outcome is not UNSURE:
            return outcome
        if asked.ref not in self.unchanged:
            return None
        return self.answers.exact(asked.ref, digest_of(asked.input))


def compared(old: Ended, new: Ended) -> Literal["same", "worse", "untold"]:
    """Tell whether a run may end as it does now, where it ended as it did before."""
    if new.how == "well" or old.how == "badly":
        return "same"
    if new.how == "badly":
        return "worse" if old.how == "well" else "untold"
    return "untold" if old.how == "well" else "same"


def _told(error: FlowError) -> str:
    wire = error.to_json()
    return f"{wire.get('cause_code') or wire['code']}: {wire['message']}"
