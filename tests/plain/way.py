"""A blueprint on its whole way: compiled, drawn, printed, run, left, gone on with, repeated.

Every way has to end as the reference does, in the same steps. Agents answer by nothing but
their name and their input, so that it does not matter how often, and when, they are asked.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import anyio

import flowir
from flowir import show
from flowir.errors import FlowError, WorkerFailure
from swarm import Host, StepContext
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.frozen import thawed
from swarm.blueprint.printing import blueprint_script
from swarm.core.run import ENDED, RunOutcome
from swarm.host.run import Run
from tests.flowir.random_flows import RandomFlow
from tests.plain.both import AGENTS, HEAD, Batch, Ended, Program, answer, canonical, ended_as
from tests.plain.programs import CONTEXTS, program

__all__ = ("Way", "built_way", "plain_way")

JSON = Any
# The key of a step, and which attempt it is.
Attempt: TypeAlias = tuple[str, int]
# Which lane comes first is told by no text: these joins may end otherwise each time.
_RACES = re.compile(r'join = "(?:any|race)"')
_DEATHS = 3


def by_input(name: str, given: JSON) -> JSON:
    """Answer as the stubs do, by what is asked alone."""
    mark = zlib.crc32(json.dumps(canonical(given), sort_keys=True).encode())
    return answer(name, given, mark % 8)


@dataclass(frozen=True)
class Way:
    """A blueprint's script, what is asked of its agents, and how it has to end, by context.

    Shape: *steady* where no lane is cut off by another, so that the steps are the same too.
    """

    source: str
    agents: tuple[str, ...]
    answers: Callable[[str, JSON], JSON]
    ends: Sequence[tuple[JSON, Ended]]
    steady: bool

    async def walk(self, folder: Path, seed: int) -> Counter[str]:
        """Go all the way; return how often something was done.

        Raises: AssertionError, for another end or another step; whatever else is a fault.
        """
        self._written(folder, "way.lua", self.source)
        walked: Counter[str] = Counter()
        async with Desk(self, folder / "way.lua", folder / "none").host() as host:
            blueprint = await host.load(str(folder / "way.lua"))
            _drawn(blueprint)
            await self._same_in_other_forms(host, blueprint, folder)
        random = Random(seed)  # noqa: S311 - the same seed walks the same way
        for i, (ctx, end) in enumerate(self.ends):
            desk = Desk(self, folder / "way.lua", folder / f"store{i}")
            steps = await desk.whole(ctx, end)
            walked["run"] += 1
            if steps:
                walked["died"] += await desk.with_deaths(ctx, end, random)
                walked["repeated"] += await desk.repeated(end, random.choice(sorted(steps))[0])
        return walked

    async def _same_in_other_forms(
        self, host: Host, blueprint: CompiledBlueprint, folder: Path
    ) -> None:
        document = json.dumps(thawed(blueprint.document))
        self._written(folder, "way.json", document)
        self._written(folder, "printed.lua", blueprint_script(blueprint.document))
        for form in ("way.json", "printed.lua"):
            assert (await host.load(str(folder / form))).digest == blueprint.digest, form

    @staticmethod
    def _written(folder: Path, name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")


def _drawn(blueprint: CompiledBlueprint) -> None:
    for draw in (show.mermaid, show.tree, show.svg):
        draw(blueprint.flow)  # to nothing, where all that it has are books that are kept


@dataclass
class Desk:
    """One store, the hosts that open it one after the other, and who was asked for what."""

    way: Way
    file: Path
    store: Path
    asked: list[Attempt] = field(default_factory=list[Attempt])
    stay_at: int | None = None
    stuck: anyio.Event = field(default_factory=anyio.Event)
    stayed: list[Attempt] = field(default_factory=list[Attempt])
    steps: set[Attempt] = field(default_factory=set[Attempt])

    def host(self) -> Host:
        """Return a host on the store, with every agent."""
        self.stuck = anyio.Event()
        host = Host(self.store, scripts="inline", durability="normal", resume="manual")
        for name in self.way.agents:
            host.function(name)(self._agent(name))
        return host

    def _agent(self, name: str) -> Callable[..., Any]:
        async def work(given: Any, context: StepContext) -> Any:
            attempt = context.key, context.attempt
            self.asked.append(attempt)
            if self.stay_at is not None:
                self.stay_at -= 1
                if self.stay_at <= 0:
                    self.stayed.append(attempt)
                    self.stuck.set()
                    await anyio.sleep_forever()
            return self.way.answers(name, given)

        return work

    async def whole(self, ctx: JSON, end: Ended) -> set[Attempt]:
        """Run without a death; return the attempts that agents made."""
        async with self.host() as host:
            run = await host.start(str(self.file), ctx, run_id="whole")
            assert _seen(await run.wait()) == end, "run"
        assert len(set(self.asked)) == len(self.asked)
        self.steps = set(self.asked)
        return self.steps

    async def with_deaths(self, ctx: JSON, end: Ended, random: Random) -> int:
        """Run on hosts that leave amid a step; return how many did."""
        self.asked.clear()
        outcome, died = None, 0
        while outcome is None:
            self.stay_at = random.randint(1, len(self.steps)) if died < _DEATHS else None
            async with self.host() as host:
                if died == 0:
                    run = await host.start(str(self.file), ctx, run_id="mortal")
                else:
                    run = await host.resume("mortal")
                outcome = await self._ended(run)
            died += outcome is None
        self.stay_at = None
        assert _seen(outcome) == end, "with deaths"
        if self.way.steady:
            assert set(self.asked) == self.steps
            again = Counter(self.asked) - Counter(self.steps)
            assert again <= Counter(self.stayed), "what has an answer is not asked again"
        return died

    async def _ended(self, run: Run) -> RunOutcome | None:
        """Wait until the run has ended, or stays at a step."""
        found: list[RunOutcome] = []

        async def watch() -> None:
            found.append(await run.wait())
            self.stuck.set()

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                await self.stuck.wait()
                tasks.cancel_scope.cancel()
        return found[0] if found and found[0].status in ENDED else None

    async def repeated(self, end: Ended, key: str) -> int:
        """Repeat the run from a step on, by its key."""
        async with self.host() as host:
            run = await host.rerun("whole", from_step=key)
            assert _seen(await run.wait()) == end, f"repeated from {key}"
        return 1


def _seen(outcome: RunOutcome) -> Ended:
    if outcome.error is None:
        return ended_as("ok", outcome.ctx)
    return ended_as("error", (outcome.error["code"], outcome.error["message"]))


def plain_way(seed: int) -> Way | None:
    """Make a way of a random flow function, which ends as Lua does; None: it is refused."""
    body = program(seed)
    agents = ", ".join(AGENTS)
    # Not every program asks every agent, and some fail before their end on every way.
    allow = '{ ["$"] = { "agent.unused", "node.unreachable" } }'
    fields = f'id = "p", agents = {{ {agents} }}, allow = {allow}, flow = {body}'
    source = f"{HEAD}return flow.blueprint {{ {fields} }}\n"
    batch = Batch(source, lambda name, given, _: by_input(name, given))
    plain = batch.lowered(0)
    if plain.problems or _RACES.search(body):
        return None
    made = Program(batch, 0, plain)
    ctx = CONTEXTS[seed % len(CONTEXTS)]
    found = made.through_lua(ctx)
    ends = [(ctx, Ended(found.status, found.value, ()))]
    return Way(source, AGENTS, by_input, ends, steady="parallel" not in body)


def built_way(seed: int) -> Way:
    """Make a way of a random flow of builders, which ends as the machine alone does."""
    sample = RandomFlow(seed, racing=False)
    wire = sample.document
    steps = list(_steps(wire))
    for step in steps:
        if "retry" in step:
            step["retry"]["delay_s"] = 0  # the clock is a real one
    flow = flowir.load(wire)
    names = tuple(sorted({step["ref"] for step in steps}))

    def answers(name: str, given: JSON) -> JSON:
        outcome = sample.outcome(name, given)
        if isinstance(outcome, flowir.Failure):
            raise WorkerFailure(outcome.code, outcome.message, outcome.permanent, outcome.data)
        return outcome.value

    try:
        end = ended_as("ok", flowir.run(flow, sample.ctx, sample.dispatch))
    except FlowError as error:
        end = ended_as("error", (error.code, error.message))
    agents = [{"name": name, "kind": "function", "function": name} for name in names]
    # What a random flow never comes to is meant.
    allow = {"$": ["node.unreachable"]}
    document = {"swarm": 1, "id": "b", "agents": agents, "allow": allow, "flow": flowir.dump(flow)}
    return Way(blueprint_script(document), names, answers, [(sample.ctx, end)], steady=False)


def _steps(node: JSON) -> Iterator[dict[str, JSON]]:
    todo = [node]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            if here.get("kind") == "step":
                yield here
            todo += here.values()
        elif isinstance(here, list):
            todo += here
