"""The past of runs: what the journal holds of them, and the blueprints they are pinned to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyio import Path as AsyncPath
from anyio.lowlevel import checkpoint

from swarm.blueprint.compiled import CompiledBlueprint, VersionName
from swarm.compiler.compile import compile_document
from swarm.compiler.registry import Registry
from swarm.core.events import STEP_ENDS
from swarm.core.replay import Replay
from swarm.core.rows import EventRow
from swarm.core.run import ENDED, RunOutcome, RunStatus
from swarm.errors import SwarmError
from swarm.ids import RunId
from swarm.ports.journal import Journal, Row
from swarm.ports.worker import Toolbox

__all__ = ("Past", "open_children", "open_ends", "read_all", "resting")

_PAGE = 1000
# Compiled blueprints that are kept for the next run of the same.
_KEPT = 64


class _Reader:
    """Reads a run a page at a time, with a turn for others between.

    Not a generator: one that a conflict leaves half read would have to be closed.
    """

    def __init__(self, journal: Journal, run_id: RunId) -> None:
        self._journal = journal
        self._run_id = run_id
        self._since = 0

    async def page(self) -> Sequence[Row]:
        """Return the next rows; none: that was all.

        Raises: SwarmError (journal.damaged).
        """
        page = await self._journal.read(self._run_id, self._since, _PAGE)
        if page:
            self._since = page[-1]["seq"]
            await checkpoint()
        return page


async def read_all(journal: Journal, run_id: RunId) -> list[Row]:
    """Return all rows of a run.

    Raises: SwarmError (journal.damaged).
    """
    reader = _Reader(journal, run_id)
    found: list[Row] = []
    while page := await reader.page():
        found += page
    return found


class Past:
    """Brings runs back from the journal."""

    def __init__(
        self,
        journal: Journal,
        registry: Registry,
        tools: Toolbox,
        lay_out: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._tools = tools
        self._lay_out = lay_out
        self._compiled: dict[tuple[str, str | None], CompiledBlueprint] = {}

    async def started(self, run_id: RunId) -> Row | None:
        """Return the first event of a run, if it exists."""
        found = await self._journal.read(run_id, 0, 1)
        return found[0] if found else None

    async def replay(self, run_id: RunId) -> tuple[CompiledBlueprint, Replay]:
        """Bring a machine to where the journal leaves the run.

        Raises: BlueprintInvalid, where this host lacks what the blueprint needs;
        SwarmError (resume.conflict, journal.damaged).
        """
        reader = _Reader(self._journal, run_id)
        page = await reader.page()
        if not page:
            raise SwarmError("journal.damaged", f"run {run_id}: expected events, got none", seq=1)
        blueprint = await self.blueprint(page[0])
        found = Replay(blueprint.flow, page[0])
        found.feed(page[1:])
        while page := await reader.page():
            found.feed(page)
        return blueprint, found

    async def outcome(self, run_id: RunId, status: RunStatus) -> RunOutcome:
        """Read how a run ended, or why it rests."""
        reader = _Reader(self._journal, run_id)
        last: Row = {}
        while page := await reader.page():
            last = next((r for r in reversed(page) if r["kind"].startswith("run.")), last)
        if status not in ENDED:
            why = last.get("message") or _WHY.get(status, "nobody carries the run on")
            return RunOutcome(run_id, status, None, resting(status, why))
        return RunOutcome(run_id, status, last.get("ctx"), last.get("error"), last.get("partial"))

    async def blueprint(self, started: Row) -> CompiledBlueprint:
        """Compile the document that a run is pinned to, as its first event holds it.

        Raises: BlueprintInvalid; SwarmError (resume.conflict), where this version reads
        another document in it.
        """
        await self._restore_files(started)
        key = (started["digest"], started["folder"])
        found = self._compiled.get(key)
        if found is None:
            folder = None if key[1] is None else Path(key[1])
            tools = replace(self._tools, folder=folder)
            found = compile_document(started["document"], registry=self._registry, tools=tools)
            if found.digest != started["digest"]:
                raise SwarmError(
                    "resume.conflict",
                    f"run {started['run']}: expected a blueprint of digest "
                    f"{started['digest'][:12]}, got {found.digest[:12]} from its own document",
                    run_id=started["run"],
                )
            version = started.get("version")
            if version is not None:
                found = replace(found, version=VersionName(**version))
            if len(self._compiled) >= _KEPT:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[key] = found
        return found

    async def _restore_files(self, started: Row) -> None:
        """Lay out the files of the version again that the run's processes work beside."""
        version, folder = started.get("version"), started["folder"]
        if version is not None and folder is not None and not await AsyncPath(folder).is_dir():
            await self._lay_out(started["blueprint"], version["label"])


_WHY: Mapping[str, str] = {
    "paused": "the run is paused",
    "interrupted": "the host ended before the run did",
    "waiting": "the run waits for an answer, and nobody carries it on",
}


def resting(status: str, why: str) -> dict[str, Any]:
    """Say why a run has no outcome yet, in the form of an error."""
    error = dict.fromkeys(("cause_code", "step", "attempt", "data"))
    return {"code": f"run.{status}", "message": why, "at": "", **error}


def open_ends(rows: Sequence[Row]) -> list[EventRow]:
    """Return the ends that attempts lack, as a plain reading of the rows."""
    opened: dict[tuple[str, int], Row] = {}
    for row in rows:
        if row["kind"] == "step.started":
            opened[row["key"], row["attempt"]] = row
        elif row["kind"] in STEP_ENDS:
            opened.pop((row["key"], row["attempt"]), None)
    return [
        {"kind": "step.interrupted", "key": key, "attempt": attempt, "step": row["step"]}
        for (key, attempt), row in opened.items()
    ]


def open_children(rows: Sequence[Row]) -> list[RunId]:
    """Return the runs within the run whose end it was not told, as a plain reading of the rows."""
    opened: dict[RunId, None] = {}
    for row in rows:
        if row["kind"] == "child.started":
            opened[RunId(row["child"])] = None
        elif row["kind"] == "child.ended":
            opened.pop(RunId(row["child"]), None)
    return list(opened)
