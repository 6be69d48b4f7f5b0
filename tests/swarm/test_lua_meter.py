"""What the meter charges: the instructions that ran for a script, and no others."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import swarm.lua.sandbox
from swarm.errors import ScriptFailed
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script, ScriptLimits

_METER = swarm.lua.sandbox._source("meter")  # pyright: ignore[reportPrivateUsage]
_CLOSELY = (b"SLOW_S <const> = 0.02", b"SLOW_S <const> = -1")
Plant = Callable[..., None]


def number(name: str) -> int:
    found = re.search(rf"{name} <const> = (\d+)".encode(), _METER)
    assert found is not None
    return int(found[1])


PERIOD = number("PERIOD")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Change the source of the meter for the sandboxes made from now on."""
    source = swarm.lua.sandbox._source  # pyright: ignore[reportPrivateUsage]

    def plant(*changes: tuple[bytes, bytes]) -> None:
        changed = _METER
        for old, new in changes:
            assert old in changed
            changed = changed.replace(old, new)

        def read(part: str) -> bytes:
            return changed if part == "meter" else source(part)

        monkeypatch.setattr("swarm.lua.sandbox._source", read)

    return plant


async def passes(instructions: int, turns: int) -> bool:
    """Tell whether a loop of so many turns, an instruction each, is within a budget."""
    script = Script("a.lua", "for _ = 1, input do end")
    limits = ScriptLimits(instructions=instructions, seconds=60.0)
    try:
        await InlineScripts().run(script, turns, limits=limits)
    except ScriptFailed as e:
        if e.code != "script.budget":
            raise
        return False
    return True


async def most_turns(instructions: int) -> int:
    """Find the longest loop that is within a budget."""
    low, high = 0, 4 * instructions
    while high - low > 1:
        middle = (low + high) // 2
        if await passes(instructions, middle):
            low = middle
        else:
            high = middle
    return low


async def paid_per_period() -> float:
    """Return how many instructions run for PERIOD that are paid."""
    return (await most_turns(300 * PERIOD + 1) - await most_turns(100 * PERIOD + 1)) / 200


async def test_an_instruction_costs_one() -> None:
    assert await paid_per_period() == PERIOD
    assert abs(await most_turns(100_000) - 100_000) <= PERIOD


async def test_an_instruction_costs_one_where_it_is_looked_at_closely(planted: Plant) -> None:
    far = await most_turns(100_000)
    planted(_CLOSELY)
    assert await paid_per_period() == PERIOD
    assert await most_turns(100_000) == far


@pytest.mark.parametrize("own", [b"16, 17", b"18, 17"])
async def test_a_hook_that_is_longer_than_it_says_turns_it_red(planted: Plant, own: bytes) -> None:
    planted((b"OWN_CLOSE <const> = 17, 17", b"OWN_CLOSE <const> = " + own))
    assert await paid_per_period() != PERIOD


@pytest.mark.parametrize("own", [b"17, 16", b"17, 18"])
async def test_a_close_look_that_is_longer_than_it_says_turns_it_red(
    planted: Plant, own: bytes
) -> None:
    planted(_CLOSELY, (b"OWN_CLOSE <const> = 17, 17", b"OWN_CLOSE <const> = " + own))
    assert await paid_per_period() != PERIOD
