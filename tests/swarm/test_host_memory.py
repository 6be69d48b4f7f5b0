"""A host's memory does not grow with what it has done: runs come, end, and leave nothing.

`SWARM_MEMORY_STEPS` is the size of the campaign, in steps: 20,000 where nobody says so.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import Host, Run
from swarm.host.parts import Parts
from swarm.host.runs import Runs
from swarm.ports.worker import Call, Outcome, StepLink
from swarm.testing import scripted_blueprint

pytestmark = pytest.mark.anyio

STEPS = int(os.environ.get("SWARM_MEMORY_STEPS", "20000"))
PARTS = 10
# Runs that go on together, and the steps of each: a chain of ten and a fanout of ten.
TOGETHER, LENGTH = 20, 20
# Caches fill and tables grow a little; one object left by each run would be far more.
OBJECTS, SIZE_BYTES = 400, 300_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def work(call: Call, link: StepLink) -> Outcome:
    return Outcome({"n": call.input, "text": "x" * 50})


def step(out: str) -> dict[str, Any]:
    return {"kind": "step", "ref": "work", "in": {"op": "path", "at": "$.n"}, "out": out}


FLOW = {
    "kind": "seq",
    "children": [
        {
            "kind": "loop",
            "counter": "$.n",
            "cond": {"op": "lit", "value": True},
            "max": 10,
            "body": step("$.x"),
        },
        {
            "kind": "fanout",
            "items": {"op": "lit", "value": list(range(10))},
            "bind": "$.n",
            "body": step("$.x"),
            "join": "all",
            "out": "$.all",
        },
    ],
}


async def measured(folder: Path, steps: int) -> list[tuple[int, int]]:
    """Return objects and bytes that are alive after each part of the campaign."""
    blueprint = scripted_blueprint(FLOW, {"work": work})
    found: list[tuple[int, int]] = []
    tracemalloc.start()
    try:
        async with Host(Parts.at(folder, "normal")) as host:

            async def one() -> None:
                run = await host.start(blueprint, {})
                outcome = await run.wait()
                assert outcome.status == "succeeded"

            for _ in range(PARTS):
                for _ in range(max(1, steps // (PARTS * TOGETHER * LENGTH))):
                    async with anyio.create_task_group() as tasks:
                        for _ in range(TOGETHER):
                            tasks.start_soon(one)
                gc.collect()
                found.append((len(gc.get_objects()), tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()
    return found


def growth(found: list[tuple[int, int]]) -> tuple[int, int]:
    """Return how much more is alive at the end than after the second part: caches are full."""
    _, first, *others = found
    return others[-1][0] - first[0], others[-1][1] - first[1]


async def test_memory_is_flat_over_many_runs(tmp_path: Path) -> None:
    objects, size = growth(await measured(tmp_path / "s", STEPS))
    print(f"{STEPS} steps: {objects:+} objects, {size:+} bytes")  # noqa: T201
    assert objects < OBJECTS
    assert size < SIZE_BYTES


async def test_a_host_that_holds_on_to_runs_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hold_on(_: Runs, run: Run) -> None:
        """Do not let go of *run*."""

    monkeypatch.setattr(Runs, "rested", hold_on)
    objects, size = growth(await measured(tmp_path / "s", 10_000))
    assert objects > OBJECTS
    assert size > SIZE_BYTES
