"""A process that others are forked from, which write versions and are killed.

Reads orders as lines of JSON: `{"store", "acks", "name", "count", "stage", "nth",
"planted"}`. The child writes *count* entries, one line into *acks* for each that was
acknowledged; it kills itself before or after the *nth* time of a *stage*, or whoever
forked it kills it after `kill_s`. Answers with the child's exit code.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
import pygit2

import swarm.stores.git.histories as histories
from swarm.errors import Refused
from swarm.ports.versions import Entry
from swarm.stores.git import GitVersions, packing
from swarm.stores.git.index import Index
from swarm.stores.git.objects import Objects
from swarm.stores.git.packing import Packing
from swarm.stores.git.repository import Repository
from tests.acceptance.git_world import contents, note

__all__ = ("STAGES",)

STAGES: Final = {
    "making": (Repository, "_make"),
    "object": (Objects, "_sound"),
    "tree": (Objects, "add"),
    "commit": (histories.GitVersions, "_commit"),
    "ref": (Repository, "set_ref"),
    "branch": (Repository, "show_as_branch"),
    "head": (Repository, "_point_head"),
    "index": (Index, "extend"),
    "pack": (Packing, "_pack"),
    "drop": (Packing, "_drop"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def armed(stage: str, nth: int) -> None:
    """Let the process die before (even) or after (odd) a stage."""
    where, name = STAGES[stage]
    act: Callable[..., Any] = getattr(where, name)
    left = nth // 2

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0 and nth % 2 == 0:
            die()
        found = act(*arguments, **named)
        if left < 0:
            die()
        return found

    setattr(where, name, dying)


async def write(order: dict[str, Any]) -> None:
    """Put entries behind each other, whoever else does the same."""
    store = GitVersions(Path(order["store"]))
    acks = os.open(order["acks"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for n in range(order["count"]):
        entry = await written(store, f"{order['name']}.{n}", acks, early=order["planted"])
        if not order["planted"]:
            os.write(acks, f"{entry.commit}\n".encode())
        if order.get("tags"):
            await store.tag("review", "prod", entry)
        if order.get("collects") and n % 3 == 2:
            await store.collect()
    store.close()


async def written(store: GitVersions, said: str, acks: int, *, early: bool) -> Entry:
    while True:
        head = await store.head("review")
        label, behind = ("1.0.0", None) if head is None else (f"1.{head.number}.0", head.commit)
        if early:
            # A bug: acknowledged before it is there.
            os.write(acks, f"{said}\n".encode())
        try:
            return await store.add(contents(said), note(), label=label, expected=behind)
        except Refused as error:
            if error.code != "version.conflict":
                raise


def live(order: dict[str, Any]) -> None:
    if order.get("packs"):
        packing._SAMPLE_FULL = 1  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        packing._GRACE_S = -1.0  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    if order.get("stage"):
        armed(order["stage"], order["nth"])
    anyio.run(write, order)


def forked(order: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            live(order)
            code = 0
        except BaseException:  # noqa: BLE001 - the parent sees the code, people the reason
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def main() -> None:
    pygit2.settings.enable_fsync_gitdir(True)
    for line in sys.stdin:
        order = json.loads(line)
        children = [forked({**order, "name": f"{order['name']}-{n}"}) for n in range(order["many"])]
        if order.get("kill_s") is not None:
            time.sleep(order["kill_s"])
            for child in children:
                os.kill(child, signal.SIGKILL)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
