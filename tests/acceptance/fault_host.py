"""An app with a host in it, for what the machine does to a process from outside.

    python -m tests.acceptance.fault_host STORE SETTINGS

Opens the store, starts *runs* of the document *blueprint* (null: goes on with what is
there), and says `ready`. It works until all runs have ended, or until SIGTERM, on which it
leaves its host as any app does; then it prints how the runs stand, as one line of JSON.
Where a run cannot be carried on by this process it exits at once, with 70.
Settings: *nofile* and *memory_mb* limit this process, the latter above what it has when it
is ready; *limit_s* bounds its shutdown.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
from anyio import CancelScope

import swarm
from tests.acceptance.kill_host import note


def limit(settings: dict[str, Any]) -> None:
    if settings.get("nofile"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (settings["nofile"], settings["nofile"]))


def limit_memory(settings: dict[str, Any]) -> None:
    if settings.get("memory_mb"):
        now = next(
            int(line.split()[1]) * 1024
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmSize")
        )
        most = now + settings["memory_mb"] * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def register(host: swarm.Host, store: Path) -> None:
    @host.function("act")
    async def act(value: Any, step: swarm.StepContext) -> Any:  # pyright: ignore[reportUnusedFunction]
        note(store / "calls", step.idempotency_key)
        await anyio.sleep(0.002)
        note(store / "ended", step.idempotency_key)
        return value

    @host.function("stubborn")
    def stubborn(value: Any, step: swarm.StepContext) -> Any:  # pyright: ignore[reportUnusedFunction]
        note(store / "calls", step.idempotency_key)
        time.sleep(value)
        return value

    @host.function("large")
    async def large(value: Any, step: swarm.StepContext) -> Any:  # pyright: ignore[reportUnusedFunction]
        note(store / "calls", step.idempotency_key)
        await anyio.sleep(0.002)
        return f"{value}" * 2_000_000


async def main(store: Path, settings: dict[str, Any]) -> None:
    host = swarm.Host(store, durability="normal", shutdown_s=settings.get("limit_s", 10.0))
    register(host, store)
    said: dict[str, Any] = {"refused": None}
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            async with host:
                await start(host, settings)
                limit_memory(settings)
                print("ready", flush=True)  # noqa: T201 - the answer to who waits
                ended = anyio.Event()
                scope = CancelScope()

                async def wait() -> None:
                    with scope:
                        await all_ended(host)
                    ended.set()

                async def listen() -> None:
                    async for _ in signals:
                        scope.cancel()
                        return

                tasks.start_soon(listen)
                await wait()
                # Somebody goes on asking for more while the host is being left.
                tasks.start_soon(intake, host, said)
            tasks.cancel_scope.cancel()
    with_ends = swarm.Host(store, resume="manual")
    async with with_ends:
        said["states"] = Counter(run.status for run in await with_ends.runs(limit=10_000))
    print(json.dumps(said), flush=True)  # noqa: T201 - what it is asked for


async def start(host: swarm.Host, settings: dict[str, Any]) -> None:
    if settings.get("blueprint"):
        blueprint = await host.load(settings["blueprint"])
        for number in range(settings["runs"]):
            await host.start(blueprint, {"list": list(range(40))}, run_id=f"run-{number}")


async def all_ended(host: swarm.Host) -> None:
    for run in await host.runs(limit=10_000):
        while run.status not in ("succeeded", "failed", "blocked"):
            outcome = await run.wait()
            if outcome.status == "running" and not run.live:
                # It rests because this process cannot go on: another is to take over.
                os._exit(70)
            await anyio.sleep(0.005)


async def intake(host: swarm.Host, said: dict[str, Any]) -> None:
    nap = {"kind": "step", "ref": "swarm.sleep", "in": "0"}
    document = {"swarm": 1, "id": "more", "agents": [], "flow": nap}
    while said["refused"] is None:
        try:
            await host.start(await host.load(document))
            await anyio.sleep(0.001)
        except swarm.SwarmError as error:
            said["refused"] = error.code


if __name__ == "__main__":
    chosen = json.loads(sys.argv[2])
    limit(chosen)
    anyio.run(main, Path(sys.argv[1]), chosen)
