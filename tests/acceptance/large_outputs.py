"""Steps whose answers are a mebibyte each: prints the peak of memory, and what was kept.

python -m tests.acceptance.large_outputs FOLDER STEPS
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import anyio

import swarm
from swarm.ids import RunId
from swarm.stores.sqlite import open_store

MIB = 1024 * 1024


async def main(folder: Path, steps: int) -> None:
    host = swarm.Host(folder, durability="normal")

    @host.function("large")
    async def large(n: int) -> str:  # pyright: ignore[reportUnusedFunction] - registered
        return f"{n:07}" * (MIB // 7)

    body = {"kind": "step", "ref": "large", "in": "ctx.n", "out": "$.last"}
    loop = {"kind": "loop", "counter": "$.n", "cond": "true", "max": steps, "body": body}
    clear = {"kind": "assign", "at": "$.last", "value": "ctx.n"}
    agents = [{"name": "large", "kind": "function", "function": "large"}]
    flow = {"kind": "seq", "children": [loop, clear]}
    said: dict[str, Any] = {}
    async with host:
        blueprint = await host.load({"swarm": 1, "id": "d", "agents": agents, "flow": flow})
        run = await host.start(blueprint, {}, run_id="mine")
        said["ctx"] = await run.result()
    said["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    store = open_store(folder, "normal")
    assert await store.journal.verify(RunId("mine")) is None
    kept = await store.journal.forget([RunId("mine")], dry_run=True)
    said["blobs"], said["kept_mib"] = kept.blobs, kept.size_bytes // MIB
    store.close()
    print(json.dumps(said))  # noqa: T201 - what it is asked for


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
