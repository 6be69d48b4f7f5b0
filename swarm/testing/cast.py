"""Who plays the agents of a blueprint in one run: answers as a test wrote them down.

A call of an agent takes the first answer of its list that is left and whose `on` is in the
call's input. What a test did not foresee fails the step, and is told as the test's mistake,
whatever the flow makes of the failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Literal, TypeAlias

from flowir.errors import WorkerFailure, shorten
from flowir.records import dataclass
from flowir.values import private_copy
from swarm.errors import Place, Problem
from swarm.ports.worker import Call, CostlyFailure, Outcome, StepLink, Usage, Worker
from swarm.testing.clock import FakeClock
from swarm.testing.differing import holds

__all__ = ("ANYTHING", "NEVER_S", "Answers", "Cast", "Played", "Real", "Scripted")

# What an answer is `on` that has no condition.
ANYTHING: Final = object()
# Who never answers is waited for so long, by the fake clock.
NEVER_S: Final = 10 * 365 * 86_400.0
_NOWHERE = Place("<test>")
_NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Scripted:
    """One answer of a list; `times` is how often it may be given (None: any number).

    Units: `after_s` in seconds of the fake clock.
    """

    kind: Literal["returns", "fails", "never"] = "returns"
    value: Any = None
    code: str = ""
    message: str = ""
    permanent: bool = False
    data: Any = None
    on: Any = ANYTHING
    times: int | None = 1
    after_s: float = 0.0
    usage: Usage = _NOTHING
    parts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    progress: tuple[str, ...] = ()
    where: Place = _NOWHERE


@dataclass(frozen=True, slots=True)
class Real:
    """The agent does its steps itself: a Lua script, a sleep, another blueprint."""

    where: Place = _NOWHERE


Answers: TypeAlias = Mapping[str, Sequence[Scripted] | Real]


@dataclass(frozen=True, slots=True)
class Played:
    """One attempt that an agent was asked for."""

    agent: str
    input: Any
    key: str
    attempt: int
    node: str | None


class Cast:
    """The agents of one run; `calls` is what was asked of them, in its order."""

    def __init__(self, answers: Answers, clock: FakeClock, where: Place = _NOWHERE) -> None:
        self.calls: list[Played] = []
        self.mistakes: list[Problem] = []
        self.given: list[Scripted] = []
        self._clock = clock
        self._where = where
        self._answers = answers
        self._left = {
            name: [None if one.times is None else one.times for one in script]
            for name, script in answers.items()
            if not isinstance(script, Real)
        }

    async def play(
        self,
        call: Call,
        link: StepLink,
        real: Worker | None,
        misfit: Callable[[Any], str | None] | None = None,
    ) -> Outcome:
        """Do an attempt as it is written down.

        Shape: *misfit* says why an answer is none that could have been given.
        Raises: flowir.WorkerFailure.
        """
        played = Played(call.agent, private_copy(call.input), call.key, call.attempt, call.node_id)
        self.calls.append(played)
        script = self._answers.get(call.agent)
        if isinstance(script, Real):
            assert real is not None  # noqa: S101 - who reads a test refuses what cannot be real
            return await real(call, link)
        if script is None:
            hint = "give it a list in 'answers'" + ("" if real is None else ", or test.real")
            said = "an answer for it in this case"
            raise self._unforeseen("case.unscripted", played, said, hint)
        one = self._next(script, played)
        outcome = await self._give(one, link)
        why = None if misfit is None else misfit(outcome.value)
        if why is not None:
            raise self._unfit(played, one, why)
        return outcome

    def unused(self) -> Iterator[tuple[str, Scripted]]:
        """Yield the answers that were never given, or less often than their `times`."""
        for name, left in self._left.items():
            script = self._answers[name]
            assert not isinstance(script, Real)  # noqa: S101 - they have nothing left
            for one, times in zip(script, left, strict=True):
                if times or (times is None and not any(one is given for given in self.given)):
                    yield name, one

    def _next(self, script: Sequence[Scripted], played: Played) -> Scripted:
        left = self._left[played.agent]
        for i, one in enumerate(script):
            if left[i] == 0 or (one.on is not ANYTHING and not holds(one.on, played.input)):
                continue
            times = left[i]
            left[i] = None if times is None else times - 1
            self.given.append(one)
            return one
        if all(times == 0 for times in left):
            many = len([p for p in self.calls if p.agent == played.agent]) - 1
            raise self._unforeseen("case.exhausted", played, f"{many} calls, as written down")
        raise self._unforeseen("case.unmatched", played, "an answer whose 'on' is in its input")

    async def _give(self, one: Scripted, link: StepLink) -> Outcome:
        for text in one.progress:
            await link.progress(text)
        if one.kind == "never":
            await self._clock.sleep(NEVER_S)
            raise WorkerFailure("case.never", "nobody stopped a step that is never answered", True)
        if one.after_s:
            await self._clock.sleep(one.after_s)
        if one.kind == "fails":
            said = (one.code, one.message or one.code, one.permanent, private_copy(one.data))
            raise CostlyFailure(*said, usage=one.usage)
        return Outcome(private_copy(one.value), private_copy(dict(one.parts)), one.usage)

    def _unfit(self, played: Played, one: Scripted, why: str) -> WorkerFailure:
        said = (
            f"{played.agent!r}: expected an answer that its question takes, got "
            f"{shorten(one.value, 120)}: {why}"
        )
        self.mistakes.append(Problem("case.answer", said, one.where))
        return WorkerFailure("case.answer", said, True)

    def _unforeseen(
        self, code: str, played: Played, expected: str, hint: str | None = None
    ) -> WorkerFailure:
        said = (
            f"{played.agent!r}: expected {expected}, got call "
            f"{len(self.calls)} of the run with {shorten(played.input, 120)}"
        )
        self.mistakes.append(Problem(code, said, self._where, hint=hint))
        return WorkerFailure(code, said, True)
