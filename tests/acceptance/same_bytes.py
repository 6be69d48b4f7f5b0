"""A journal with a clock and ids that are always the same: prints what its bytes hash to.

    python -m tests.acceptance.same_bytes

Random flows are run, with workers that take a random while. The journal is the one in
memory, which keeps the same bytes in the same chain: on a disk, who waits for whom depends
on the disk.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Any, cast

import anyio

from swarm.core.driver import Driver
from swarm.core.log import RunLog
from swarm.ids import RunId
from swarm.ports.worker import Call, Outcome, StepLink, Worker
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from tests.flowir.random_flows import RandomFlow

FLOWS = range(8)


def refs(node: Any) -> set[str]:
    """Return the agents that a flow names."""
    if type(node) is list:
        return set[str]().union(*map(refs, cast("list[Any]", node)))
    if type(node) is not dict:
        return set()
    members = cast("dict[str, Any]", node)
    own = {members["ref"]} if members.get("kind") == "step" else set[str]()
    return own.union(*map(refs, members.values()))


async def main() -> None:
    journal, rows = MemoryJournal(), 0
    for seed in FLOWS:
        flow, clock = RandomFlow(seed), FakeClock(jumps=True)
        chance = Random(seed)  # noqa: S311 - drawn again from its seed

        def worker(ref: str, flow: Any = flow, clock: Any = clock, chance: Any = chance) -> Worker:
            async def work(call: Call, link: StepLink) -> Outcome:
                await clock.sleep(chance.choice([0, 0.01, 0.5]))
                return Outcome(flow.dispatch(ref, call.input))

            return work

        agents: dict[str, Any] = {ref: worker(ref) for ref in sorted(refs(flow.document))}
        log = RunLog(RunId(f"r_{seed}"), journal, clock)
        blueprint = scripted_blueprint(flow.document, agents)
        driver = Driver(blueprint, flow.ctx, log=log, clock=clock)
        await driver.begin()
        await driver.drive()
        rows += len(await journal.read(log.run_id, limit=100_000))
    kept = [log.entries for log in journal._runs.values()]  # pyright: ignore[reportPrivateUsage]
    print(rows, sha256(repr(kept).encode()).hexdigest())  # noqa: T201 - what it is asked for


if __name__ == "__main__":
    anyio.run(main)
