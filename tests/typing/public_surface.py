"""The public surface as an app uses it: this file type-checks, strictly, or the gate is shut.

Nothing here runs. What must not type-check says so on its line, and a line that has become
right is an error too.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

import flowir
import swarm
from swarm.operators import Endpoint, Operators, Task, connect
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.testing import Parts, Real, Rehearsed, Scripted, built_layer

host = swarm.Host(Path("state"), resume="manual", durability="normal", concurrency=4)


@host.function("shout")
def shout(text: str) -> str:
    return text.upper()


@host.function("think", inline=True)
async def think(topic: str, context: swarm.StepContext) -> swarm.Outcome:
    await context.progress("thinking")
    reference = await context.part("notes", {"words": 1})
    assert_type(context.idempotency_key, str)
    return swarm.Outcome(reference, usage=swarm.Usage(tokens=3, cost=0.1))


# A decorated function keeps its type.
assert_type(shout("a"), str)


async def runs() -> None:
    async with host:
        blueprint = assert_type(await host.load("hello.lua"), swarm.CompiledBlueprint)
        run = assert_type(await host.start(blueprint, {"name": "Ada"}, run_id="a"), swarm.Run)
        await host.start("hello@1.2", budget={"steps": 3})
        async for event in run.events(since=2, kinds=["step.*"]):
            if event["kind"] == "step.finished":
                assert_type(event["duration_s"], float)
        outcome = assert_type(await run.wait(), swarm.RunOutcome)
        assert_type(outcome.status, swarm.RunStatus)
        assert_type(outcome.error, Mapping[str, Any] | None)
        assert_type(run.status, swarm.RunStatus)
        for question in await run.questions():
            await run.answer(question.id, True, by="ada")
        for output in await run.outputs():
            assert_type(output, swarm.Output)
        assert_type(await host.runs(["running"], limit=3), tuple[swarm.Run, ...])
        await host.resume(run.id)
        await host.rerun(run.id, from_step="$.children[1]", set={"ctx.a": 1})
        await run.cancel("enough")
        await host.blueprints.register("hello.lua", author="ada")
        token = assert_type(host.tokens.mint("ada", "observer"), str)
        await host.guest(token).runs()


def errors(blueprint: str) -> Sequence[swarm.Problem]:
    try:
        swarm.run_blocking(blueprint, {}, functions={"shout": shout})
    except swarm.BlueprintInvalid as invalid:
        return invalid.problems
    except swarm.RunFailed as failed:
        assert_type(failed.error["code"], Any)
    except (swarm.Denied, swarm.Refused) as refused:
        assert_type(refused.code, str)
    return ()


class Params(LayerParams):
    most: int = 3


class Short:
    def __init__(self, params: Params, site: Site) -> None:
        self.most = params.most

    async def __call__(self, call: LayerCall, next: Next) -> swarm.Outcome:
        return await next(call.with_input(None))


SHORT = LayerFactory("short", 50, Params, Short)
host.layer(SHORT)
built_layer(SHORT, {"most": 1})

operators = Operators(seats={"reviewer": ["ada"]})
endpoint = Endpoint(operators, lambda: host.tokens.guard)
operator = connect(
    "http://127.0.0.1:7777",
    name="ada",
    token="…",  # noqa: S106
    seats=["reviewer"],
)


@operator.handler
async def review(task: Task) -> object:
    return "PASS" if task.input else "BLOCKED"


def language(document: dict[str, Any]) -> None:
    flow = assert_type(flowir.load(document), flowir.Flow)
    flowir.run(flow, {}, lambda ref, given: f"{ref}: {given}")
    assert_type(flowir.format_expr(flowir.parse_expr("ctx.n < 3")), str)
    machine = flowir.Machine(flow, {})
    for effect in machine.start():
        assert_type(effect, flowir.Effect)


def rehearsed(result: Rehearsed) -> None:
    assert_type(result.path, list[str])
    Scripted(value="done", after_s=90)
    Real()
    swarm.Host(Parts.in_memory())


async def wrong() -> None:
    """What must not type-check."""
    swarm.Host("state", resume="sometimes")  # pyright: ignore[reportArgumentType]
    swarm.Host("state", durabilty="full")  # pyright: ignore[reportCallIssue]
    await host.start("hello", budget=3)  # pyright: ignore[reportArgumentType]
    await host.rerun("a")  # pyright: ignore[reportCallIssue]
    run = await host.run("a")
    run.status = "running"  # pyright: ignore[reportAttributeAccessIssue]
    swarm.Outcome()  # pyright: ignore[reportCallIssue]
    swarm.run_blocking("a.lua", functions=[shout])  # pyright: ignore[reportArgumentType]
    flowir.run({}, {}, shout)  # pyright: ignore[reportArgumentType]
    swarm.nothing()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
