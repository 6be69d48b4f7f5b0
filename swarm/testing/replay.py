"""A blueprint held against a recording: the first step, or end, at which it departs.

The machine of the blueprint is given the recorded answers in their order. A step is the
recorded one where its agent, attempt and input are the same: that its node stands elsewhere
now is no difference. Nobody is asked, and what was recorded of time and cost plays no part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flowir.effects import Cancel, Dispatch, Effect
from flowir.errors import shorten
from flowir.machine import Machine
from flowir.nodes import Assign, Fanout, Loop, Node, Step, Try
from flowir.path import Path
from flowir.records import dataclass
from flowir.trace import nodes_of
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.errors import Place, Problem, Refused
from swarm.testing.differing import first_difference
from swarm.testing.recording import Answered, Recording

__all__ = ("departure",)

_CODE = "replay.departed"
# `#2` and `@0` in a key are the turns on the way; without them it is a place.
_TURNS = re.compile(r"[#@]\d+")


def departure(recording: Recording, blueprint: CompiledBlueprint) -> Problem | None:
    """Return where a blueprint first does something else than was recorded, or None."""
    try:
        first = blueprint.first_context(recording.input)
    except Refused as refused:
        return Problem(_CODE, f"the recorded input: {refused.message}", _where(blueprint, "$"))
    course = _Course(recording, blueprint, Machine(blueprint.flow, first), {}, "$")
    return next(course.departures(), None)


@dataclass(slots=True)
class _Course:
    """A machine on its way along a recording; `last` is the place of the last answer."""

    recording: Recording
    blueprint: CompiledBlueprint
    machine: Machine
    pending: dict[str, Dispatch]
    last: str

    def departures(self) -> Iterator[Problem]:
        """Yield where it departs; the first counts."""
        self._take(self.machine.start())
        for number, answered in enumerate(self.recording.answers, 1):
            if answered.cancel is not None:
                self._take(self.machine.cancel(answered.cancel))
                continue
            asked = self._same(answered)
            if asked is None:
                yield self._other(number, answered)
                return
            yield from self._broken(asked, answered)
            del self.pending[asked.key]
            self.last = _place(asked)
            self._take(self.machine.resolve(asked.key, answered.outcome, asked.attempt))
        for asked in self.pending.values():
            said = f"expected the end of the recording, got {_told(asked)}"
            yield self._problem(said, _place(asked))
        yield from self._end()

    def _take(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                self.pending.pop(effect.key, None)
            else:
                self.pending[effect.key] = effect

    def _same(self, answered: Answered) -> Dispatch | None:
        """Return what is asked for that was recorded, at the same key if possible."""
        digest = digest_of(answered.input)
        alike = [
            asked
            for asked in self.pending.values()
            if (asked.ref, asked.attempt) == (answered.agent, answered.attempt)
            and digest_of(asked.input) == digest
        ]
        same = [asked for asked in alike if asked.key == answered.key]
        return next(iter((*same, *alike)), None)

    def _other(self, number: int, answered: Answered) -> Problem:
        """Say what is asked for instead of what was recorded."""
        expected = f"step {answered.agent!r} as answer {number} of the recording"
        if answered.attempt > 1:
            expected += f", attempt {answered.attempt}"
        mine = [asked for asked in self.pending.values() if asked.ref == answered.agent]
        mine.sort(key=lambda asked: (asked.key != answered.key, asked.attempt != answered.attempt))
        for asked in mine[:1]:
            found = first_difference(answered.input, asked.input, "input")
            if found is not None:
                return self._problem(f"step {answered.agent!r}: {found}", _place(asked))
        for asked in self.pending.values():
            return self._problem(f"expected {expected}, got {_told(asked)}", _place(asked))
        error = self.machine.error
        if error is not None:
            said = f"expected {expected}, got the failure {error.code}: {error.message}"
            return self._problem(said, error.at or self.last)
        return self._problem(f"expected {expected} after this, got the end of the run", self.last)

    def _broken(self, asked: Dispatch, answered: Answered) -> Iterator[Problem]:
        """Yield why the recorded answer is none that this agent may give."""
        contract = self.blueprint.contracts.get(asked.ref)
        if contract is not None and answered.failure is None:
            breach = contract.answer(answered.value)
            if breach is not None:
                yield self._problem(f"{breach.code}: {breach.message}", _place(asked))

    def _end(self) -> Iterator[Problem]:
        end, machine = self.recording.end, self.machine
        error = None if machine.error is None else machine.error.to_json()
        if end.error is not None:
            got = "a final context" if error is None else f"{error['code']}: {error['message']}"
            same = error is not None and all(
                error[name] == end.error.get(name) for name in ("code", "cause_code", "message")
            )
            if not same:
                wanted = f"{end.error['code']}: {end.error['message']}"
                said = f"expected the failure {wanted}, got {got}"
                yield self._problem(said, self.last if error is None else error["at"] or self.last)
        elif error is not None:
            said = f"expected the recorded end, got {error['code']}: {error['message']}"
            yield self._problem(said, error["at"] or self.last)
        elif digest_of(machine.result) != digest_of(end.ctx):
            found = first_difference(end.ctx, machine.result, "ctx")
            said = str(found) if found is not None else "expected the recorded context, got another"
            yield self._problem(f"the final context: {said}", self._writer(end.ctx))

    def _writer(self, recorded: Any) -> str:
        """Return the place of the last node that writes where the contexts first differ."""
        found = first_difference(recorded, self.machine.result, "ctx")
        name = _first_name(found.at) if found is not None else None
        places = [at for at, node in nodes_of(self.blueprint.flow) if _writes(node, name)]
        return places[-1] if places else "$"

    def _problem(self, sentence: str, at: str) -> Problem:
        return Problem(_CODE, sentence, _where(self.blueprint, at), at)


def _told(asked: Dispatch) -> str:
    return f"step {asked.ref!r} with {shorten(asked.input, 120)}"


def _place(asked: Dispatch) -> str:
    return _TURNS.sub("", asked.key)


def _where(blueprint: CompiledBlueprint, at: str) -> Place:
    return blueprint.place_of(at) or Place(next(iter(blueprint.sources), blueprint.id))


def _first_name(at: str) -> str | None:
    found = re.match(r"ctx\.(\w+)", at)
    return None if found is None else found[1]


def _writes(node: Node, name: str | None) -> bool:
    """Tell whether a node writes the whole context, or into the member *name*."""
    targets: tuple[Path | None, ...] = ()
    if isinstance(node, Assign):
        targets = (node.at,)
    elif isinstance(node, (Step, Fanout)):
        targets = (node.out,)
    elif isinstance(node, Loop):
        targets = (node.counter, node.exhausted_at)
    elif isinstance(node, Try):
        targets = (node.err_at, node.error_at)
    heads = [target.segments[:1] for target in targets if target is not None]
    return any(head == () or head == (name,) for head in heads)
