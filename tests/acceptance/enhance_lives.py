"""A loop of improvement that is killed: one process for each life, forked from this one.

Reads orders on stdin, one JSON object a line, and answers each with a line on stdout once
the life it asked for is over:

    {"store", "issues", "phase", "count", "planted"}   → {"code"}

A life opens *store*; where it is new, it registers a blueprint and submits *issues*
issues on it. It kills itself with SIGKILL when it comes to *phase* for the *count*th time
(null: works until every issue has ended). Each proposal adds a tag that no other has, so
that an issue that is committed twice is seen in the blueprint. *planted* names a bug that
the loop is to have (`blind`: it does not look for what it committed before it was killed;
`ahead`: it records an act once that is done; null: none).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from swarm.blueprint.patches import difference
from swarm.host.enhance import Enhancer
from swarm.host.enhance.committing import Committer
from swarm.host.host import Host
from swarm.ports.versions import Contents, Entry, Note, VersionStore

PHASES = (
    "turn",
    "propose",
    "apply",
    "verify",
    "decide",
    "commit",
    "audit.before",
    "audit.after",
    "version.after",
)
NAME = "worker"
DOCUMENT: dict[str, Any] = {
    "swarm": 1,
    "id": NAME,
    "agents": [{"name": "work", "kind": "lua", "source": "return input", "tags": ["first"]}],
    "flow": {"kind": "step", "ref": "work", "in": {"op": "path", "at": "$.n"}, "out": "$.n"},
}
POLICY: dict[str, Any] = {
    "per_hour": 1000, "per_day": 1000, "gap_s": 0.0, "in_a_row": 1000, "issues_per_hour": 1000,
    "failures": 0, "without_cases": "commit",
}  # fmt: skip
LONGEST_S = 60.0


class Fate:
    """Knows when this process dies."""

    def __init__(self, phase: str | None, count: int) -> None:
        self._phase = phase
        self._left = count
        self.sealed = False

    def meet(self, phase: str) -> None:
        """Die here, if this is the place and the time, and what is to be done is known."""
        if self.sealed and phase == self._phase:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class FatedVersions:
    """A store of versions behind which one may die."""

    def __init__(self, store: VersionStore, fate: Fate) -> None:
        self._store = store
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def add(self, contents: Contents, note: Note, **more: Any) -> Entry:
        entry = await self._store.add(contents, note, **more)
        self._fate.meet("version.after")
        return entry


class FatedHost(Host):
    """A host that tells of what it does to versions."""

    def __init__(self, store: Path, fate: Fate, *, late: bool) -> None:
        super().__init__(store, durability="normal", scripts="inline")
        self._fate = fate
        self._late = late

    def _versions(self) -> Any:
        store, folder = super()._versions()
        return FatedVersions(store, self._fate), folder

    async def _changing(self, verb: str, told: Mapping[str, Any]) -> None:
        self._fate.meet("audit.before")
        if not self._late:
            await super()._changing(verb, told)
        self._fate.meet("audit.after")


class FatedEnhancer(Enhancer):
    """A loop that tells of its steps."""

    fate: Fate

    async def did(self, step: str) -> None:
        self.fate.meet(step)


def propose(asked: dict[str, Any]) -> dict[str, Any]:
    """Add a tag that nobody else adds."""
    new = json.loads(json.dumps(asked["document"]))
    new["agents"][0]["tags"].append(f"t{time.time_ns()}")
    return {"ops": difference(asked["document"], new), "rationale": "one more"}


async def live(order: Mapping[str, Any]) -> None:
    """Be a host until all issues have ended, or until fate has it otherwise."""
    store, fate = Path(order["store"]), Fate(order["phase"], order["count"])
    host = FatedHost(store, fate, late=order["planted"] == "ahead")
    enhancer = FatedEnhancer(host, POLICY, proposer=propose)
    enhancer.fate = fate
    async with host:
        if not (store / "begun").exists():
            await host.blueprints.register(DOCUMENT, author="ada")
            for n in range(order["issues"]):
                run = await enhancer.submit(NAME, f"issue {n}", author="bob")
                with (store / "issues").open("a") as out:
                    out.write(f"{run.id}\n")
            (store / "begun").touch()
        fate.sealed = True
        with anyio.fail_after(LONGEST_S):
            for run in await host.runs():
                while run.status not in ("succeeded", "failed", "blocked"):
                    await run.wait()
                    await anyio.sleep(0.005)


def one_life(order: Mapping[str, Any]) -> int:
    """Fork a life, and return how it ended, as `os.wait` tells it."""
    pid = os.fork()
    if pid == 0:
        try:
            if order["planted"] == "blind":
                Committer._by_run = _nothing  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
            anyio.run(live, order)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - what kills a life is told by its code
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(70)
    return os.waitpid(pid, 0)[1]


async def _nothing(self: Any, change: Any, run_id: str) -> None:
    return None


async def warm_up() -> None:
    """Import and build what every life needs."""
    async with Host.in_memory(scripts="inline") as host:
        await host.blueprints.register(DOCUMENT, author="ada")


def main() -> None:
    anyio.run(warm_up)
    for line in sys.stdin:
        status = one_life(json.loads(line))
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
