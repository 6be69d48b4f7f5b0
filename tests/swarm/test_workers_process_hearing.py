"""Hearing a program gives everything else its turns: counted in turns, never in time."""

from __future__ import annotations

import struct
from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarm.workers.process.hearing import Hearing
from swarm.workers.process.program import Program
from swarm.workers.process.reading import Reading
from swarm.workers.process.secrets import Redactor
from tests.swarm.programs import Told

pytestmark = pytest.mark.anyio

# What one read of the pipe brings at most.
READ = 64 * 1024
FRAME = struct.pack("!I", 1) + b"1"
SHORTEST = {
    "ndjson": b"1\n",
    "lines": b"x\n",
    "sse": b"data:1\n\n",
    "frames": FRAME,
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def listener(form: str) -> Hearing:
    program = Program("talker", (), output=form, reading=Reading(result="all", progress=None))
    return Hearing(program, Told(), Redactor({}))


async def turns(hearing: Hearing, data: bytes) -> list[int]:
    """Hear *data*; return how many messages were there at each turn of another task."""
    seen = [0]

    async def tick() -> None:
        while True:
            seen.append(len(hearing.found.result))
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await checkpoint()
        await hearing.hear(data)
        seen.append(len(hearing.found.result))
        tasks.cancel_scope.cancel()
    return seen


@pytest.mark.parametrize("form", SHORTEST)
async def test_between_two_turns_of_others_few_messages_are_heard(form: str) -> None:
    count = READ // len(SHORTEST[form])
    seen = await turns(listener(form), SHORTEST[form] * count)
    assert seen[-1] == count
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= 512, max(steps)


async def test_empty_lines_are_no_messages_and_give_turns_too() -> None:
    hearing = listener("ndjson")
    seen = await turns(hearing, b"\n" * READ)
    assert hearing.found.result == []
    assert len(seen) >= READ // 1024


async def test_what_was_read_is_heard_whole_though_its_listener_is_cancelled() -> None:
    hearing = listener("ndjson")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hearing.hear, b"1\n" * (READ // 2) + b"2")
        await checkpoint()
        tasks.cancel_scope.cancel()
    hearing.end()
    assert hearing.fault is None
    assert hearing.found.result == [1] * (READ // 2) + [2]


async def test_nothing_is_heard_after_a_fault_in_the_same_read() -> None:
    hearing = listener("ndjson")
    await hearing.hear(b"1\n" * 300 + b"no\n" + b"2\n" * 3000)
    assert hearing.fault is not None
    assert "line 301" in hearing.fault.said
    assert hearing.found.result == [1] * 300
