"""A store on a disk of its own, which fills up or becomes read-only.

    unshare --map-root-user --mount python -m tests.acceptance.own_disk FOLDER full|readonly

Mounts a small file system on FOLDER, which nobody else sees, and says how it went, as one
line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio

from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.store import Store
from swarm.stores.sqlite import open_store

ONE, TWO = RunId("r_1"), RunId("r_2")


def mount(place: Path, *words: str) -> None:
    subprocess.run(["mount", *words, str(place)], check=True)  # noqa: S603, S607 - our own words


def row(seq: int) -> dict[str, Any]:
    kind = "run.started" if seq == 1 else "step.progress"
    return {"kind": kind, "seq": seq, "time_s": 1.0 + seq, "text": "word " * 1_000}


async def keep(store: Store, run_id: RunId, seq: int) -> str | None:
    """Append and commit; return the code of what refused it."""
    try:
        store.journal.append(run_id, [row(seq)])
        await store.journal.commit()
    except SwarmError as error:
        return error.code
    return None


async def full(place: Path) -> dict[str, Any]:
    """Fill the disk, make room, and go on."""
    store = open_store(place / "state")
    said: dict[str, Any] = {"kept": 0}
    while (code := await keep(store, ONE, said["kept"] + 1)) is None:
        said["kept"] += 1
    said["code"], said["health"] = code, store.journal.health
    said["intake"] = await keep(store, TWO, 1)
    mount(place, "-o", "remount,size=64m")
    said["after"] = await store.journal.probe()
    said["heads"] = await store.journal.heads()
    said["new"] = await keep(store, TWO, 1)
    said["verified"] = await store.journal.verify(ONE)
    store.close()
    return said


async def readonly(place: Path) -> dict[str, Any]:
    """Open a store on a disk that can only be read, then on the same that can be written."""
    store = open_store(place / "state")
    await keep(store, ONE, 1)
    store.close()
    mount(place, "-o", "remount,ro")
    said: dict[str, Any] = {}
    try:
        open_store(place / "state")
    except SwarmError as error:
        said["code"], said["sentence"] = error.code, error.message
    mount(place, "-o", "remount,rw")
    store = open_store(place / "state")
    said["kept"] = await keep(store, ONE, 2)
    said["heads"] = await store.journal.heads()
    store.close()
    return said


def main() -> None:
    place = Path(sys.argv[1])
    mount(place, "-t", "tmpfs", "-o", "size=700k", "swarm")
    act = {"full": full, "readonly": readonly}[sys.argv[2]]
    print(json.dumps(anyio.run(act, place)))  # noqa: T201 - what it is asked for


if __name__ == "__main__":
    main()
