"""All lines are looked after in one task, whichever of them end."""

from __future__ import annotations

import anyio
import pytest

from swarm.operators.rounds import Rounds

pytestmark = pytest.mark.anyio


class Line:
    """A line that counts how often it is looked after."""

    def __init__(self, *, broken: bool = False) -> None:
        self.times = 0
        self.given_up = 0
        self._broken = broken

    def look_after(self) -> None:
        self.times += 1
        if self._broken:
            raise ValueError("what?")

    def give_up(self) -> None:
        self.given_up += 1


async def looked_after(*lines: Line) -> None:
    """Return once each was looked after again."""
    before = [line.times for line in lines]
    with anyio.fail_after(20):
        while any(line.times == was for line, was in zip(lines, before, strict=True)):  # noqa: ASYNC110
            await anyio.sleep(0.002)


async def test_the_next_takes_over_when_the_first_ends() -> None:
    rounds, lines = Rounds(0.005), [Line() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        scopes: dict[Line, anyio.CancelScope] = {}

        async def serve(line: Line) -> None:
            with anyio.CancelScope() as scopes[line]:
                await rounds.take_part(line)

        for line in lines:
            tasks.start_soon(serve, line)
        await looked_after(*lines)
        for n in range(3):
            scopes[lines[n]].cancel()
            await anyio.wait_all_tasks_blocked()
            await looked_after(*lines[n + 1 :])
            gone = lines[n].times
            await anyio.sleep(0.05)
            assert lines[n].times == gone


async def test_what_is_wrong_with_one_ends_that_one_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds, good, broken = Rounds(0.005), Line(), Line(broken=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rounds.take_part, good)
        tasks.start_soon(rounds.take_part, broken)
        await looked_after(broken, good)
        await looked_after(good)
        tasks.cancel_scope.cancel()
    assert broken.given_up > 0
    assert good.given_up == 0
    assert "cannot be looked after" in caplog.text
