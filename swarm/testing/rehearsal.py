"""One run of a blueprint with a cast: through the real host and machine, in no time at all.

The journal is in memory, ids are counted, and the clock jumps to whatever is due next.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowir.records import dataclass
from flowir.trace import Trace
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.load import Source
from swarm.errors import Place, Problem
from swarm.host.host import Host
from swarm.host.parts import Parts
from swarm.host.run import Run
from swarm.lua.choice import ChosenScripts
from swarm.ports.scripts import ScriptRunner
from swarm.stores.memory import MemoryJournal
from swarm.testing.cast import Answers, Cast, Played, Scripted
from swarm.testing.clock import FakeClock
from swarm.testing.ids import CountedIds
from swarm.testing.stage import Stage

__all__ = ("Rehearsal", "Rehearsed")

_NOWHERE = Place("<test>")


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What came of a run.

    Shape: `status` is "waiting" for a run that asked a person whom nobody plays. `usage`
    has `steps`, `attempts`, `tokens` and `cost`; `mistakes` are calls that the test did not
    foresee; `given` are its answers that were, `unused` those (by agent) that were not, or
    less often than they say; `parts` has by name what agents handed over.
    Units: `took_s` by the fake clock.
    """

    blueprint: CompiledBlueprint
    status: str
    ctx: Any
    error: Mapping[str, Any] | None
    events: tuple[Mapping[str, Any], ...]
    calls: tuple[Played, ...]
    usage: Mapping[str, float]
    parts: Mapping[str, Any]
    took_s: float
    trace: Trace
    mistakes: tuple[Problem, ...]
    given: tuple[Scripted, ...]
    unused: tuple[tuple[str, Scripted], ...]

    @property
    def path(self) -> list[str]:
        """The agents that were asked, in the order of their attempts."""
        return [played.agent for played in self.calls]


class Rehearsal:
    """A blueprint that can be run again and again with scripted agents.

    >>> import anyio
    >>> async def main() -> Any:
    ...     greeter = {"name": "greeter", "kind": "lua", "source": "return input"}
    ...     step = {"kind": "step", "ref": "greeter", "in": "ctx.name", "out": "ctx.said"}
    ...     document = {"swarm": 1, "id": "hello", "agents": [greeter], "flow": step}
    ...     rehearsal = await Rehearsal.open(document)
    ...     answers = {"greeter": [Scripted(value="Hello!")]}
    ...     return (await rehearsal.run({"name": "Ada"}, answers)).ctx
    >>> anyio.run(main)
    {'name': 'Ada', 'said': 'Hello!'}
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @classmethod
    async def open(
        cls,
        source: Source,
        *,
        includes: Mapping[str, Path] | None = None,
        scripts: ScriptRunner | None = None,
    ) -> Rehearsal:
        """Compile a blueprint for tests.

        Raises: BlueprintInvalid, with every problem.
        """
        return cls(await Stage.open(source, scripts or ChosenScripts(), includes))

    @property
    def blueprint(self) -> CompiledBlueprint:
        """The blueprint as it was compiled."""
        return self._stage.blueprint

    async def run(
        self,
        input: Any = None,
        answers: Answers | None = None,
        *,
        budget: Mapping[str, Any] | None = None,
        where: Place = _NOWHERE,
    ) -> Rehearsed:
        """Run it to its end; *where* is the test's line, for the mistakes in it.

        Raises: Refused (run.input, budget.malformed).
        """
        clock = FakeClock(start_s=0, jumps=True)
        cast = Cast(answers or {}, clock, where)
        blueprint = self._stage.set_for(cast, clock)
        self._stage.trace.take()
        parts = Parts(MemoryJournal(), clock, CountedIds())
        events: list[Mapping[str, Any]] = []
        async with Host(parts, scripts="inline") as host:
            run = await host.start(blueprint, input, budget=budget)
            ended = await _watched(run, events)
            outcome = await run.wait() if ended else None
            took_s = clock.monotonic()
            parts_of_run = await _parts(run, events)
        spent = run.meter.spent
        return Rehearsed(
            blueprint=blueprint,
            status="waiting" if outcome is None else outcome.status,
            ctx=None if outcome is None else outcome.ctx,
            error=None if outcome is None else outcome.error,
            events=tuple(events),
            calls=tuple(cast.calls),
            usage={
                "steps": spent.steps,
                "attempts": spent.attempts,
                "tokens": spent.tokens,
                "cost": spent.cost,
            },
            parts=parts_of_run,
            took_s=took_s,
            trace=self._stage.trace.take(),
            mistakes=tuple(cast.mistakes),
            given=tuple(cast.given),
            unused=tuple(cast.unused()),
        )


async def _parts(run: Run, events: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parts of a run by name, the last of each."""
    if not any(event["kind"] == "step.part" for event in events):
        return {}
    made = [output for output in await run.outputs() if output.name is not None]
    return {output.name or "": await run.output(output) for output in made}


async def _watched(run: Run, events: list[Mapping[str, Any]]) -> bool:
    """Note what happens until the end; False: it waits for a person, whom nobody plays."""
    async for event in run.events():
        events.append(event)
        if event["kind"] == "run.waiting" and await run.questions():
            return False
    return True
