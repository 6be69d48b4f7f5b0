"""The built-in agent that waits."""

from __future__ import annotations

from typing import Any

import pytest

from flowir import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Call, Toolbox
from swarm.workers.sleep import SleepFactory, SleepWorker

pytestmark = pytest.mark.anyio


class Bed:
    """A link that notes how long somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_it_sleeps_for_its_input_and_answers_null() -> None:
    bed = Bed()
    outcome = await SleepWorker()(Call("r_1", "$", "swarm.sleep", 2.5), bed)  # type: ignore[arg-type]
    assert (outcome.value, bed.slept) == (None, [2.5])


@pytest.mark.parametrize("input", ["1", -1, None, True, [1]])
async def test_what_is_no_number_of_seconds_is_a_permanent_failure(input: Any) -> None:
    with pytest.raises(WorkerFailure) as caught:
        await SleepWorker()(Call("r_1", "$", "swarm.sleep", input), Bed())  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.permanent) == ("sleep.seconds", True)


def test_its_factory_finds_nothing_wrong() -> None:
    factory, agent = SleepFactory(), AgentSpec("swarm.sleep", "sleep")
    tools = Toolbox(InlineScripts(), {})
    assert list(factory.problems(agent, tools)) == []
    assert isinstance(factory.build(agent, tools), SleepWorker)
