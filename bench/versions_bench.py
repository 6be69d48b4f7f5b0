"""What a long history costs: `python -m bench.versions_bench [--strict] [FOLDER]`.

A history of 10,000 entries stands beside one of 100: each way to find an entry, a page of
the log, and one more entry. The histories are written as a plain git would write them,
without waiting for the disk; that the index is made from them is measured too.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import anyio
import pygit2

from bench.rounds import Figure, Round, in_folder, interleave, ratio
from swarm.blueprint.selector import parse_selector
from swarm.ports.versions import Contents, Entry, File, Note
from swarm.stores.git import GitVersions
from swarm.stores.git.facts import Facts
from swarm.stores.git.objects import Objects
from swarm.stores.git.packing import Packing
from swarm.stores.git.repository import Repository

__all__ = ("figures", "main")

_SHORT = 100
_LONG = 10_000
_ROUNDS = 9
_LOOKS = 20
_DAY_S = 86_400.0


def figures(folder: Path) -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    short, long = _opened(folder / "short", _SHORT), _opened(folder / "long", _LONG)
    began = perf_counter()
    anyio.run(long.head, "review")
    took = perf_counter() - began
    yield Figure(f"the index of {_LONG} entries made again from git", took, "s")
    entries = [anyio.run(store.head, "review") for store in (short, long)]
    for store, entry in zip((short, long), entries, strict=True):
        anyio.run(store.tag, "review", "prod", entry)
    for kind, seconds in _lookups(short, long):
        yield Figure(f"{kind} among {_LONG}", min(seconds[1]) * 1e3, "ms", 2)
        yield Figure(f"{kind} among {_LONG}, against {_SHORT}", ratio(*seconds[::-1]), "times", 2)
    seconds = interleave(*(_page(store) for store in (short, long)), times=_ROUNDS)
    yield Figure(f"the newest 20 of {_LONG}", min(seconds[1]) * 1e3, "ms", 20)
    yield Figure(f"the newest 20 of {_LONG}, against {_SHORT}", ratio(*seconds[::-1]), "times", 2)
    seconds = interleave(*(_adding(store) for store in (short, long)), times=_ROUNDS)
    yield Figure(f"one more behind {_LONG}", min(seconds[1]) * 1e3, "ms")
    yield Figure(f"one more behind {_LONG}, against {_SHORT}", ratio(*seconds[::-1]), "times", 2)
    for store in (short, long):
        store.close()


def main() -> int:
    """Print every figure as it is found."""
    return in_folder(figures)


# -- histories ---------------------------------------------------------------------------


def _contents(n: int) -> Contents:
    flow = {"kind": "assign", "at": "$.n", "value": {"op": "lit", "value": n}}
    document = {"swarm": 1, "id": "review", "agents": [], "flow": flow}
    files = {"blueprint.lua": File(f"-- version {n}\n".encode() * 20)}
    return Contents(document, files, "blueprint.lua")


def _opened(folder: Path, number: int) -> GitVersions:
    folder.mkdir()
    repository = Repository(folder / "blueprints.git")
    with repository.locked():
        git = repository.opened()
        pygit2.settings.enable_fsync_gitdir(False)
        _write(git, number, Packing(repository))
        repository.close()
    return GitVersions(folder)


def _write(git: pygit2.Repository, number: int, packing: Packing) -> None:
    signature = pygit2.Signature("ada", "ada@localhost", 1000, 0)
    objects, above, parent = Objects(git), [], None
    for n in range(number):
        note = Note("ada", f"version {n}", n * _DAY_S)
        facts = Facts.of(_contents(n), note, label=f"1.{n}.0", parent=parent, back_to=None)
        tree: Any = pygit2.Oid(hex=objects.add(facts.tree(_contents(n))))
        oid = git.create_commit(None, signature, signature, f"{n}\n", tree, above)
        above, parent = [oid], facts.digest
        if n % 200 == 199:
            packing.pack_if_due()
    git.references.create("refs/blueprints/review", above[0])


# -- what is measured --------------------------------------------------------------------


def _timed(act: Callable[[], Awaitable[Any]]) -> Round:
    """Measure one of *act*, in seconds of work of all threads: many in a row, in one loop."""

    async def many() -> float:
        await act()
        began = process_time()
        for _ in range(_LOOKS):
            await act()
        return (process_time() - began) / _LOOKS

    return lambda: anyio.run(many)


def _lookups(*stores: GitVersions) -> Iterator[tuple[str, list[list[float]]]]:
    entries = [anyio.run(_middle, store) for store in stores]
    kinds: dict[str, Callable[[Entry], str]] = {
        "review@latest": lambda _: "latest",
        "review@1.2.0": lambda entry: entry.label,
        "review@^1.2": lambda entry: f"^{entry.label}",
        "review@<1.2.0": lambda entry: f"<{entry.label}",
        "review@prod": lambda _: "prod",
        "review@3f9ac41": lambda entry: entry.digest[:12],
        "review@{2026-11-01}": lambda _: "{1970-02-20}",
    }
    for kind, said in kinds.items():
        rounds: list[Round] = []
        for store, entry in zip(stores, entries, strict=True):
            selector = parse_selector(f"review@{said(entry)}")
            rounds.append(_timed(lambda store=store, selector=selector: store.find(selector)))
        yield kind, interleave(*rounds, times=_ROUNDS)


async def _middle(store: GitVersions) -> Entry:
    (head,) = await store.log("review", limit=1)
    (entry,) = await store.log("review", limit=1, before=head.number // 2 + 1)
    return entry


def _page(store: GitVersions) -> Round:
    return _timed(lambda: store.log("review", limit=20))


def _adding(store: GitVersions) -> Round:
    async def add() -> None:
        (head,) = await store.log("review", limit=1)
        note = Note("ada", "one more", (head.number + 1) * _DAY_S)
        label = f"1.{head.number}.0"
        contents = _contents(head.number)
        await store.add(contents, note, label=label, expected=head.commit)

    return _timed(add)


if __name__ == "__main__":
    sys.exit(main())
