"""The built-in agent that waits."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from flowir import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Call, Toolbox
from swarm.testing import FakeClock
from swarm.workers.sleep import SleepFactory, SleepWorker

pytestmark = pytest.mark.anyio


async def test_it_waits_on_the_clock_and_answers_null() -> None:
    clock = FakeClock()
    answers: list[Any] = []

    async def run() -> None:
        answers.append(await SleepWorker(clock)(Call("r_1", "$", "swarm.sleep", 2.5), None))  # type: ignore[arg-type]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(2.4)
        assert answers == []
        await clock.advance(0.2)
    assert answers[0].value is None


@pytest.mark.parametrize("input", ["1", -1, None, True, [1]])
async def test_what_is_no_number_of_seconds_is_a_permanent_failure(input: Any) -> None:
    with pytest.raises(WorkerFailure) as caught:
        await SleepWorker(FakeClock())(Call("r_1", "$", "swarm.sleep", input), None)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.permanent) == ("sleep.seconds", True)


def test_its_factory_finds_nothing_wrong() -> None:
    factory, agent = SleepFactory(FakeClock()), AgentSpec("swarm.sleep", "sleep")
    tools = Toolbox(InlineScripts(), {})
    assert list(factory.problems(agent, tools)) == []
    assert isinstance(factory.build(agent, tools), SleepWorker)
