"""The axis of recorded runs: what ran before is gone through again, with both versions.

Scripts are run as they are in the version that is judged, in their sandbox; everybody else
says what the journal has of him. Nothing outside of this host hears of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio

from flowir.effects import Dispatch, Failure, Outcome, Success
from flowir.errors import WorkerFailure
from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.frozen import thawed
from swarm.core.outputs import keep
from swarm.core.run import RunStatus
from swarm.enhance.replays import (
    UNSURE,
    Answers,
    Ended,
    Performer,
    Recorded,
    compared,
    recorded,
    replayed,
)
from swarm.enhance.verdicts import Change
from swarm.host.enhance.bench import Bench
from swarm.host.run import Run
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Toolbox
from swarm.workers.lua import LuaFactory

__all__ = ("Replaying",)

_ENDED: Final[tuple[RunStatus, ...]] = ("succeeded", "failed")
# A run of more events is left out: to go through it would take longer than it says.
_EVENTS: Final = 10_000
_TOLD: Final = 3


class Replaying:
    """Goes through the last runs of a blueprint with a version that is proposed for it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def judged(self, blueprint: str, made: Change) -> tuple[bool, str]:
        """Return whether the runs end as well with the result as with the base, and why."""
        policy = self._bench.policy
        try:
            with anyio.fail_after(policy.replays_s):
                return await self._judged(blueprint, made)
        except TimeoutError:
            return False, f"enhance.late: the replays took over {policy.replays_s:g} s"

    async def _judged(self, blueprint: str, made: Change) -> tuple[bool, str]:
        runs = await self._recorded(blueprint)
        if not runs:
            passed = self._bench.policy.without_runs == "commit"
            return passed, "enhance.no_runs: no run of the blueprint was recorded"
        versions = self._bench.host.blueprints
        old = await versions.compiled(thawed(made.head))
        new = await versions.compiled(thawed(made.document))
        ends = [(run, await self._both(run, runs, old, new)) for run in runs]
        return _verdict([(run.run, *pair) for run, pair in ends])

    async def _both(
        self,
        run: Recorded,
        runs: Sequence[Recorded],
        old: CompiledBlueprint,
        new: CompiledBlueprint,
    ) -> tuple[Ended, Ended]:
        others = [other for other in runs if other is not run]
        same = {name for name, spec in new.agents.items() if old.agents.get(name) == spec}
        before, after = [
            await replayed(one, run, Answers(run, others), self._performer(one), same)
            for one in (old, new)
        ]
        return before, after

    async def _recorded(self, blueprint: str) -> list[Recorded]:
        """Return the last runs of the blueprint that came to an end by themselves."""
        found: list[Recorded] = []
        for run in await self._bench.host.runs(_ENDED, limit=1000):
            if len(found) >= self._bench.policy.replays:
                break
            if run.summary.blueprint == blueprint:
                rows = await _rows(run)
                found += [] if rows is None else [recorded(rows)]
        return found

    def _performer(self, blueprint: CompiledBlueprint) -> Performer:
        tools = Toolbox(self._bench.host.scripts, {}, Path.cwd())
        factory = LuaFactory()

        async def perform(asked: Dispatch) -> Outcome | None:
            spec = blueprint.agents.get(asked.ref)
            if spec is None or spec.kind != factory.kind:
                return None
            link = _Alone(perform)
            call = Call("replay", asked.key, asked.ref, asked.input, asked.attempt, spec=spec)
            try:
                outcome = await factory.build(spec, tools)(call, link)
            except WorkerFailure as failure:
                if link.unsure:
                    return UNSURE
                return Failure(failure.code, failure.message, failure.permanent, failure.data)
            return UNSURE if link.unsure else Success(outcome.value)

        return perform


class _Alone:
    """A link to nobody: other scripts of the blueprint may be called, and that is all.

    `unsure`: the script wanted what is not here, so that its answer tells nothing.
    """

    cancelled = False

    def __init__(self, perform: Performer) -> None:
        self._perform = perform
        self.unsure = False

    async def progress(self, text: str) -> None:
        """Tell nobody."""

    async def sleep(self, seconds: float) -> None:
        """Let no time pass."""

    async def call(self, agent: str, input: Any) -> Any:
        outcome = await self._perform(Dispatch("replay", agent, input))
        if outcome is None or outcome is UNSURE:
            return self._nothing()
        if isinstance(outcome, Failure):
            raise WorkerFailure(outcome.code, outcome.message, outcome.permanent, outcome.data)
        return outcome.value

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        return keep(value, DEFAULT_LIMITS).reference.to_wire()

    async def read(self, reference: Any) -> Any:
        return self._nothing()

    async def ask(self, ask: Ask) -> Any:
        return self._nothing()

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        return self._nothing()

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        yield

    def _nothing(self) -> Any:
        self.unsure = True
        raise WorkerFailure(UNSURE.code, UNSURE.message, True)


def _verdict(ends: Sequence[tuple[str, Ended, Ended]]) -> tuple[bool, str]:
    """Say what the runs come to: one that ends worse is enough to say no."""
    found = [(run, compared(old, new), new) for run, old, new in ends]
    for how, code in (("worse", "enhance.replay_worse"), ("untold", "enhance.replay_untold")):
        told = [f"{run}: {new.why}" for run, which, new in found if which == how]
        if told:
            return False, f"{code}: {len(told)} of {len(ends)} runs: {'; '.join(told[:_TOLD])}"
    return True, f"replay: {len(ends)} recorded runs end as well as before"


async def _rows(run: Run) -> list[Mapping[str, Any]] | None:
    """Return all events of a run that has ended; None, where they are too many."""
    found: list[Mapping[str, Any]] = []
    while page := await run.log.read(found[-1]["seq"] if found else 0):
        found += page
        if len(found) > _EVENTS:
            return None
    return found
